"""Verdicts as sentences."""

from typing import assert_never

from ._comparison import Promote, RollBack, RolloutVerdict, Standing, Undecided


def in_words(verdict: RolloutVerdict, *, lost: str = "of the possible loss occurred") -> str:
    """A verdict as an operations team reads it.

    `lost` says what the share of the losses means: "of its replies were corrected".
    """
    standing = verdict.standing
    seen = _losses(standing, lost)
    risk = f"at most {_percent(standing.rule.alpha)}"
    match verdict:
        case RollBack(violation=str(what)):
            return f"taken back at once after {_conversations(standing.pairs)}: {what}"
        case RollBack():
            return f"taken back after {_conversations(standing.pairs)}: {seen}; chance of a false alarm {risk}"
        case Promote():
            tolerated = f"worse by {_percent(standing.rule.tolerance)} or more"
            return f"promoted after {_conversations(standing.pairs)}: {seen}; chance that it is {tolerated} {risk}"
        case Undecided(ended=True):
            return f"not decided after {_conversations(standing.pairs)}, the most that are compared: {seen}; a person decides"
        case Undecided(standing=Standing(pairs=0)):
            return "not decided: nothing was compared yet"
        case Undecided(pairs_expected=None):
            return f"not decided after {_conversations(standing.pairs)}: {seen}; no verdict is in sight"
        case Undecided(pairs_expected=int(more)):
            return f"not decided after {_conversations(standing.pairs)}: {seen}; about {more} more if it goes on so"
        case _:
            assert_never(verdict)


def _losses(standing: Standing, lost: str) -> str:
    if standing.candidate_loss is None or standing.control_loss is None:
        return ""
    return f"{_percent(standing.candidate_loss)} {lost}, {_percent(standing.control_loss)} with the present version"


def _percent(share: float) -> str:
    return f"{float(f'{share * 100:.2g}'):g} %"


def _conversations(pairs: int) -> str:
    return "1 conversation" if pairs == 1 else f"{pairs} conversations"
