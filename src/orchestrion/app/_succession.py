"""Models that retire: what uses them is found in time, successors are tried, and the first that passes is proposed or put on trial."""

import asyncio
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import cast

from orchestrion.core import Json, OrchestrionError, UserError, digest
from orchestrion.journal import DurableJournal
from orchestrion.models import target_of
from orchestrion.oversight import Plan
from orchestrion.project import Model
from orchestrion.registry import Bundle, IncidentKind, Incidents, IncidentStep, RolloutStatus, short

from ._app import App
from ._candidates import base_of, evaluations_of, make_candidate, name_candidate, prove
from ._capture import model_pieces
from ._models import SOON_DAYS, model_settings
from ._release import oversight_of, put_on_trial
from ._rollouts import BY

log = logging.getLogger(__name__)

FIRST_S = 5.0
"""After which a process that advances runs looks first: commands that end at once are left in peace."""
EVERY_S = 600.0
"""How often it looks then."""
CLAIM_S = 3600.0
"""How long what one process looks after is left to it by the others, and by itself."""
SHARES = (0.1, 0.25, 0.5)
"""Of new runs, for a successor on trial."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Use:
    """A workflow whose new runs ask a model."""

    bundle: Bundle
    by: Sequence[str]
    """The agents that name it; empty where the workflow itself does."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """How far the succession of a model is, in one workflow."""

    model: str
    retires: str
    days_left: int
    workflow: str
    used_by: Sequence[str]
    stage: str
    """`waiting`, `no-successor`, `failed`, `proposed`, `on-trial`, `taken-back`."""
    what: str
    incident: str

    def to_json(self) -> dict[str, Json]:
        return {name: getattr(self, name) for name in self.__slots__}


class Succession:
    """Of the models of a project that is in use. Everything it knows stands in the store, so another process goes on with it."""

    def __init__(self, app: App) -> None:
        assert isinstance(app.journal, DurableJournal)
        self._app = app
        self._incidents = Incidents(app.journal, app.clock)

    async def keep_looking(self) -> None:
        """Until cancelled; at once over in a project none of whose models retires."""
        if not self._retiring(within_days=None):
            return
        await asyncio.sleep(FIRST_S)
        while True:
            try:
                await self.look()
            except OrchestrionError as error:
                log.warning("Retiring models cannot be looked after: %s", error)
            await asyncio.sleep(EVERY_S)

    async def look_at_last(self) -> None:
        """Nothing: what was found so far is kept, and the next process goes on with it."""

    async def look(self, *, by_hand: bool = False) -> None:
        """Take every model that retires soon as far as it goes. `by_hand`: whoever looked a moment ago."""
        retiring = self._retiring(within_days=SOON_DAYS)
        for name, model in retiring.items():
            uses = await self._uses(name, model)
            if uses:
                await self._take_on(name, model, uses, by_hand=by_hand)
        for incident in await self._incidents.current():
            if incident.kind is IncidentKind.RETIREMENT:
                model = retiring.get(incident.subject)
                if model is None or not await self._uses(incident.subject, model):
                    await self._incidents.close(incident.id, "over: no new run asks it any more")

    async def standings(self) -> list[Standing]:
        """How far the succession of each model is that retires soon, for each workflow that still asks it."""
        found: list[Standing] = []
        known = {each.subject: each for each in await self._incidents.current() if each.kind is IncidentKind.RETIREMENT}
        for name, model in self._retiring(within_days=SOON_DAYS).items():
            incident = known.get(name)
            steps = await self._incidents.steps(incident.id) if incident else ()
            for use in await self._uses(name, model):
                last = next((s for s in reversed(steps) if _told(s).get("workflow") == use.bundle.workflow), None)
                found.append(
                    Standing(
                        model=name,
                        retires=str(model.retires),
                        days_left=self._days_left(model),
                        workflow=use.bundle.workflow,
                        used_by=use.by,
                        stage=str(_told(last)["stage"]) if last else "waiting",
                        what=last.what if last else "nobody has looked yet",
                        incident=incident.id if incident else "",
                    )
                )
        return found

    # --- what retires, and where it is used ---

    def _retiring(self, *, within_days: int | None) -> Mapping[str, Model]:
        return {
            name: model
            for name, model in self._app.project.settings.models.items()
            if model.retires is not None and (within_days is None or self._days_left(model) <= within_days)
        }

    def _days_left(self, model: Model) -> int:
        assert model.retires is not None
        return (model.retires - datetime.fromtimestamp(self._app.clock.now(), UTC).date()).days

    async def _uses(self, name: str, model: Model) -> list[Use]:
        """The workflows whose new runs ask it, under this name and at the same provider."""
        found: list[Use] = []
        for workflow in sorted({document.id for document in self._app.checked.shelf.documents}):
            bundle = await base_of(self._app, workflow)
            rooms = await self._app.versions.rooms(bundle)
            there = rooms.project.settings.models.get(name)
            if f"settings/models/{name}" not in bundle.pieces or there is None:
                continue
            if (there.provider, there.base_url) != (model.provider, model.base_url):
                continue
            by = [each for each in rooms.checked.agents if f"agents/{each}.yaml" in bundle.pieces]
            asking = [
                each for each in by if _leads_to(rooms.checked.agents[each].model, name, rooms.project.settings.models)
            ]
            found.append(Use(bundle=bundle, by=asking))
        return found

    # --- what is done about it ---

    async def _take_on(self, name: str, model: Model, uses: Sequence[Use], *, by_hand: bool) -> None:
        used = "; ".join(" by ".join([use.bundle.workflow, *([", ".join(use.by)] if use.by else [])]) for use in uses)
        days = self._days_left(model)
        when = f"retires on {model.retires}, in {days} days" if days > 0 else f"is retired since {model.retires}"
        target = target_of(model_settings(self._app.project)[name])
        incident = await self._incidents.open(IncidentKind.RETIREMENT, name, target, what=f"{when}; used in {used}")
        if not await self._incidents.claim(incident, CLAIM_S) and not by_hand:
            return
        for use in uses:
            try:
                await self._succeed(incident, name, model, use)
            except UserError as error:
                await self._note(incident, use, f"stuck:{error.code}", "waiting", f"not prepared: {error.message}")

    async def _succeed(self, incident: str, name: str, model: Model, use: Use) -> None:
        if not model.successors:
            hint = f"nothing is named to succeed it: models.{name}.successors in orchestrion.yaml"
            await self._note(incident, use, "no-successor", "no-successor", hint)
            return
        for successor in model.successors:
            candidate = await self._candidate(name, model, successor, use)
            verdict = await self._verdict(incident, successor, candidate, use)
            if verdict != "failed" and await self._offer(incident, name, model, successor, candidate, use, verdict):
                return

    async def _candidate(self, name: str, model: Model, successor: str, use: Use) -> Bundle:
        """The version in which a successor stands in the model's place, under its name."""
        known = self._app.project.settings.models.get(successor) or Model(provider=successor)
        fallback = [each for each in (*known.fallback, *model.fallback) if each not in {successor, name}]
        placed = known.model_copy(update={"fallback": tuple(dict.fromkeys(fallback))})
        pieces = model_pieces(self._app.project, self._app.checked, self._app.catalog, placed, name)
        changed = {
            piece: content
            for piece, content in pieces.items()
            if piece == f"settings/models/{name}" or piece not in use.bundle.pieces
        }
        return await make_candidate(self._app, use.bundle, changed, why=f"{successor} in the place of {name}")

    async def _verdict(self, incident: str, successor: str, candidate: Bundle, use: Use) -> str:
        """What evaluations say of a candidate; once said, it is said until versions or evaluations change."""
        texts: Json = dict(evaluations_of(self._app, candidate.workflow))
        mark = f"tried:{digest([candidate.digest, use.bundle.digest, texts])[:32]}"
        for step in await self._incidents.steps(incident):
            if step.mark == f"{mark}:{use.bundle.workflow}":
                return str(_told(step)["verdict"])
        proof = await prove(self._app, candidate, use.bundle)
        stage = "failed" if proof.verdict == "failed" else "waiting"
        more = {"successor": successor, "candidate": candidate.digest, **proof.to_json()}
        await self._note(incident, use, mark, stage, f"{successor!r} {_SAID[proof.verdict]}: {proof.words}", more)
        return proof.verdict

    async def _offer(
        self, incident: str, name: str, model: Model, successor: str, candidate: Bundle, use: Use, verdict: str
    ) -> bool:
        """Propose a candidate, or put it on trial. False for one that was taken back."""
        more: dict[str, Json] = {"successor": successor, "candidate": candidate.digest}
        tried = [
            each
            for each in await oversight_of(self._app).rollouts.listed(100)
            if each.candidate == candidate.digest and each.control == use.bundle.digest
        ]
        if any(each.status is RolloutStatus.RUNNING for each in tried):
            return True
        for each in tried:
            if each.status is RolloutStatus.ROLLED_BACK:
                await self._note(incident, use, f"back:{each.id}", "taken-back", f"{successor!r}: {each.verdict}", more)
                return False
        await name_candidate(self._app, candidate, why=f"{successor} in the place of {name}")
        deployed = await self._app.versions.production(use.bundle.workflow)
        if model.succession == "canary" and verdict == "passed" and deployed is not None and not tried:
            begun = await put_on_trial(self._app, candidate, Plan(shares=SHARES), by=BY)
            what = f"{successor!r} is on trial in its place: orchestrion rollouts show {begun.id[:13]}"
            await self._note(incident, use, f"trial:{begun.id}", "on-trial", what, {**more, "rollout": begun.id})
            return True
        accept = f"orchestrion deploy {use.bundle.workflow} --version {short(candidate.digest)}"
        what = f'{successor!r} is proposed in its place. To accept: {accept} --why "{successor} succeeds {name}"'
        await self._note(incident, use, f"proposed:{candidate.digest}", "proposed", what, more)
        return True

    async def _note(
        self, incident: str, use: Use, mark: str, stage: str, what: str, more: Mapping[str, Json] | None = None
    ) -> None:
        workflow = use.bundle.workflow
        told: Json = {"workflow": workflow, "stage": stage, **(more or {})}
        await self._incidents.note(incident, f"{mark}:{workflow}", f"{workflow}: {what}", told=told)


_SAID = {"passed": "has passed", "failed": "has not passed", "unproven": "is not proven"}


def _told(step: IncidentStep) -> Mapping[str, Json]:
    return cast("Mapping[str, Json]", step.told) if isinstance(step.told, Mapping) else {}


def _leads_to(names: Sequence[str], wanted: str, models: Mapping[str, Model]) -> bool:
    """Whether a model is among these, or among their fallbacks."""
    seen: set[str] = set()
    waiting = list(names)
    while waiting:
        name = waiting.pop()
        if name == wanted:
            return True
        if name in models and name not in seen:
            waiting += models[name].fallback
        seen.add(name)
    return False
