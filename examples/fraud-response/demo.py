"""Ten thousand card payments are watched; what looks like fraud is looked into, and cards are blocked. Killed five times on the way.

Run: python demo.py [--payments 10000] [--kills 5]    (or `make demo-fraud`)

Everything goes through the command `orchestrion`; the bank's database is the witness. It works in a copy of this folder, in a
new folder among the system's temporary files; this folder is left as it is.
"""

import argparse
import csv
import json
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from statistics import median
from typing import Any

from rich.console import Console
from rich.live import Live
from rich.markup import escape
from rich.panel import Panel
from rich.rule import Rule
from rich.spinner import Spinner
from rich.table import Table

HERE = Path(__file__).resolve().parent
STREAM = ("run", "monitor", "--each", "data/transactions.csv", "--json")
ALL = "1000000"
ANALYST = "ana"
console = Console(highlight=False)


def _command(arguments: Sequence[str]) -> list[str]:
    return [sys.executable, "-m", "orchestrion", *arguments]


@dataclass(frozen=True, kw_only=True)
class Bank:
    """A copy of the project: its command line and its database."""

    folder: Path

    @property
    def log(self) -> Path:
        """What commands print that work for long: a pipe that nobody empties would stop them when it is full."""
        return self.folder / "orchestrion.log"

    def start(self, *arguments: str) -> "subprocess.Popen[bytes]":
        with self.log.open("ab") as log:
            return subprocess.Popen(_command(arguments), cwd=self.folder, stdout=log, stderr=log)  # noqa: S603 the product itself

    def tell(self, *arguments: str) -> str:
        """What a command prints. Exit codes 1 and 3 say how runs ended; they are no failure of the command."""
        done = subprocess.run(_command(arguments), cwd=self.folder, capture_output=True, text=True, check=False)  # noqa: S603 the product itself
        if done.returncode not in (0, 1, 3):
            raise SystemExit(f"$ orchestrion {' '.join(arguments)}\n{done.stdout}{done.stderr}")
        return done.stdout

    def ask(self, *arguments: str) -> Any:
        return json.loads(self.tell(*arguments, "--json"))

    def query(self, question: str) -> list[tuple[Any, ...]]:
        with closing(sqlite3.connect(self.folder / "data" / "bank.db", timeout=10)) as bank:
            return bank.execute(question).fetchall()

    def book(self) -> str:
        cases, closed, blocks = self.query(
            "select (select count(*) from cases), (select count(closed_at) from cases), (select count(*) from blocks)"
        )[0]
        return f"{cases} cases opened, {closed} closed, {blocks} cards blocked"


@dataclass(frozen=True, kw_only=True)
class Result:
    """What the payments were, and what came of them."""

    payments: Sequence[Mapping[str, str]]
    watched: Mapping[str, Mapping[str, Any]]
    """Payment → the run that watched it."""
    cases: Mapping[str, Mapping[str, Any]]
    """Alert → the run that looked into it."""
    requests: Sequence[Mapping[str, Any]]


def main() -> None:
    parser = argparse.ArgumentParser(description="Fraud, from the payment to the blocked card.")
    parser.add_argument("--payments", type=int, default=10_000)
    parser.add_argument("--history", type=int, default=20_000)
    parser.add_argument("--kills", type=int, default=5)
    given = parser.parse_args()
    began = time.monotonic()
    home = Path(tempfile.mkdtemp(prefix="orchestrion-fraud-"))
    console.print(
        Panel(
            "Four kinds of model: a monitor trained on labelled payments, an anomaly model, rules and SQL, retrieval over past cases.\n"
            "Their answers come together in a panel, and a decision table decides. No language model is connected.",
            title="[bold]From the payment to the blocked card[/]",
            title_align="left",
            border_style="cyan",
        )
    )
    console.print(f"[dim]Everything happens in {escape(str(home))}.[/]", soft_wrap=True)
    bank = prepare(home / "bank", given.payments, given.history)
    stream(bank, given.payments, given.kills)
    result = gather(bank)
    score(bank, result)
    page = one_case(bank, result)
    ask_analyst(bank, result)
    console.print()
    console.print(f"[dim]After {time.monotonic() - began:.0f} s. The case on one page, to open in a browser:[/]")
    console.print(f"  [bold]{escape(page)}[/]", soft_wrap=True)
    console.print(
        f"[dim]To look around: cd {escape(str(bank.folder))}. Delete {escape(str(home))} when done.[/]", soft_wrap=True
    )


# --- scenes ---


def prepare(folder: Path, payments: int, history: int) -> Bank:
    scene(1, "The monitor and the anomaly model are trained", "python prepare.py")
    shutil.copytree(HERE, folder, ignore=shutil.ignore_patterns("*.db*", ".orchestrion", "__pycache__", "*.skops*"))
    command = [
        sys.executable,
        str(folder / "prepare.py"),
        "--reset",
        "--payments",
        str(payments),
        "--history",
        str(history),
    ]
    with Live(Spinner("dots", text="inventing payments, training two models"), console=console, transient=True):
        done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 our own script
    if done.returncode:
        raise SystemExit(done.stdout + done.stderr)
    for line in done.stderr.splitlines():
        console.print(escape(line))
    return Bank(folder=folder)


def stream(bank: Bank, payments: int, kills: int) -> None:
    """Watch the payments, kill the process a few times, and go on until nothing is left to do."""
    killed = f", killed {kills} times on the way" if kills else ""
    scene(2, f"{payments:,} payments are watched{killed}", f"orchestrion {' '.join(STREAM[:-1])}")
    began = time.monotonic()
    for number in range(kills):
        process = bank.start(*STREAM)
        if not watch(bank, process, cases=(number + 1) * 4):
            break
        process.send_signal(signal.SIGKILL)
        process.wait()
        console.print(f"[red]kill -9[/]  {bank.book()}. The same command again:")
    process = bank.start(*STREAM)
    watch(bank, process, cases=None)
    if process.wait() not in (0, 3):
        raise SystemExit(bank.log.read_text(encoding="utf-8", errors="replace"))
    console.print(f"[green]→[/] {bank.book()}, in {time.monotonic() - began:.0f} s.")


def watch(bank: Bank, process: "subprocess.Popen[bytes]", cases: int | None) -> bool:
    """Show the bank's book until the command ends, or until there are this many cases. Whether it still works."""
    spinner = Spinner("dots")
    with Live(spinner, console=console, transient=True, refresh_per_second=8):
        while process.poll() is None:
            spinner.update(text=bank.book())
            if cases is not None and bank.query("select count(*) from cases")[0][0] >= cases:
                return True
            time.sleep(0.1)
    return False


def responders(bank: Bank) -> Sequence[Mapping[str, Any]]:
    return bank.ask("runs", "list", "--workflow", "respond", "--limit", ALL)


def gather(bank: Bank) -> Result:
    with (bank.folder / "data" / "transactions.csv").open(newline="", encoding="utf-8") as file:
        payments = list(csv.DictReader(file))
    runs = bank.ask("runs", "list", "--workflow", "monitor", "--limit", ALL)
    alerts = {alert for (alert,) in bank.query("select id from cases")}
    return Result(
        payments=payments,
        watched={run["output"]["payment"]: run for run in runs if run["output"]},
        cases={
            run["output"]["alert"]: run
            for run in responders(bank)
            if run["output"] and run["output"]["alert"] in alerts
        },
        requests=bank.ask("approvals", "list"),
    )


def score(bank: Bank, result: Result) -> None:
    scene(3, "What was caught, what was missed, what was a false alarm", "the bank's database against the truth")
    truth = {payment["id"]: payment["fraud"] == "1" for payment in result.payments}
    alarmed = {name for name, run in result.watched.items() if run["output"]["alert"]}
    attacked = {payment["card_id"] for payment in result.payments if payment["fraud"] == "1"}
    blocked = {card for (card,) in bank.query("select card_id from blocks where lifted_at is null")}
    asked = {str(request["show"]["payment"]["card_id"]) for request in result.requests if request["kind"] == "human"}
    found = sum(truth[name] for name in alarmed)
    table = Table(title="Against the truth", title_justify="left")
    for name in ("", "payments: the monitor alone", "cards: after the responder"):
        table.add_column(name, justify="left" if not name else "right")
    table.add_row("fraud", str(sum(truth.values())), str(len(attacked)))
    table.add_row("caught", str(found), f"{len(blocked & attacked)} blocked")
    table.add_row("before an analyst", "", f"{len(asked & attacked)}, and {len(asked - attacked)} harmless")
    table.add_row("missed", str(sum(truth.values()) - found), str(len(attacked - blocked - asked)))
    table.add_row("false alarms", str(len(alarmed) - found), f"{len(blocked - attacked)} blocked")
    table.add_row("recall", share(found, sum(truth.values())), share(len(blocked & attacked), len(attacked)))
    table.add_row("precision", share(found, len(alarmed)), share(len(blocked & attacked), len(blocked)))
    console.print(table)
    tell_times(bank, result)
    twice, repeated = bank.query(
        "select count(*) - count(distinct card_id), coalesce(sum(deliveries - 1), 0) from blocks where lifted_at is null"
    )[0]
    alerts = {day_of(payment) for payment in result.payments if payment["id"] in alarmed}
    cases = {case for (case,) in bank.query("select id from cases")}
    console.print(
        f"[green]→[/] [bold]{twice} cards blocked twice, {len(alerts - cases)} alerts lost[/]; {len(alarmed) - len(alerts)} alerts "
        f"joined a case that was running; {repeated} requests reached the bank again after a kill, and it knew their key."
    )


def tell_times(bank: Bank, result: Result) -> None:
    """From the moment a payment was taken in to the block, restarts included."""
    waits = [
        (moment(blocked) - moment(str(result.watched[payment]["created_at"]))).total_seconds()
        for payment, blocked in bank.query("select payment_id, blocked_at from blocks join cases on cases.id = case_id")
        if payment in result.watched
    ]
    lifted = bank.query("select count(*) from blocks where lifted_at is not null")[0][0]
    if waits:
        console.print(
            f"From the payment to the block: {median(waits):.1f} s in the middle, {max(waits):.1f} s at worst: what a kill "
            "interrupts waits for the next process."
        )
    console.print(f"{lifted} blocks were undone because the customer could not be told; a person calls them.")


def one_case(bank: Bank, result: Result) -> str:
    """A blocked card's case, as a tree and as a page."""
    actions = Counter(str(run["output"]["action"]) for run in result.cases.values())
    blocks = {case for (case,) in bank.query("select case_id from blocks where lifted_at is null")}
    run = next((run for alert, run in result.cases.items() if alert in blocks), None)
    if run is None:
        raise SystemExit(f"No card was blocked: {dict(actions)}.")
    scene(4, "One case: who contributed what", f"orchestrion runs show {run['id']}")
    console.print(escape(str(run["output"]["summary"])))
    console.print(f"[bold]{escape(str(run['output']['reason']))}[/]")
    console.print(bank.tell("runs", "show", str(run["id"])), markup=False)
    return bank.tell("runs", "show", str(run["id"]), "--html", "--output", str(bank.folder / "case.html")).strip()


def ask_analyst(bank: Bank, result: Result) -> None:
    waiting = [each for each in result.requests if each["kind"] == "human"]
    if not waiting:
        return
    scene(
        5,
        f"{len(waiting)} cases wait for an analyst",
        f"orchestrion approvals approve {waiting[0]['id']} --as {ANALYST} --value …",
    )
    asked = waiting[0]
    form = (
        {"reached": True}
        if "call" in str(asked["title"])
        else {"action": "dismiss", "note": "The customer confirmed it."}
    )
    console.print(f"[bold]{escape(str(asked['title']))}[/]  {escape(str(asked['show'].get('because', '')))}")
    done = bank.ask("approvals", "approve", str(asked["id"]), "--as", ANALYST, "--value", json.dumps(form))
    console.print(f"[green]→[/] {escape(json.dumps(done['output'] or {}))}")


# --- words ---


def scene(number: int, title: str, command: str) -> None:
    console.print()
    console.print(Rule(f"[bold]{number}. {escape(title)}[/]", align="left", style="cyan"))
    console.print(f"[dim]$[/] [cyan]{escape(command)}[/]", soft_wrap=True)


def day_of(payment: Mapping[str, str]) -> str:
    """The id of the alert that this payment would raise: its card and day."""
    return f"{payment['card_id']}/{payment['booked_at'][:10]}"


def moment(text: str) -> datetime:
    return datetime.fromisoformat(text.replace("Z", "+00:00"))


def share(part: int, whole: int) -> str:
    return f"{part / whole:.0%}" if whole else "–"


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit("Stopped.")
