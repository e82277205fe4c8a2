"""One engagement of an agent: what it may use, what it has used, and every effect of it on its way through the gate."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, cast

from pydantic_ai.exceptions import CallDeferred
from pydantic_ai.messages import ModelResponse, ToolCallPart, ToolReturn
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
from orchestrion.models import Candidate, cost_of

from ._call import plain_result, tool_invocation
from ._definition import AgentDefinition
from ._messages import earlier, governable, new_messages, response_from, response_json

MODEL_FUNCTION = "model:1.0.0"


def turn_of(invocation: Invocation) -> str:
    """Where everything within an engagement is recorded."""
    return f"{invocation.key}/turn/0"


@dataclass(frozen=True, slots=True, kw_only=True)
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
    first: int = 0
    """The candidate to ask first: once one has failed, the next keeps the conversation."""
    requests: int = 0
    cost: Cost = field(default_factory=Cost)
    seconds: float = 0.0
    price_known: bool = True
    places: dict[str, Place] = field(default_factory=dict[str, Place])
    answers: list[dict[str, Json]] = field(default_factory=list[dict[str, Json]])
    used: list[dict[str, Json]] = field(default_factory=list[dict[str, Json]])

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
            nature = Nature(effect=candidate.effect, idempotent=True, resource=("Model", candidate.name))
            try:
                outcome = await self.effects.record(
                    invocation, nature, lambda one=candidate: self._perform(number, one, request)
                )
            except OrchestrionError as error:
                if isinstance(error, BugError | Fenced) or error.code.startswith("limit-") or self._was_last():
                    raise
                failed.append({"model": candidate.name, "problem": error.code})
                self.first += 1
                continue
            return self._take(number, outcome, failed)

    def _was_last(self) -> bool:
        return self.first + 1 >= len(self.candidates)

    def _model_invocation(self, key: str, candidate: Candidate, request: ModelRequestContext) -> Invocation:
        parameters = request.model_request_parameters
        arguments: dict[str, Json] = {
            "model": candidate.name,
            "new": new_messages(request.messages),
            "earlier": earlier(request.messages),
            "tools": [tool.name for tool in parameters.function_tools],
            "agent": self.definition.version,
        }
        acting = Acting(
            principal=("Agent", self.definition.name),
            action="model",
            arguments={"model": candidate.name},
            version=self.definition.version,
        )
        return Invocation(
            key=key,
            task=self.invocation.task,
            function=MODEL_FUNCTION,
            arguments=Datum(arguments, {"/new": self.heard} if self.heard else {}),
            acting=acting if self.as_agent else None,
        )

    async def _perform(self, number: int, candidate: Candidate, request: ModelRequestContext) -> Outcome:
        limit = self.definition.limits.seconds
        left = None if limit is None else limit - self.seconds
        began = self.clock.monotonic()
        try:
            answer = await candidate.ask(
                request.messages, request.model_settings, request.model_request_parameters, timeout_s=left
            )
        except OrchestrionError as error:
            if left is not None and error.code == "model-timeout" and left < candidate.timeout_s:
                raise self._reached("seconds", limit) from error
            raise
        seconds = round(self.clock.monotonic() - began, 3)
        output_tools = {tool.name for tool in request.model_request_parameters.output_tools}
        answer = governable(answer, set(self.places), output_tools, f"m{number:03d}")
        cost, known = cost_of(answer)
        why: dict[str, Json] = {**cast("dict[str, Json]", answer.metadata or {}), "seconds": seconds}
        if candidate.effect == "read":
            why |= {"answered_by": "language model", "price_known": known}
        output = Datum(response_json(answer), {"": self.heard} if self.heard else {})
        return Outcome(output=output, cost=cost, model=candidate.name, why=why)

    def _take(self, number: int, outcome: Outcome, failed: Sequence[Json]) -> ModelResponse:
        response = response_from(outcome.output.value)
        why = cast("Mapping[str, Json]", outcome.why)  # `_perform` wrote it
        self.seconds += cast("float", why.get("seconds", 0.0))
        self.price_known = self.price_known and why.get("price_known") is not False
        if outcome.cost is not None:
            self.cost = _sum(self.cost, outcome.cost)
        shown = {name: why[name] for name in ("answered_by", "playbook", "rule", "why") if name in why}
        self.answers.append({"model": outcome.model, **shown, **({"failed": list(failed)} if failed else {})})
        calls = (part for part in response.parts if isinstance(part, ToolCallPart))
        for position, call in enumerate(calls):
            self.places[call.tool_call_id] = Place(request=number, position=position)
        return response

    def _require_room(self) -> None:
        limits = self.definition.limits
        if self.requests >= limits.turns:
            raise self._reached("turns", limits.turns)
        if limits.usd is not None and self.cost.usd_micros >= limits.usd * 1_000_000 and self.cost.usd_micros > 0:
            raise self._reached("usd", limits.usd)
        if limits.seconds is not None and self.seconds >= limits.seconds:
            raise self._reached("seconds", limits.seconds)

    def _reached(self, bound: Literal["turns", "usd", "seconds"], limit: float | None) -> Faulted:
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
        """A tool's result. Raises: CallDeferred when a person or another workflow has to be waited for."""
        try:
            invocation = self._tool_invocation(call, arguments)
            waits = self.definition.tool(call.tool_name).waits
            if waits or isinstance(await self.effects.decide(invocation), NeedsApproval):
                raise CallDeferred
        except UserError as error:
            return self._ended(call, "failed", _reason(error.problem), content={"failed": error.message})
        return await self._invoke(call, invocation, waited=False)

    async def use_deferred(self, call: ToolCallPart) -> ToolReturn[Any]:
        """The result of a call that ended the turn; this is where days may pass."""
        arguments = cast("dict[str, Json]", call.args_as_dict())
        return await self._invoke(call, self._tool_invocation(call, arguments), waited=True)

    def _tool_invocation(self, call: ToolCallPart, arguments: Mapping[str, Json]) -> Invocation:
        place = self.places[call.tool_call_id]
        return tool_invocation(
            self.definition,
            self.definition.tool(call.tool_name),
            arguments,
            given=self.given,
            heard=self.heard,
            key=f"{self.base}/model/{place.request}/tool/{place.position}",
            task=self.invocation.task,
        )

    async def _invoke(self, call: ToolCallPart, invocation: Invocation, *, waited: bool) -> ToolReturn[Any]:
        """Refusals and failures are results that the model sees."""
        try:
            outcome = await self.effects.invoke(invocation)
        except OrchestrionError as error:
            if isinstance(error, BugError | Fenced):
                raise
            problem = error.problem
            if canonical_error_type(problem.type) == ERROR_TYPES["authorization"]:
                reason = {**_reason(problem), "by": _refused_by(problem, waited=waited)}
                return self._ended(call, "refused", reason, content={"refused": reason["reason"]})
            reason = _reason(problem)
            content: dict[str, Json] = {"failed": reason["reason"], "code": problem.code}
            if isinstance(said := (problem.model_extra or {}).get("said"), str):
                content["said"] = said
                self.heard |= {"untrusted"}
            return self._ended(call, "failed", reason, content=content)
        tool = self.definition.tool(call.tool_name)
        self.heard |= outcome.output.every_label() | tool.labels
        result = plain_result(tool, outcome.output.value)
        return self._ended(call, "done", result, content=result)

    def _ended(
        self,
        call: ToolCallPart,
        status: Literal["done", "refused", "failed"],
        result: Json,
        *,
        content: Json,
    ) -> ToolReturn[Any]:
        entry: dict[str, Json] = {"tool": call.tool_name, "status": status}
        if status != "done":
            entry |= cast("dict[str, Json]", result)
        self.used.append(entry)
        return ToolReturn(return_value=content, metadata={"status": status, "result": result})


def _reason(problem: Problem) -> dict[str, Json]:
    return {"reason": problem.detail or problem.title, "code": problem.code}


def _refused_by(problem: Problem, *, waited: bool) -> str:
    extra = (problem.model_extra or {}).get("refused_by")
    return extra if isinstance(extra, str) else "person" if waited else "policy"


def _sum(one: Cost, other: Cost) -> Cost:
    return Cost(
        usd_micros=one.usd_micros + other.usd_micros,
        input_tokens=one.input_tokens + other.input_tokens,
        output_tokens=one.output_tokens + other.output_tokens,
    )
