"""Trying a model, as an operator does: no run, no tool, nothing of the project's data, so there is no gate to pass."""

from orchestrion.core import Clock, Permit, permitted
from orchestrion.models import Candidate, Trial
from orchestrion.models import try_model as ask


async def try_model(candidate: Candidate, clock: Clock) -> Trial:
    """Ask a model the three questions of `orchestrion models test`."""
    with permitted(Permit(run_id="", key="models/test", root_id="")):
        return await ask(candidate, clock)
