"""Verdicts as sentences."""

from typing import assert_never

from ._comparison import Promote, RollBack, RolloutVerdict, Standing, Undecided


def in_words(verdict: RolloutVerdict, *, lost: str = "were losses") -> str:
    """A verdict as an operations team reads it.

    `lost` says what the share of the losses means: "of its replies were corrected".
    """
    standing = verdict.standing
    seen = _losses(standing, lost)
    risk = f"at most {_percent(standing.rule.alpha)}"
    after = f"after {_conversations(standing.pairs)}"
    match verdict:
        case RollBack(violation=str(what)):
            return f"taken back at once: {what}"
        case RollBack():
            return f"taken back {after}: {seen}; chance of a false alarm {risk}"
        case Promote():
            return f"promoted {after}: {seen}; chance that it is worse by {_tolerance(standing)} or more {risk}"
        case Undecided() if standing.pairs == 0:
            return "not decided: nothing was compared yet"
        case Undecided(ended=True):
            return f"not decided {after}, the most that are compared: {seen}; a person decides"
        case Undecided(pairs_expected=more):
            return f"not decided {after}: {seen}; {f'about {more} more if it goes on so' if more else 'no verdict is in sight'}"
        case _:
            assert_never(verdict)


def _tolerance(standing: Standing) -> str:
    return _percent(standing.rule.tolerance or 0)


def _losses(standing: Standing, lost: str) -> str:
    if standing.candidate_loss is None or standing.control_loss is None:
        return ""
    return f"{_percent(standing.candidate_loss)} {lost}, {_percent(standing.control_loss)} with the present version"


def _percent(share: float) -> str:
    return f"{float(f'{share * 100:.2g}'):g} %"


def _conversations(pairs: int) -> str:
    return "1 conversation" if pairs == 1 else f"{pairs} conversations"
