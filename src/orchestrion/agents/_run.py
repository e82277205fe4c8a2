"""The turn loop: pydantic-ai thinks, and everything it wants passes through the engagement."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, cast

from pydantic import BaseModel
from pydantic_ai import (
    Agent,
    DeferredToolRequests,
    DeferredToolResults,
    ModelRetry,
    RunContext,
    StructuredDict,
    Tool,
    ToolOutput,
)
from pydantic_ai.capabilities import AbstractCapability
from pydantic_ai.exceptions import AgentRunError
from pydantic_ai.messages import ModelMessage, ModelResponse, ToolCallPart
from pydantic_ai.models import ModelRequestContext
from pydantic_ai.tools import ToolDefinition
from pydantic_ai.usage import UsageLimits

from orchestrion.core import (
    ERROR_TYPES,
    BugError,
    Clock,
    Datum,
    Effects,
    Faulted,
    Invocation,
    Json,
    Outcome,
    Problem,
    UserError,
    dump,
    merge_labels,
    move_labels,
    parse,
    sub_labels,
)
from orchestrion.models import ASK_TOOL, Models
from orchestrion.spec import Schema, pointer_step

from ._answer import with_fields
from ._claims import proven, unproven
from ._definition import AgentDefinition, AgentTool
from ._engagement import Engagement, turn_of
from ._examples import shown_examples
from ._guarded import guarded
from ._history import spoken
from ._offers import described
from ._panel import PANEL_FIELDS, Panel
from ._seat import Seat
from ._session import Session

RETRIES = 2
"""How often a model may correct arguments of a tool, and its answer."""


class _Question(BaseModel):
    """Ask the customer back, when the answer depends on something only the customer knows."""

    question: str


_ASKING = ToolOutput(_Question, name=ASK_TOOL)


@dataclass
class _Durable(AbstractCapability[Engagement]):
    """Sends each model request and each tool call of pydantic-ai through the engagement."""

    async def wrap_model_request(
        self, ctx: RunContext[Engagement], *, request_context: ModelRequestContext, handler: object
    ) -> ModelResponse:
        return await ctx.deps.ask(request_context)

    async def wrap_tool_execute(
        self,
        ctx: RunContext[Engagement],
        *,
        call: ToolCallPart,
        tool_def: ToolDefinition,
        args: dict[str, Any],
        handler: object,
    ) -> object:
        return await ctx.deps.use(call, args)


async def run_agent(
    definition: AgentDefinition,
    input: Datum,  # noqa: A002  the word of the workflow language
    invocation: Invocation,
    effects: Effects,
    *,
    models: Models,
    clock: Clock,
    as_agent: bool = True,
    seat: Seat | None = None,
    panel: Panel | None = None,
    session: Session | None = None,
    history: Datum | None = None,
) -> Outcome:
    """Engage an agent and give its answer, or in a team perhaps that of the colleague who took the task over.

    Walked again, it takes every answer and result from the record. `panel` is what the members of a panel said, whose answers
    this agent has to bring together. The model is shown what was said before in the `session`, or what `history` says.

    Raises: Faulted with the code `limit-turns`, `limit-usd`, `limit-seconds`, `agent-gave-up`, or the last model's failure;
    UserError `agent-input`.
    """
    given, dropped = _declared(definition, input, also=("panel",) if panel else ())
    if dropped:
        effects.trace(f"{turn_of(invocation)}/dropped", invocation.task, "agent-input", _paths(dropped, input))
    definition, offered = await described(definition, invocation, effects, base=turn_of(invocation), as_agent=as_agent)
    engagement = Engagement(
        definition=definition,
        invocation=invocation,
        given=given,
        effects=effects,
        candidates=models.candidates(definition.model, definition.playbook),
        clock=clock,
        as_agent=as_agent,
        heard=given.every_label() | offered,
        seat=seat,
        panel=panel,
        audience=models.audience,
    )
    if history is not None:
        engagement.past = spoken(history.value)
        engagement.heard |= history.every_label()
    recipe = _Recipe(
        version=definition.version, definition=definition, sums_up=panel is not None, offered=_offered(seat)
    )
    answer = await _answered(_agent(recipe), engagement, session)
    if engagement.taken is not None:
        member, said, why = engagement.taken
        return Outcome(output=said, cost=engagement.cost, why={**why, "handed_over_to": member.name})
    value: Json = {"reply": answer} if isinstance(answer, str) else answer
    why = _why(engagement, dropped)
    if definition.claims:
        why["claims"] = proven(value, engagement.proofs)
    labels = engagement.heard | definition.labels
    return Outcome(
        output=Datum(value, {"": labels} if labels else {}),
        cost=engagement.cost,
        model=", ".join(dict.fromkeys(str(one["model"]) for one in engagement.answers)),
        why=why,
    )


async def _answered(agent: "Agent[Engagement, Any]", engagement: Engagement, session: Session | None) -> Json:
    """The answer, which stands in the session if there is one."""
    if session is None:
        return (await _converse(agent, engagement))[0]
    await session.begin(engagement)
    try:
        answer, messages = await _converse(agent, engagement)
    except Faulted:
        await session.give_up(engagement)
        raise
    await session.end(engagement, messages, answer)
    return answer


async def _converse(agent: "Agent[Engagement, Any]", engagement: Engagement) -> tuple[Json, list[ModelMessage]]:
    """The answer, and everything that was said for it."""
    prompt: str | None = dump(engagement.given.value)
    history: list[ModelMessage] | None = list(engagement.past) or None
    results: DeferredToolResults | None = None
    while True:
        try:
            with agent.parallel_tool_call_execution_mode("sequential"):
                run = await agent.run(
                    prompt,
                    model=engagement.candidates[0].model,
                    deps=engagement,
                    message_history=history,
                    deferred_tool_results=results,
                    usage_limits=UsageLimits(request_limit=None),
                )
        except AgentRunError as error:
            raise _gave_up(engagement, error) from error
        if not isinstance(run.output, DeferredToolRequests):
            return cast("Json", run.output), run.all_messages()[len(engagement.past) :]
        ended = await engagement.use_deferred(run.output.calls)
        if ended is None:
            return None, run.all_messages()[len(engagement.past) :]
        results = DeferredToolResults(calls=dict(ended))
        prompt, history = None, run.all_messages()


@dataclass(frozen=True, slots=True)
class _Offered:
    """A colleague as a tool."""

    name: str
    description: str
    parameters: str
    """JSON text, so that it can be compared."""
    contains: tuple[str, ...]


def _offered(seat: Seat | None) -> tuple[_Offered, ...]:
    if seat is None:
        return ()
    return tuple(
        _Offered(name, seat.description(member), dump(seat.parameters(member)), tuple(member.inside()))
        for name, member in seat.colleagues.items()
    )


@dataclass(frozen=True, slots=True)
class _Recipe:
    """Agents of the same version, and with the same colleagues, are the same."""

    version: str
    definition: AgentDefinition = field(compare=False)
    sums_up: bool = False
    """Whether it is asked to sum a panel up."""
    offered: tuple[_Offered, ...] = ()


@lru_cache(maxsize=64)
def _agent(recipe: _Recipe) -> "Agent[Engagement, Any]":
    definition = recipe.definition
    output = with_fields(definition.output_fields, PANEL_FIELDS) if recipe.sums_up else definition.output_fields
    schema = None if output is None else Schema(dict(output))
    answer: Any = str if output is None else StructuredDict(dict(cast("dict[str, Any]", output)), name="answer")
    agent: Agent[Engagement, Any] = Agent(
        output_type=[answer, *([_ASKING] if definition.asks else []), DeferredToolRequests],
        instructions="\n\n".join(filter(None, [definition.instructions, shown_examples(definition)])) or None,
        deps_type=Engagement,
        name=definition.name,
        tools=[*(_tool(tool, definition) for tool in definition.tools), *(_colleague(each) for each in recipe.offered)],
        capabilities=[_Durable()],
        retries={"tools": RETRIES, "output": RETRIES},
    )

    @agent.output_validator
    async def check_answer(context: RunContext[Engagement], output: Any) -> Any:
        if isinstance(output, _Question):
            question: Json = {"reply": output.question, "asks": True}
            await guarded(context.deps, question)
            return question
        if schema is not None and not isinstance(output, DeferredToolRequests):
            _require(schema, output, "The answer")
            panel = context.deps.panel
            if panel is not None and (wrong := panel.flaw(cast("Mapping[str, Json]", output))) is not None:
                raise ModelRetry(wrong)
            unproved = unproven(output.get("claims"), definition.claims, context.deps.proofs)
            if unproved:
                raise ModelRetry(f"The answer claims what is not proven: {'; '.join(unproved)}")
        if not isinstance(output, DeferredToolRequests):
            await guarded(context.deps, cast("Json", output))
        return output

    return agent


def _tool(tool: AgentTool, definition: AgentDefinition) -> "Tool[Engagement]":
    made = _made(tool)
    proves = [kind for kind, prover in definition.claims.items() if prover == tool.name]
    made.metadata = {"claims": proves} if proves else None
    return made


def _colleague(offered: _Offered) -> "Tool[Engagement]":
    parameters = cast("dict[str, Any]", parse(offered.parameters))
    made = _made(AgentTool(name=offered.name, description=offered.description, parameters=parameters))
    made.metadata = {"member": offered.name, "contains": list(offered.contains)}
    return made


def _made(tool: AgentTool) -> "Tool[Engagement]":
    async def never(**_: Any) -> None:
        raise BugError("ungoverned", f"The tool {tool.name!r} was called past the engagement.")

    def check_arguments(_: RunContext[Engagement], **arguments: Any) -> None:
        _require(tool.schema_of_parameters, arguments, "The arguments")

    return Tool[Engagement].from_schema(
        never, tool.name, tool.description, dict(tool.parameters), args_validator=check_arguments
    )


def _require(schema: Schema, value: Json, what: str) -> None:
    """Tell the model what is wrong, so that it can put it right. The value itself is not repeated."""
    found = schema.violations(value)
    if found:
        said = "; ".join(f"{one.pointer or 'the whole'}: {one.message}" for one in found)
        raise ModelRetry(f"{what} break the schema: {said}")


def _declared(definition: AgentDefinition, given: Datum, *, also: Sequence[str] = ()) -> tuple[Datum, list[str]]:
    """The part of the input that the agent's schema names, and the names of what was left out.

    Raises: UserError `agent-input`.
    """
    if not isinstance(given.value, Mapping):
        raise UserError("agent-input", f"The input of the agent {definition.name!r} must be an object.")
    properties = definition.input.get("properties")
    names = [*properties, *also] if isinstance(properties, Mapping) else list(given.value)
    kept = {name: given.value[name] for name in names if name in given.value}
    found = definition.input_schema.violations(kept)
    if found:
        said = "; ".join(f"{one.pointer or 'the whole'}: {one.message}" for one in found)
        raise UserError("agent-input", f"The input of the agent {definition.name!r} breaks its schema: {said}")
    labels = merge_labels(
        move_labels(sub_labels(given.labels, pointer_step(name)), pointer_step(name)) for name in kept
    )
    return Datum(kept, labels), sorted(set(given.value) - set(kept))


def _paths(names: Sequence[str], given: Datum) -> Datum:
    """Where in the input these fields stand. Names came with the input, so they carry the labels of what they name."""
    paths = [pointer_step(name) for name in names]
    labels = frozenset[str]().union(*(found for path in paths for found in given.part(path).values()))
    return Datum(paths, {"": labels} if labels else {})


def _gave_up(engagement: Engagement, error: AgentRunError) -> Faulted:
    name = engagement.definition.name
    return Faulted(
        Problem(
            type=ERROR_TYPES["runtime"],
            status=500,
            title="Agent gave up",
            detail=f"The model of agent {name!r} did not use its tools or its output schema as it should, {RETRIES + 1} times.",
            instance=engagement.invocation.task,
            code="agent-gave-up",
            hint=f"The library says {type(error).__name__}. The answers are in the record; try another model or simpler schemas.",
        )
    )


def _why(engagement: Engagement, dropped: Sequence[str]) -> dict[str, Json]:
    """What a manager wants to know: who answered, by which rules, with which tools, and what it did not get to see."""
    why: dict[str, Json] = {
        "agent": engagement.definition.name,
        "version": engagement.definition.version[:12],
        "answers": list(engagement.answers),
        "tools": list(engagement.used),
    }
    kinds = {str(one.get("answered_by", "language model")) for one in engagement.answers}
    why["answered_by"] = " and ".join(sorted(kinds))
    rules = [one["rule"] for one in engagement.answers if "rule" in one]
    if rules:
        why["rules"] = rules
    if dropped:
        why["dropped_fields"] = list(dropped)
    if not engagement.price_known:
        why["price_known"] = False
    return why
