"""One engagement of an agent: what it may use, what it has used, and every effect of it on its way through the gate."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Literal, cast

from pydantic_ai.exceptions import CallDeferred
from pydantic_ai.messages import ModelMessage, ModelResponse, ToolCallPart, ToolReturn
from pydantic_ai.models import ModelRequestContext

from orchestrion.core import (
    ERROR_TYPES,
    Acting,
    BugError,
    Clock,
    Cost,
    Datum,
    Effects,
    Faulted,
    Fenced,
    Invocation,
    Json,
    Nature,
    NeedsApproval,
    OrchestrionError,
    Outcome,
    Problem,
    UserError,
    canonical_error_type,
)
from orchestrion.models import Asked, Audience, Candidate, Voice, cost_of

from ._call import plain_result, tool_invocation
from ._claims import Proof
from ._contribution import said_by
from ._definition import AgentDefinition
from ._history import call_ids
from ._messages import Conversation, governable, new_messages, response_from, response_json
from ._panel import Panel
from ._seat import ENGAGE, Seat
from ._team import Member

MODEL_FUNCTION = "model:1.0.0"


def turn_of(invocation: Invocation) -> str:
    """Where everything within an engagement is recorded."""
    return f"{invocation.key}/turn/0"


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Place:
    """Where a tool call stands: the number of the answer that asked for it, and its position in that answer."""

    request: int
    position: int


@dataclass(slots=True, kw_only=True)
class Engagement:
    """Rebuilt by walking through the records, in whatever process."""

    definition: AgentDefinition
    invocation: Invocation
    given: Datum
    effects: Effects
    candidates: Sequence[Candidate]
    clock: Clock
    as_agent: bool
    """Whether policies see the agent as the one who acts, or the workflow itself."""
    heard: frozenset[str]
    """Labels of everything the model has seen."""
    past: Sequence[ModelMessage] = ()
    """What was said in its session before this engagement."""
    first: int = 0
    """The candidate to ask first: once one has failed, the next keeps the conversation."""
    requests: int = 0
    cost: Cost = field(default_factory=Cost)
    seconds: float = 0.0
    price_known: bool = True
    places: dict[str, Place] = field(default_factory=dict[str, Place])
    answers: list[dict[str, Json]] = field(default_factory=list[dict[str, Json]])
    seat: Seat | None = None
    """Its place in a team, if it works in one."""
    panel: Panel | None = None
    """What it has to sum up."""
    audience: Audience | None = None
    """Who may follow its answers as they come."""
    blocked: int = 0
    """Answers that its guard did not let pass."""
    fresh: int | None = None
    """The number of the answer that a model gave in this process last."""
    conversation: Conversation = field(default_factory=Conversation)
    taken: "tuple[Member, Datum, Mapping[str, Json]] | None" = None
    """The colleague that took the task over, its answer, and why."""
    results: dict[Place, tuple[str, Literal["done", "refused", "failed"], Json]] = field(
        default_factory=dict[Place, tuple[str, Literal["done", "refused", "failed"], Json]]
    )
    """Tool, how its call ended, and what it gave."""
    proofs: dict[str, Proof] = field(default_factory=dict[str, Proof])
    """Results by the ids that answers cite."""

    @property
    def used(self) -> list[Json]:
        """Every tool call and how it ended, in the order in which they were asked for."""
        return [
            {"tool": tool, "status": status, **(cast("dict[str, Json]", result) if status != "done" else {})}
            for _, (tool, status, result) in sorted(self.results.items())
        ]

    @property
    def base(self) -> str:
        return turn_of(self.invocation)

    # --- models ---

    async def ask(self, request: ModelRequestContext) -> ModelResponse:
        """The next answer, from the record or from a model. Raises: Faulted with `limit-…`, or the last model's failure."""
        self._require_room()
        number = self.requests
        self.requests += 1
        failed: list[Json] = []
        while True:
            candidate = self.candidates[self.first]
            suffix = f"/fallback/{self.first}" if self.first else ""
            invocation = self._model_invocation(f"{self.base}/model/{number}{suffix}", candidate, request)
            nature = Nature(
                effect=candidate.effect,
                idempotent=True,
                resource=("Model", candidate.name),
                seen={"region": candidate.region} if candidate.region else {},
            )
            try:
                outcome = await self.effects.record(
                    invocation, nature, lambda one=candidate: self._perform(number, one, request, failed)
                )
            except OrchestrionError as error:
                if isinstance(error, BugError | Fenced) or error.code.startswith("limit-"):
                    raise
                if error.code == "policy-denied":
                    await candidate.health.refused(self._passed_over(), candidate, error.message, self.effects.run.id)
                if self._was_last():
                    raise
                failed.append({"model": candidate.name, "problem": error.code})
                self.first += 1
                continue
            return self._take(number, outcome, failed)

    def _passed_over(self) -> Sequence[Candidate]:
        """The models before the one that is asked now."""
        return self.candidates[: self.first]

    def _was_last(self) -> bool:
        return self.first + 1 >= len(self.candidates)

    def _model_invocation(self, key: str, candidate: Candidate, request: ModelRequestContext) -> Invocation:
        parameters = request.model_request_parameters
        arguments: dict[str, Json] = {
            "model": candidate.name,
            "new": new_messages(request.messages),
            "earlier": self.conversation.earlier(request.messages),
            "tools": [tool.name for tool in parameters.function_tools],
            "agent": self.definition.version,
        }
        acting = Acting(
            principal=("Agent", self.definition.name),
            action="model",
            arguments={"model": candidate.name, **({"region": candidate.region} if candidate.region else {})},
            version=self.definition.version,
        )
        return Invocation(
            key=key,
            task=self.invocation.task,
            function=MODEL_FUNCTION,
            arguments=Datum(arguments, {"/new": self.heard} if self.heard else {}),
            acting=acting if self.as_agent else None,
        )

    async def _perform(
        self, number: int, candidate: Candidate, request: ModelRequestContext, failed: Sequence[Json]
    ) -> Outcome:
        limit = self.definition.limits.seconds
        left = None if limit is None else limit - self.seconds
        began = self.clock.monotonic()
        try:
            asked = await candidate.ask(
                request.messages,
                request.model_settings,
                request.model_request_parameters,
                run_id=self.effects.run.id,
                timeout_s=left,
                voice=None if self.definition.guard is not None else self.voice(number),
            )
        except OrchestrionError as error:
            if left is not None and error.code == "model-timeout" and left < candidate.timeout_s:
                raise self._reached("seconds", limit) from error
            if self._was_last():
                await candidate.health.not_followed(self.candidates, error, self.effects.run.id)
            raise
        self.fresh = number
        if failed:
            await candidate.health.followed(self._passed_over(), candidate, self.effects.run.id)
        seconds = round(self.clock.monotonic() - began - asked.waited_s, 3)
        output_tools = {tool.name for tool in request.model_request_parameters.output_tools}
        answer = governable(asked.response, {*self.places, *call_ids(self.past)}, output_tools, f"m{number:03d}")
        cost, known = cost_of(answer, candidate.price)
        why: dict[str, Json] = {**cast("dict[str, Json]", answer.metadata or {}), "seconds": seconds}
        if candidate.effect == "read":
            why |= {"answered_by": "language model", "price_known": known, **_told(candidate, asked)}
        if failed:
            why["failed"] = list(failed)
        output = Datum(response_json(answer), {"": self.heard} if self.heard else {})
        return Outcome(output=output, cost=cost, model=candidate.name, why=why)

    def _take(self, number: int, outcome: Outcome, failed: Sequence[Json]) -> ModelResponse:
        response = response_from(outcome.output.value)
        why = cast("Mapping[str, Json]", outcome.why)  # `_perform` wrote it
        self.seconds += cast("float", why.get("seconds", 0.0))
        self.price_known = self.price_known and why.get("price_known") is not False
        if outcome.cost is not None:
            self.cost = _sum(self.cost, outcome.cost)
        if self.seat is not None:
            self.seat.ledger.turns += 1
            self.seat.ledger.spend(outcome.cost)
        shown = {
            name: why[name] for name in ("answered_by", "playbook", "rule", "why", "because", "intent") if name in why
        }
        self.answers.append({"model": outcome.model, **shown, **({"failed": list(failed)} if failed else {})})
        calls = (part for part in response.parts if isinstance(part, ToolCallPart))
        for position, call in enumerate(calls):
            self.places[call.tool_call_id] = Place(request=number, position=position)
        return response

    def voice(self, number: int) -> Voice | None:
        """A fallback speaks at the same key: its answer takes the place of the one that failed."""
        if self.audience is None:
            return None
        return Voice(audience=self.audience, run_id=self.effects.run.id, key=f"{self.base}/model/{number}")

    def _require_room(self) -> None:
        limits = self.definition.limits
        if self.requests >= limits.turns:
            raise self._reached("turns", limits.turns)
        if limits.usd is not None and self.cost.usd_micros >= limits.usd * 1_000_000 and self.cost.usd_micros > 0:
            raise self._reached("usd", limits.usd)
        if limits.seconds is not None and self.seconds >= limits.seconds:
            raise self._reached("seconds", limits.seconds)
        if self.seat is not None:
            ledger, limits = self.seat.ledger, self.seat.limits
            if ledger.turns >= limits.turns:
                raise self._reached("turns", limits.turns)
            if limits.usd is not None and ledger.cost.usd_micros >= limits.usd * 1_000_000 and ledger.cost.usd_micros:
                raise self._reached("usd", limits.usd)

    def _reached(self, bound: Literal["turns", "usd", "seconds", "depth"], limit: float | None) -> Faulted:
        return Faulted(
            Problem(
                type=ERROR_TYPES["timeout" if bound == "seconds" else "runtime"],
                status=504 if bound == "seconds" else 500,
                title="Limit reached",
                detail=f"The agent {self.definition.name!r} reached its limit of {limit} {bound}.",
                instance=self.invocation.task,
                code=f"limit-{bound}",
                hint=f"Raise `limits.{bound}`, or find out why it goes on: its answers are in the record.",
            )
        )

    # --- tools ---

    async def use(self, call: ToolCallPart, arguments: Mapping[str, Json]) -> ToolReturn[Any]:
        """A tool's result. Raises: CallDeferred for what has to be waited for, and for calls that are made together."""
        if self._member(call) is not None or self._asked_for(call) > 1:
            raise CallDeferred
        try:
            invocation = self._tool_invocation(call, arguments)
            waits = self.definition.tool(call.tool_name).waits
            if waits or isinstance(await self.effects.decide(invocation), NeedsApproval):
                raise CallDeferred
        except UserError as error:
            return self._misused(call, error)
        return await self._invoke(call, invocation, self.effects)

    async def use_deferred(self, calls: Sequence[ToolCallPart]) -> dict[str, ToolReturn[Any]] | None:
        """The results of calls that ended the turn, by their ids; this is where days may pass.

        None when a colleague has taken the task over.
        """
        taking = [call for call in calls if self._member(call) is not None and self.seat and self.seat.hands_over]
        results = await self._together([call for call in calls if call not in taking])
        for call in taking:
            invocation = self._tool_invocation(call, call.args_as_dict())
            results[call.tool_call_id] = await self._invoke(call, invocation, self.effects)
            if self.taken is not None:
                return None
        return results

    async def _together(self, calls: Sequence[ToolCallPart]) -> dict[str, ToolReturn[Any]]:
        """Calls of one answer at once. What they are given stems from before any of them."""
        if not calls:
            return {}
        found: dict[str, ToolReturn[Any]] = {}
        ready: dict[int, tuple[ToolCallPart, Invocation]] = {}
        for call in calls:
            try:
                invocation = self._tool_invocation(call, cast("dict[str, Json]", call.args_as_dict()))
            except UserError as error:
                found[call.tool_call_id] = self._misused(call, error)
            else:
                ready[self.places[call.tool_call_id].position] = call, invocation

        async def perform(position: int, effects: Effects) -> None:
            if position in ready:
                call, invocation = ready[position]
                found[call.tool_call_id] = await self._invoke(call, invocation, effects)

        if len(ready) == 1:
            await perform(next(iter(ready)), self.effects)
        elif ready:
            key = f"{self.base}/model/{self.places[calls[0].tool_call_id].request}/tool"
            branches = [partial(perform, position) for position in range(max(ready) + 1)]
            await self.effects.fork(key, self.invocation.task, branches)
        return found

    def _member(self, call: ToolCallPart) -> Member | None:
        return self.seat.colleagues.get(call.tool_name) if self.seat else None

    def _asked_for(self, call: ToolCallPart) -> int:
        """How many calls the answer has that asked for this one."""
        request = self.places[call.tool_call_id].request
        return sum(place.request == request for place in self.places.values())

    def _tool_invocation(self, call: ToolCallPart, arguments: Mapping[str, Json]) -> Invocation:
        place = self.places[call.tool_call_id]
        key = f"{self.base}/model/{place.request}/tool/{place.position}"
        if self.seat is not None and (member := self._member(call)) is not None:
            return self.seat.invocation(
                self.definition,
                member,
                arguments,
                heard=self.heard,
                found={tool: result for tool, status, result in self.results.values() if status == "done"},
                key=key,
                task=self.invocation.task,
            )
        return tool_invocation(
            self.definition,
            self.definition.tool(call.tool_name),
            arguments,
            given=self.given,
            heard=self.heard,
            key=key,
            task=self.invocation.task,
        )

    async def _invoke(self, call: ToolCallPart, invocation: Invocation, effects: Effects) -> ToolReturn[Any]:
        """Refusals and failures are results that the model sees."""
        member = self._member(call)
        try:
            if member is not None and self.seat is not None and self.seat.limits.depth <= 0:
                raise self._reached("depth", self.seat.limits.depth)
            outcome = await effects.invoke(invocation)
        except OrchestrionError as error:
            if isinstance(error, BugError | Fenced):
                raise
            return self._not_done(call, member, error.problem)
        if member is not None:
            return self._contributed(call, member, invocation, outcome, effects)
        tool = self.definition.tool(call.tool_name)
        self.heard |= outcome.output.every_label() | tool.labels
        result = plain_result(tool, outcome.output.value)
        return self._ended(call, "done", result, content=result)

    def _not_done(self, call: ToolCallPart, member: Member | None, problem: Problem) -> ToolReturn[Any]:
        reason = _reason(problem)
        refused = canonical_error_type(problem.type) == ERROR_TYPES["authorization"]
        if refused:
            said_no = (problem.model_extra or {}).get("refused_by")
            reason["by"] = said_no if isinstance(said_no, str) else "policy"
        if member is not None:
            ended: Json = {"member": member.name, "status": "refused" if refused else "failed", **reason}
            self._note(call, [ended])
        if refused:
            return self._ended(call, "refused", reason, content={"refused": reason["reason"]})
        content: dict[str, Json] = {"failed": reason["reason"], "code": problem.code}
        if isinstance(said := (problem.model_extra or {}).get("said"), str):
            content["said"] = said
            self.heard |= {"untrusted"}
        return self._ended(call, "failed", reason, content=content)

    def _contributed(
        self, call: ToolCallPart, member: Member, invocation: Invocation, outcome: Outcome, effects: Effects
    ) -> ToolReturn[Any]:
        """What a colleague gave, as a node of the run's tree and a contribution to the team's result."""
        self.heard |= outcome.output.every_label()
        said = said_by(member, outcome)
        effects.trace(f"{invocation.key}/end", invocation.task, ENGAGE, outcome.output, why=outcome.why)
        self._note(call, said.contributions, turns=said.turns, cost=outcome.cost)
        if said.bound is not None:
            content: Json = {"failed": said.bound, "achieved": said.contributions}
            return self._ended(call, "failed", {"reason": said.bound, "code": said.code}, content=content)
        if self.seat is not None and self.seat.hands_over:
            self.taken = member, Datum(said.result, outcome.output.labels), cast("Mapping[str, Json]", outcome.why)
        return self._ended(call, "done", said.result, content=said.result)

    def _note(
        self, call: ToolCallPart, contributions: Sequence[Json], *, turns: int = 0, cost: Cost | None = None
    ) -> None:
        assert self.seat is not None  # only members contribute
        place = self.places[call.tool_call_id]
        self.seat.ledger.add((place.request, place.position), contributions, turns=turns, cost=cost)

    def _misused(self, call: ToolCallPart, error: UserError) -> ToolReturn[Any]:
        return self._ended(call, "failed", _reason(error.problem), content={"failed": error.message})

    def _ended(
        self,
        call: ToolCallPart,
        status: Literal["done", "refused", "failed"],
        result: Json,
        *,
        content: Json,
    ) -> ToolReturn[Any]:
        self.results[self.places[call.tool_call_id]] = call.tool_name, status, result
        metadata: dict[str, Json] = {"status": status, "result": result}
        if self.definition.claims:
            metadata["entry"] = self._citable(call, status)
            content = {"entry": metadata["entry"], "result": content}
        return ToolReturn(return_value=content, metadata=metadata)

    def _citable(self, call: ToolCallPart, status: str) -> str:
        """The id by which answers cite this result: its number among the calls asked for, whenever it ended."""
        name = f"tool/{list(self.places).index(call.tool_call_id) + 1}"
        place = self.places[call.tool_call_id]
        key = f"{self.base}/model/{place.request}/tool/{place.position}"
        self.proofs[name] = Proof(tool=call.tool_name, status=status, key=key)
        return name


def _told(candidate: Candidate, asked: Asked) -> dict[str, Json]:
    """What the record says of how an answer was got, where there is something to say."""
    told: dict[str, Json] = {}
    if asked.attempts > 1:
        told["attempts"] = asked.attempts
    if asked.waited_s >= 0.001:
        told["waited_s"] = round(asked.waited_s, 3)
    if candidate.region is not None:
        told["region"] = candidate.region
    return told


def _reason(problem: Problem) -> dict[str, Json]:
    return {"reason": problem.detail or problem.title, "code": problem.code}


def _sum(one: Cost, other: Cost) -> Cost:
    return Cost(
        usd_micros=one.usd_micros + other.usd_micros,
        input_tokens=one.input_tokens + other.input_tokens,
        output_tokens=one.output_tokens + other.output_tokens,
    )
