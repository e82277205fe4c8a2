"""Examples in an agent's file: checked against its schemas, played by its rules, shown to its language model."""

from collections.abc import Callable, Iterator, Mapping
from typing import cast

from orchestrion.core import Json, UserError, canonical, dump
from orchestrion.models import Flaw, Intent, Playbook, Played, lookup, play
from orchestrion.spec import Schema, pointer_step

from ._answer import TEXT
from ._definition import QUESTION, AgentDefinition, AgentExample

Route = Callable[[str, str], Intent]
"""What a router, by its name, says of a text. Raises: UserError."""
_SHOWN = 100


def example_flaws(
    definition: AgentDefinition, playbooks: Mapping[str, Playbook], route: Route | None
) -> Iterator[Flaw]:
    """Examples that do not fit the agent, and those that its rules answer otherwise. `playbooks`: those of its models, by model."""
    for index, example in enumerate(definition.examples):
        here = f"/examples/{index}"
        found = list(_misfits(definition, example, here))
        yield from found
        if found:
            continue
        for model, playbook in playbooks.items():
            # rules that only step in when a language model fails may know less than it does
            first = model == definition.model[0]
            for flaw in _played(definition, example, playbook, route, here):
                yield flaw if first else Flaw(flaw.pointer, flaw.message, flaw.hint, severity="warning")


def shown_examples(definition: AgentDefinition) -> str:
    """Examples as a language model is shown them, after the instructions."""
    if not definition.examples:
        return ""
    parts = ["Examples of what to answer:"]
    for example in definition.examples:
        results = [f"Results of tools: {dump(cast('Json', example.tools))}"] if example.tools else []
        parts.append(
            "\n".join(
                [
                    f"Input: {dump(cast('Json', example.input))}",
                    *results,
                    f"Answer: {dump(cast('Json', example.output))}",
                ]
            )
        )
    return "\n\n".join(parts)


def _misfits(definition: AgentDefinition, example: AgentExample, here: str) -> Iterator[Flaw]:
    declared = definition.input.get("properties")
    for name in example.input:
        if isinstance(declared, Mapping) and name not in declared:
            hint = f"It declares: {', '.join(declared) or 'nothing'}."
            yield Flaw(f"{here}/input{pointer_step(name)}", f"The agent is not given {name!r}.", hint, key=True)
    for violation in definition.input_schema.violations(cast("Json", dict(example.input))):
        yield Flaw(f"{here}/input{violation.pointer}", f"The agent does not take this: {violation.message}.")
    output = QUESTION if definition.asks and "asks" in example.output else definition.output_fields or TEXT
    for violation in Schema(dict(output)).violations(cast("Json", dict(example.output))):
        yield Flaw(f"{here}/output{violation.pointer}", f"The agent may not answer this: {violation.message}.")


def _played(
    definition: AgentDefinition, example: AgentExample, playbook: Playbook, route: Route | None, here: str
) -> Iterator[Flaw]:
    given = cast("Json", dict(example.input))
    intent: Intent | None = None
    try:
        if playbook.router is not None:
            text = lookup(given, playbook.message)
            if route is None:
                return
            intent = route(playbook.router, text if isinstance(text, str) else "")
        played = play(playbook, given, cast("Mapping[str, Json]", example.tools), intent=intent)
    except UserError as error:
        hint = "Say what it gives, under `tools` of the example." if error.code == "no-result" else error.hint
        yield Flaw(here, error.message, hint)
        return
    differing = list(_differences(cast("Mapping[str, Json]", example.output), _answer(definition, played)))
    if differing:
        message = f"The rule {played.say.rule.name!r} answers otherwise: {'; '.join(differing)}."
        yield Flaw(f"{here}/output", message, "Put the rules right, or the example.")


def _answer(definition: AgentDefinition, played: Played) -> Mapping[str, Json]:
    """What the agent would give."""
    say = played.say
    if say.asks:
        return {"reply": say.answer if isinstance(say.answer, str) else None, "asks": True}
    fields: dict[str, Json] = {"reply": say.answer} if isinstance(say.answer, str) else dict(say.answer)
    if not definition.claims:
        return fields
    entries = {tool: f"tool/{number}" for number, tool in enumerate(played.called, start=1)}
    claims: Json = [{"kind": kind, "entry": entries.get(definition.claims.get(kind, ""))} for kind in say.rule.claims]
    return {"claims": claims, **fields}


def _differences(wanted: Mapping[str, Json], given: Mapping[str, Json]) -> Iterator[str]:
    for name in dict.fromkeys([*wanted, *given]):
        if name not in given:
            yield f"without {name!r}"
        elif name not in wanted:
            yield f"with {name!r}: {_cut(given[name])}"
        elif canonical(wanted[name]) != canonical(given[name]):
            yield f"{name!r} is {_cut(given[name])}"


def _cut(value: Json) -> str:
    text = dump(value)
    return text if len(text) <= _SHOWN else text[: _SHOWN - 1] + "…"
