"""The drawn run: readable at any width, without colour, in ASCII, and safe to print."""

import io
import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Protocol

import pytest
from inline_snapshot import snapshot
from rich.cells import cell_len
from rich.console import Console

from orchestrion.cli._step import SIGNS, Step, Story
from orchestrion.cli._tree import tree


class Played(Protocol):
    story: Story


Plays = Mapping[str, Played]


def drawn(told: Story, width: int = 80, *, encoding: str = "utf-8", colour: bool = False) -> str:
    """What a console of that width would be sent."""
    raw = io.BytesIO()
    with io.TextIOWrapper(raw, encoding=encoding, write_through=True) as file:
        console = Console(file=file, width=width, force_terminal=colour, color_system="standard" if colour else None)
        console.print(tree(told))
        return raw.getvalue().decode(encoding)


def steady(text: str) -> str:
    """Without what differs from one run to the next: ids, times, lengths of time."""
    text = re.sub(r"[0-9a-f]{8}-[0-9a-f-]{27}", "RUN", text)
    text = re.sub(r"approve [0-9a-f]{8}", "approve REQUEST", text)
    text = re.sub(r"\d\d \w{3} \d{4} \d\d:\d\d \w+", "WHEN", text)
    text = re.sub(r"took [<\d.]+ m?s", "took TIME", text)
    return re.sub(r" *(\d\d:\d\d:\d\d)? *(<?[\d.]+ m?s)?$", "", text, flags=re.MULTILINE)


def test_a_run_that_waits(played: Plays) -> None:
    text = steady(drawn(played["waiting"].story, 100))
    assert text == snapshot("""\
support/customer-triage 1.0.0  waiting
run RUN · WHEN
in   I was charged twice for my hotel
out  It waits for support-lead to approve refund 250.00 (until WHEN).
     orchestrion approvals approve REQUEST

├─ ✓ findCustomer → 1 row  query                                   done
│     allowed by policy workflow-steps
│     gave rows: [{"id":"CH-7","amount_cents":25000}], rowcount: 1
├─ ✓ chooseDesk → billing  route                                   done
│     router support-intents is 93 % sure of billing
│     nearest example: "I was charged two times" (billing, 81 % alike)
├─ ✓ engage → billing  switch                                      done
│     because .label == "billing"; went on with billingDesk
└─ … billingDesk  agent billing                                    waiting
   │  answered by the rules of playbook billing; no language model was asked
   ├─ ✓ rule look up what we owe → find_charges                    done
   │  │  because the message says 'twice'
   │  └─ ✓ find_charges → 1 row  query                             done
   │        allowed by policy billing-looks-up
   │        gave rows: [{"id":"CH-7","amount_cents":25000}], rowcount: 1
   └─ ✓ rule pay back what we owe → refund                         done
      │  By the bank's own rules it owes this back.
      │  because there is facts.owed
      └─ … refund 250.00                                           waiting
         └─ … refund 250.00  approval                              waiting
               Refunds above 100.00 euros are paid when a support lead approves them.
               waits for support-lead to approve refund 250.00, until WHEN
               orchestrion approvals approve REQUEST
""")


def test_a_run_that_was_tried_again(played: Plays) -> None:
    assert steady(drawn(played["again"].story, 100)) == snapshot("""\
test/failing 1.0.0  completed
run RUN · WHEN · took TIME · attempt 2
out  paid: yes

├─ ✓ pay  flaky                                                    done
│  │  allowed by policy open
│  │  gave paid: yes
│  └─ ✗ attempt 1                                                  failed
│        set aside: the run was tried again after attempt 1
│        Bank away: The bank does not answer.
│        Try again later.
├─ ✓ tried again                                                   done
│     tried again by ana
└─ ✓ done  set                                                     done
      gave paid: yes
""")


@pytest.mark.parametrize("width", [40, 60, 80, 132])
def test_no_line_is_wider_than_the_terminal_but_commands(played: Plays, width: int) -> None:
    for each in played.values():
        for line in drawn(each.story, width).splitlines():
            assert cell_len(line) <= width or "orchestrion " in line


def test_every_step_says_its_status_in_a_word(played: Plays) -> None:
    for each in played.values():
        for width in (40, 80):
            shown = [
                line for line in drawn(each.story, width).splitlines() if re.search(r"[├└]─ [^…] |[├└]─ … \S", line)
            ]
            steps = [line for line in shown if " more" not in line]
            assert steps
            assert all(any(f" {status}" in line for status in SIGNS) for line in steps), shown


def test_ascii_consoles_get_ascii(played: Plays) -> None:
    for each in played.values():
        assert drawn(each.story, encoding="ascii").isascii()
    assert tree(played["paid"].story, ascii=True).ascii
    umlaut = replace(played["paid"].story, came_in="Überweisung…")
    assert "in   ?berweisung..." in drawn(umlaut, encoding="ascii")


def test_without_colour_nothing_is_lost(played: Plays) -> None:
    told = played["denied"].story
    coloured, plain = drawn(told, colour=True), drawn(told)
    assert "\x1b[" in coloured
    assert "\x1b" not in plain
    assert re.sub(r"\x1b\[[\d;]*m", "", coloured) == plain


def test_long_values_are_cut_and_say_how_to_see_all(played: Plays) -> None:
    told = replace(played["failing"].story, came_in="word " * 400)
    text = drawn(told)
    assert "word…" in text
    assert f"orchestrion runs show {told.run_id} --html" in text
    assert "--html" not in drawn(replace(told, came_in="short"))


def test_many_rounds_are_shortened_but_what_failed_is_kept(played: Plays) -> None:
    told = played["shapes"].story
    assert "… 10 more" in drawn(told)
    [loop] = [step for step in told.steps if step.kind == "loop"]
    rounds = tuple(replace(step, status="failed") if step.name == "round 9" else step for step in loop.steps)
    text = drawn(replace(told, steps=(replace(loop, steps=rounds),)))
    assert [line.split()[3] for line in text.splitlines() if " round " in line] == ["1", "2", "3", "9", "14", "15"]


def test_customer_text_cannot_steer_the_terminal(played: Plays) -> None:
    told = played["paid"].story
    evil = "\x1b[2J\x1b]0;owned\x07\u202egnp.exe [bold red]x[/]"
    step = Step(key="/do/0/x#1", name=evil, title=evil, kind="call", status="done", result=evil, output={evil: evil})
    text = drawn(replace(told, came_in=evil, steps=(step,)))
    assert not set(text) & {"\x1b", "\x07", "\u202e"}
    assert "[bold red]x[/]" in text
