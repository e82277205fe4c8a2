"""One message, one team, several patterns: the agents are the same, the trees are not.

Run: python team_scene.py --svg FOLDER    (draws each pattern's tree there, and counts what its models were asked)
"""

import re
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from demo import SUPPORT_LEAD, WORKFLOW, Desk, many, money, said, scene
from rich.columns import Columns
from rich.console import Console
from rich.markup import escape
from rich.panel import Panel
from rich.tree import Tree

TEAM, MESSAGE = "customer-team", "I was charged twice for one purchase, please refund one"
OWED = "select customer_id from refundable where reason = 'charged twice' and amount_cents between 10001 and 50000 order by id"
PATTERNS = ("supervisor", "hierarchy", "handoff", "panel")
SIGNS = {"done": "[green]✓[/]", "waiting": "[yellow]…[/]", "failed": "[red]✗[/]", "denied": "[magenta]⊘[/]"}


def in_pattern(desk: Desk, pattern: str) -> Desk:
    """The same desk; in its team's file one word is changed."""
    file = desk.folder / "teams" / "desk.yaml"
    lines = file.read_text(encoding="utf-8").splitlines()
    changed = [f"pattern: {pattern}" if line.startswith("pattern:") else line for line in lines]
    file.write_text("\n".join(changed) + "\n", encoding="utf-8")
    return desk


def send(desks: Mapping[str, Desk]) -> dict[str, Any]:
    """The message to every desk at once. What each run's record says, by pattern."""
    (customer, *_) = next(iter(desks.values())).ask_bank(OWED)[0]
    given = f'{{"message": "{MESSAGE}", "customerId": "{customer}"}}'
    commands = {name: desk.start("run", TEAM, "--input", given, "--json") for name, desk in desks.items()}
    for command in commands.values():
        command.text()
    listed = {name: desk.start("runs", "list", "--workflow", TEAM, "--json") for name, desk in desks.items()}
    return look(desks, {name: command.json()[0]["id"] for name, command in listed.items()})


def look(desks: Mapping[str, Desk], runs: Mapping[str, str]) -> dict[str, Any]:
    shown = {name: desks[name].start("runs", "show", run, "--json") for name, run in runs.items()}
    return {name: command.json() for name, command in shown.items()}


def drawn(shown: Mapping[str, Any]) -> Tree:
    tree = Tree("[dim]the message[/]", guide_style="dim")
    for agent in shown["agents"]:
        grow(tree, agent)
    return tree


def grow(tree: Tree, agent: Mapping[str, Any]) -> None:
    inner: Sequence[Mapping[str, Any]] = agent["engages"]
    over = " [cyan]takes over[/]" if (agent["how"] or "").startswith("handed over") else ""
    branch = tree.add(f"{SIGNS.get(agent['status'], '·')} [bold]{escape(agent['agent'])}[/]{over}")
    while len(inner) == 1 and inner[0]["agent"] == agent["agent"]:  # a team of its own is entered first
        agent = inner[0]
        inner = agent["engages"]
    for tool in agent["tools"]:
        branch.add(f"{SIGNS.get(tool['status'], '·')} {escape(tool['tool'])}")
    for waits in agent["waits"]:
        branch.add(f"[yellow]{escape(waits['whom'] or waits['what'])} decides[/]")
    for each in inner:
        grow(branch, each)


def asked(shown: Mapping[str, Any]) -> int:
    """How often a model, or the rules in its place, was asked."""
    return sum(1 for entry in shown["entries"] if entry["function"].startswith("model:"))


def team_scene(home: Path, trained: Desk, console: Console) -> str:
    """The scene of the demo: three patterns side by side, and an approval three agents deep in another process."""
    patterns = PATTERNS[:3]
    scene(6, "One team, three patterns", f'orchestrion run {TEAM} --input \'{{"message": "{MESSAGE}", …}}\'')
    desks = {name: in_pattern(Desk.new(home / f"team-{name}", trained), name) for name in patterns}
    waiting = send(desks)
    panels = [Panel(drawn(waiting[name]), title=f"pattern: {name}", expand=False) for name in patterns]
    console.print(Columns(panels))
    commands = [
        desks[name].start("approvals", "approve", waiting[name]["requests"][0]["id"], "--as", SUPPORT_LEAD, "--json")
        for name in patterns
    ]
    for command in commands:
        command.text()
    ended = look(desks, {name: waiting[name]["id"] for name in patterns})
    refunds = {name: desks[name].refunds() for name in patterns}
    same = len({(str(ended[name]["output"]), str(refunds[name])) for name in patterns}) == 1
    paid = refunds["hierarchy"]
    counts = ", ".join(f"{name} {asked(ended[name])}" for name in patterns)
    return said(
        f"In each pattern the refund waited for a support lead, in the hierarchy three agents deep; approved from another process, "
        f"{many(len(paid), 'refund')} of {money(sum(cents for _, cents in paid))} was paid. "
        f"{'The same reply' if same else 'NOT the same reply'} to the customer in all three; rules were asked: {counts}."
    )


def draw(folder: Path) -> None:
    home = Path(tempfile.mkdtemp(prefix="orchestrion-teams-"))
    desks = {name: in_pattern(Desk.new(home / name), name) for name in PATTERNS}
    waiting = send(desks)
    for name in PATTERNS:
        request = waiting[name]["requests"][0]["id"]
        desks[name].start("approvals", "approve", request, "--as", SUPPORT_LEAD, "--json").text()
    for name, shown in look(desks, {name: waiting[name]["id"] for name in PATTERNS}).items():
        paper = Console(record=True, width=44, force_terminal=True, highlight=False)
        paper.print(drawn(shown))
        picture = paper.export_svg(title=f"pattern: {name}", unique_id=f"team-{name}")
        own_fonts = re.sub(r"@font-face \{.*?\}", "", picture, flags=re.DOTALL)  # nothing is fetched to look at it
        (folder / f"teams-{name}.svg").write_text(own_fonts, encoding="utf-8")
        paper.print(f"{name}: {shown['status']}, models asked {asked(shown)} times")


if __name__ == "__main__":
    if len(sys.argv) != 3 or sys.argv[1] != "--svg":
        sys.exit(f"Use: python team_scene.py --svg FOLDER. The scene itself is part of demo.py, beside {WORKFLOW}.")
    draw(Path(sys.argv[2]))
