"""What every journal must do. Run each of `CHECKS` against a fresh journal of yours:

@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
async def test_journal(check):
    clock = HandClock()
    async with my_journal(clock) as journal:
        await check(journal, clock)
"""

from collections.abc import Awaitable, Callable

from orchestrion.core import Journal

from . import _journal_events, _journal_people, _journal_reading, _journal_schedules, _journal_starting, _journal_waking
from ._journal_materials import HandClock, a_leaf, a_request, a_run, approved, begun

__all__ = ["CHECKS", "Check", "HandClock", "a_leaf", "a_request", "a_run", "approved", "begun"]

Check = Callable[[Journal, HandClock], Awaitable[None]]

CHECKS: tuple[Check, ...] = tuple(
    check
    for module in (
        _journal_events,
        _journal_people,
        _journal_reading,
        _journal_schedules,
        _journal_starting,
        _journal_waking,
    )
    for name, check in vars(module).items()
    if name.startswith("check_")
)
"""Every check, in the order in which they build on each other."""
