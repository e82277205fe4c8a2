"""The billing desk's model is gone in the middle of a batch: its provider answers 404 from one request to the next."""

from pathlib import Path

from orchestrion.app import keep_trials, open_app, open_rooms, try_model
from orchestrion.core import Json, RunStatus, SystemClock
from orchestrion.journal import DurableJournal
from orchestrion.registry import IncidentKind, Incidents
from orchestrion.testing.openai_server import Calls, OpenAIServer, Says, Status

from .desk import REPLY, ask, deploy, in_the_book, model, name_models, send

MESSAGES, LAST = 300, 60
TRIED = [Says("ready"), Calls([("look_up_stock", {"article": "A-7"})]), Calls([("final_result", {"sum": 42})])]
POLICY = """
permit (principal == Workflow::"orchestrion/models-test", action == Action::"model", resource);

@id("models-stay-in-the-union")
forbid (principal, action == Action::"model", resource)
when { context.arguments has region && context.arguments.region != "eu" };
"""


async def sudden_404(folder: Path, messages: list[dict[str, Json]]) -> dict[str, Json]:
    """Two models follow the one that dies: policy forbids the first, which computes abroad; the second was tested.

    `seconds` pass from the first 404 until a run has ended with the other model's answer.
    """
    clock, died = SystemClock(), list[float]()

    def die(number: int, moment: str) -> None:
        if moment == "before" and number > LAST and not died:
            present.script = [Status(404)]
            died.append(clock.now())

    async with (
        OpenAIServer([REPLY], watch=die) as present,
        OpenAIServer([REPLY]) as abroad,
        OpenAIServer([*TRIED, REPLY]) as spare,
    ):
        follow = ", region: eu, fallback: [abroad, spare]"
        lines = [model("present", present, 0.1, follow), model("abroad", abroad, 0.1, ", region: us")]
        name_models(folder, [*lines, model("spare", spare, 0.1, ", region: eu")])
        ask(folder, "present")
        with (folder / "policies" / "desk.cedar").open("a", encoding="utf-8") as policy:
            policy.write(POLICY)
        await deploy(folder)
        async with open_rooms(folder) as rooms:
            await keep_trials(rooms, [await try_model(rooms, "spare", clock)], clock)
        async with open_app(folder) as app:
            ended = await send(app, messages[:MESSAGES])
            assert isinstance(app.journal, DurableJournal)
            incidents = Incidents(app.journal, clock)
            (incident,) = [each for each in await incidents.listed(99) if each.kind is IncidentKind.GONE]
            steps = await incidents.steps(incident.id)
        first = min(
            run.ended_at for run in ended if run.ended_at is not None and run.id in {step.run_id for step in steps}
        )
        return {
            "status": "followed" if incident.followed and not incident.unanswered else "unanswered",
            "seconds": round(first - died[0], 3),
            "messages": len(ended),
            "reached_the_dead": len(present.requests) - LAST,
            "followed": incident.followed,
            "asked_against_policy": len(abroad.requests),
            "unanswered": sum(run.status not in {RunStatus.COMPLETED, RunStatus.WAITING} for run in ended),
            **in_the_book(folder),
            "verdict": "; ".join(step.what for step in steps),
        }
