"""The billing desk's model has 14 days left: its successors are tried, and one is put on trial and promoted."""

import asyncio
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

from orchestrion.app import App, open_app, oversight_of
from orchestrion.core import Json, RunStatus, SystemClock
from orchestrion.journal import DurableJournal
from orchestrion.registry import IncidentKind, Incidents, Rollout, RolloutStatus
from orchestrion.testing.openai_server import OpenAIServer

from .desk import REPLY, WORKFLOW, ask, deploy, in_the_book, model, name_models, send

DAYS = 14
AFTERWARDS = 40
LONGEST_S = 300.0


async def retirement(folder: Path, messages: list[dict[str, Json]]) -> dict[str, Json]:
    """Two models may succeed: one that costs more than the example's evaluation allows, and one that is as good.

    `on_trial_after` are seconds since the project was opened, as are `seconds`, until it was promoted.
    """
    last_day = datetime.fromtimestamp(SystemClock().now(), UTC).date() + timedelta(days=DAYS)
    async with OpenAIServer([REPLY]) as present, OpenAIServer([REPLY]) as dear, OpenAIServer([REPLY]) as good:
        retiring = f", retires: {last_day}, successors: [dear, good], succession: canary, fallback: [good]"
        lines = [model("present", present, 0.1, retiring), model("dear", dear, 60), model("good", good, 0.1)]
        name_models(folder, lines)
        ask(folder, "present")
        await deploy(folder)
        began = time.monotonic()
        async with open_app(folder) as app:
            rollouts = oversight_of(app).rollouts
            begun = await on_trial(app)
            waited = time.monotonic() - began
            said = await timeline(app)

            async def over() -> bool:
                return (await rollouts.find(begun.id)).status is not RolloutStatus.RUNNING

            ended = await send(app, messages, over)
            seconds = time.monotonic() - began
            found = await rollouts.find(begun.id)
            got = [run for run in await rollouts.runs(found) if run.side == "candidate"]
            if found.status is RolloutStatus.PROMOTED:
                await known(app, found)
            asked = len(present.requests)
            later = await send(app, messages[:AFTERWARDS])
        return {
            "status": found.status,
            "seconds": round(seconds, 1),
            "on_trial_after": round(waited, 1),
            "messages": len(ended),
            "got_it": len(got),
            "unanswered": sum(run.status not in {RunStatus.COMPLETED, RunStatus.WAITING} for run in [*ended, *later]),
            "asked_the_retiring_afterwards": len(present.requests) - asked,
            **in_the_book(folder),
            "verdict": "; ".join([*said, found.verdict or ""]),
        }


async def on_trial(app: App) -> Rollout:
    """The rollout that the platform begins by itself. Raises: TimeoutError."""
    async with asyncio.timeout(LONGEST_S):
        while not (running := await oversight_of(app).rollouts.running()):  # noqa: ASYNC110  another task of the app begins it
            await asyncio.sleep(0.1)
    return next(iter(running.values()))


async def known(app: App, promoted: Rollout) -> None:
    """Processes ask the store every half a second where new runs go. Raises: TimeoutError."""
    async with asyncio.timeout(LONGEST_S):
        while (there := await app.versions.production(WORKFLOW)) is None or there.bundle != promoted.candidate:  # noqa: ASYNC110  the store is asked
            await asyncio.sleep(0.05)


async def timeline(app: App) -> list[str]:
    """What the incident tells of the workflow that messages come in for."""
    assert isinstance(app.journal, DurableJournal)
    incidents = Incidents(app.journal, app.clock)
    (incident,) = [each for each in await incidents.listed(99) if each.kind is IncidentKind.RETIREMENT]
    return [step.what for step in await incidents.steps(incident.id) if WORKFLOW in step.what]
