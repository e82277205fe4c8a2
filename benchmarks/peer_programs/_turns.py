"""The agent turn that every program here does alike, and the figures it hands to `make bench NAME=agents`.

A model that costs nothing asks for one tool call after another, ten in all, and then says that it is done; a tool costs nothing
either. What is measured is therefore everything else: the library's loop, and its record where it keeps one.
"""

import asyncio
import json
import sys
import time
from collections.abc import Awaitable, Callable
from typing import Any

from _workload import Settings, say

CALLS = 10
TOOL = "note"
DESCRIPTION = "Notes a number."
QUESTION = "Note ten numbers."
DONE = "All are noted."
INSTRUCTIONS = "You note numbers."

RunTurn = Callable[[str], Awaitable[str]]
"""Runs one turn of that name to its end, and gives the answer."""


class Noted:
    """How often the tool was called in this process."""

    calls: int = 0

    @classmethod
    def note(cls, number: int) -> str:
        cls.calls += 1
        return f"{number} is noted."


async def answer_turns(run_turn: RunTurn, ready: Settings) -> None:
    """Say that the program is ready, then run as many turns as is asked, until standard input closes."""
    say({"ready": ready})
    turn = 0
    while line := await asyncio.to_thread(sys.stdin.readline):
        turns = json.loads(line)["turns"]
        before, began, cpu = Noted.calls, time.perf_counter(), time.process_time()
        for _ in range(turns):
            turn += 1
            said = await run_turn(f"turn-{turn}")
            if said != DONE:
                raise SystemExit(f"the turn ended otherwise: {said!r}")
        told: dict[str, Any] = {"wall_s": time.perf_counter() - began, "cpu_s": time.process_time() - cpu}
        say({**told, "calls": Noted.calls - before})
