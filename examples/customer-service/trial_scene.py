"""A worse version takes itself back, a better one is promoted: real messages, dealt out to customers by a seed, and nothing else is known beforehand.

Two candidates beside the desk as it is:

- *generous*: whoever writes of a double charge or a fee gets 50 euros at once. Nobody may pay that, so the policies refuse it, and the
  customer is told no.
- *relieving*: the desk answers what its rules had no answer for, and pays up to 250 euros without a support lead.
"""

import csv
import random
import shlex
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from demo import WORKFLOW, Desk, Message, columns, many, money, said, scene
from rich.console import Console
from rich.live import Live
from rich.markup import escape

CHUNK, MOST = 240, 2_400
"""Messages of one file, and after how many of them a trial is left undecided."""
CUSTOMERS = [f"C-{1001 + number}" for number in range(200)]
GENEROUS = """\
  - name: goodwill (whoever complains gets 50 euros at once)
    when:
      any: [{ has: entities.twice }, { has: entities.fee }, { says: [refund*, back, charge*, price*, erstatt*, abgebucht, zuruck*] }]
    call: refund
    arguments: { amount_cents: 5000 }
"""
RELIEVING = """\
  - name: cash that does not fit
    when: { says: [cash, machine, atm, automat*, bargeld, bar, branch, filiale, receipt, missing, overdraft] }
    answer:
      en: 'Please send us the time and place; we compare it with the counting of that day and book what is missing within two days.'
      de: 'Bitte nennen Sie uns Zeit und Ort; wir vergleichen es mit der Zählung des Tages und buchen Fehlendes in zwei Tagen nach.'
"""
WORSE = ("--canary", "20%", "--sticky", "/customerId", "--loss", ".denied > 0")
BETTER = ("--canary", "50%", "--sticky", "/customerId", "--loss", ".denied > 0", "--tolerance", "10%")


def trial_scene(home: Path, trained: Desk, messages: Sequence[Message], seed: int, console: Console) -> str:
    """The scene of the demo; what it showed, in a sentence."""
    scene(7, "A worse version takes itself back, a better one is promoted", f"orchestrion deploy {WORKFLOW}")
    desk = Desk.new(home / "trial-desk", trained)
    traffic = Traffic(desk, [each for each in messages if each.truth], seed)
    desk.start("deploy", WORKFLOW, "--why", "the desk as it is", "--json").json()
    playbook = desk.folder / "playbooks" / "billing.yaml"
    before = playbook.read_text(encoding="utf-8")

    playbook.write_text(before.replace("rules:\n", f"rules:\n{GENEROUS}", 1), encoding="utf-8")
    worse = on_trial(console, desk, traffic, WORSE)
    harm = tell_harm(console, desk, worse)

    playbook.write_text(before.replace("  - name: no rule fits\n", f"{RELIEVING}  - name: no rule fits\n"), "utf-8")
    raise_limit(desk.folder / "policies" / "refunds.cedar")
    better = on_trial(console, desk, traffic, BETTER)
    return said(
        f"A worse version: {ended(worse)}. {harm} A better one: {ended(better)}. (Seed {seed}; make demo SEED=7 tries another.)"
    )


class Traffic:
    """Messages that come in: of the file, in any order, from any customer."""

    def __init__(self, desk: Desk, messages: Sequence[Message], seed: int) -> None:
        self._desk = desk
        self._messages = messages
        self._draw = random.Random(seed)  # noqa: S311 traffic, no secret
        self._files = 0

    def next(self) -> str:
        """The name of a file with the next ones."""
        self._files += 1
        file = self._desk.folder / f"incoming-{self._files}.csv"
        with file.open("w", encoding="utf-8", newline="") as written:
            rows = csv.writer(written)
            rows.writerow(("message", "customer_id"))
            for _ in range(CHUNK):
                rows.writerow((self._draw.choice(self._messages).text, self._draw.choice(CUSTOMERS)))
        return file.name


def on_trial(console: Console, desk: Desk, traffic: Traffic, options: Sequence[str]) -> Mapping[str, Any]:
    """Deploy the files as a candidate, let messages come in until there is a verdict, and show how the evidence grows."""
    line = shlex.join(("orchestrion", "deploy", WORKFLOW, *options))
    console.print(f"[dim]$[/] [cyan]{escape(line)}[/]", soft_wrap=True)
    deploying = desk.start("deploy", WORKFLOW, *options, "--json")
    diff = desk.start("versions", "diff", "production", "working", "--workflow", WORKFLOW, "--json")
    rollout = deploying.json()["id"]
    for change in diff.json()["changes"]:
        console.print(f"  {escape(change['piece'])}: {escape('; '.join(change['words']))}", soft_wrap=True)
    title = f"orchestrion rollouts show {rollout[:13]}: 20 for it or against it decide"
    table = columns(title, ">messages", ">it got", ">pairs", ">its losses", ">the present's", ">against it", ">for it")
    shown: Mapping[str, Any] = {"evidence": {"pairs": 0}}
    with Live(table, console=console, refresh_per_second=4):
        for _ in range(MOST // CHUNK):
            batch = desk.start("run", WORKFLOW, "--each", traffic.next(), "--json")
            working = True
            while working:
                working = batch.process.poll() is None
                shown = look(desk, rollout, table, shown)
            batch.text()
            if shown["status"] != "running":
                break
    console.print()
    return shown


def look(desk: Desk, rollout: str, table: Any, before: Mapping[str, Any]) -> Mapping[str, Any]:
    """Another line, where there is more evidence than before."""
    shown = desk.start("rollouts", "show", rollout, "--json").json()
    evidence, runs = shown["evidence"], shown["runs"]
    if evidence["pairs"] != before["evidence"]["pairs"]:
        losses = [f"{evidence[side]:.0%}" for side in ("candidate_loss", "control_loss")]
        wealth = [f"{evidence[side]:.3g}" for side in ("against", "in_favour")]
        counts = [str(sum(runs.values())), str(runs["candidate"]), str(evidence["pairs"])]
        table.add_row(*counts, *losses, *wealth)
    else:
        time.sleep(2)
    return shown


def tell_harm(console: Console, desk: Desk, rollout: Mapping[str, Any]) -> str:
    """Whom the worse version harmed, with the bank's book as the witness."""
    paid = desk.ask_bank("select count(*), coalesce(sum(amount_cents), 0) from refunds")[0]
    wrong = desk.ask_bank(
        "select count(*), coalesce(sum(amount_cents), 0) from refunds r where not exists "
        "(select 1 from refundable f where f.id = r.charge_id and f.amount_cents = r.amount_cents)"
    )[0]
    console.print(f"the bank  {many(paid[0], 'refund')} paid; not owed: [bold]{many(wrong[0], 'refund')}[/]")
    answered = rollout["runs"]["candidate"]
    refused = round((rollout["evidence"]["candidate_loss"] or 0) * rollout["evidence"]["pairs"])
    return (
        f"{many(answered, 'message')} met it and {refused} of those compared were wrongly told no; its gifts were refused, and the bank "
        f"paid {money(wrong[1])} that it did not owe."
    )


def ended(rollout: Mapping[str, Any]) -> str:
    """What became of it, after how many messages."""
    count, verdict = sum(rollout["runs"].values()), escape(rollout["verdict"])
    return f"after {many(count, 'message')} of all, and by itself, [bold]{verdict}[/]"


def raise_limit(policies: Path) -> None:
    """What is paid without a support lead: from 100 to 250 euros."""
    text = policies.read_text(encoding="utf-8")
    raised = text.replace("up to 100.00 euros", "up to 250.00 euros").replace("<= 10000", "<= 25000")
    policies.write_text(raised, encoding="utf-8")
