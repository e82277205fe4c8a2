"""What people said of a run, for those who look at it."""

from collections.abc import Sequence

from orchestrion.app import Feedback, FeedbackBook
from orchestrion.core import Journal, SystemClock, dump, iso
from orchestrion.journal import DurableJournal


async def feedback_of(journal: Journal, run_id: str) -> Sequence[Feedback]:
    """What was said of a run."""
    return await book_of(journal).of(run_id)


def in_words(said: Feedback) -> str:
    """`✗ ana on 2026-01-02 10:00: should have been {"desk":"billing"}; wrong desk`."""
    sign = {"good": "✓", "bad": "✗", None: "·"}[said.thumb]
    parts = [f"should have been {dump(said.correction)}"] if said.correction is not None else []
    parts += [said.note] if said.note else []
    told = f": {'; '.join(parts)}" if parts else ""
    return f"{sign} {said.by} on {iso(said.at)[:16].replace('T', ' ')} UTC{told}"


def book_of(journal: Journal) -> FeedbackBook:
    assert isinstance(journal, DurableJournal)  # a command opens no other one
    return FeedbackBook(journal, SystemClock())
