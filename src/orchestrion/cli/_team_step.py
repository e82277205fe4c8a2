"""Teams in a run's story: who engaged whom, in which pattern, and what came of it."""

from collections.abc import Iterator, Sequence

from orchestrion.core import Entry, Json

from ._engaged import dropped_fields, dropped_reasons
from ._phrases import entity, mapping
from ._place import Node
from ._reasons import call_reasons, problem_in, problem_words, ruling_in, ruling_words
from ._step import Reason, Status, Step

_ENGAGES = ("agent:", "team:")


def engaged(node: Node) -> Entry | None:
    """The entry that lets an agent engage a colleague here; None at any other place."""
    enter = node.facts.get("enter")
    return enter if enter is not None and enter.function.startswith(_ENGAGES) else None


def member_of(enter: Entry) -> str:
    """The colleague: an agent, or the name of a group, or of whoever a task is handed over to."""
    given = mapping(enter.input)
    return str(given.get("agent") or given.get("name") or given.get("lead") or "")


def pattern_of(node: Node, enter: Entry) -> str:
    """How the colleague was engaged."""
    if "/members/" in node.place.key and node.place.kind == "part":
        return "debate" if "/round/" in node.place.key else "panel"
    given = mapping(enter.input)
    if "came" in given or "conversation" in mapping(given.get("input")):
        return "handoff"
    return str(given.get("pattern") or "")


def engagement(node: Node, enter: Entry, steps: Sequence[Step], status: Status) -> Step:
    """A colleague at work; `status` is how what is inside it stands."""
    end, ruling = node.facts.get("end"), ruling_in(enter)
    how = pattern_of(node, enter)
    words = "handed over" if how == "handoff" else "engaged"
    reasons = [Reason("record", f"{words} by {entity(enter.subject)}" + (f", {how}" if how else ""))]
    reasons += [*call_reasons(enter), *dropped_reasons(node)]
    if ruling is not None:
        reasons.append(Reason("policy", ruling_words(ruling)))
    problem = problem_in(enter.problem)
    if problem is not None:
        reasons.append(Reason("result", problem_words(problem)))
    member = member_of(enter)
    return Step(
        key=node.place.key,
        name=member,
        title=f"{member[:1].upper()}{member[1:]}",
        kind="engagement",
        status=status,
        function=enter.function,
        started_at=enter.started_at,
        ended_at=end.ended_at if end else enter.ended_at if problem else None,
        who=enter.subject,
        ruling=ruling,
        reasons=tuple(reasons),
        dropped=dropped_fields(node),
        problem=problem,
        input=enter.input,
        output=_result(end.output) if end else None,
        steps=tuple(steps),
    )


def _result(output: Json) -> Json:
    """What a team gave, without the account of who contributed."""
    told = mapping(output)
    return told["result"] if {"result", "contributions", "pattern"} <= told.keys() else output


def engagements(steps: Sequence[Step]) -> list[Json]:
    """Who engaged whom, nested, with what each waits for: for scripts."""
    return [_told(step, *between) for step, between in _nearest(steps)]


def _nearest(steps: Sequence[Step]) -> Iterator[tuple[Step, tuple[list[Json], list[Json]]]]:
    for step in steps:
        if step.kind == "engagement" or (step.kind == "agent" and (step.who or "").startswith("Agent::")):
            own, waits = _own(step.steps)
            yield step, (own, waits)
        else:
            yield from _nearest(step.steps)


def _own(steps: Sequence[Step]) -> tuple[list[Json], list[Json]]:
    """The tools and the waits of an agent itself, not those of whom it engages."""
    tools: list[Json] = []
    waits: list[Json] = []
    for step in steps:
        if step.kind in ("engagement", "agent"):
            continue
        if step.kind == "tool":
            tools.append({"tool": step.name, "status": step.status})
        if step.waits is not None:
            waits.append({"what": step.waits.what, "whom": step.waits.whom, "command": step.waits.command})
        inner_tools, inner_waits = _own(step.steps)
        tools += inner_tools
        waits += inner_waits
    return tools, waits


def _answers(steps: Sequence[Step]) -> list[Json]:
    """What an agent itself decided, one after another, and why."""
    own = [step for step in steps if step.kind not in ("engagement", "agent")]
    return [
        each
        for step in own
        for each in (
            *(
                [{"answer": step.name, "why": [reason.text for reason in step.reasons]}]
                if step.kind == "answer"
                else ()
            ),
            *_answers(step.steps),
        )
    ]


def _told(step: Step, tools: list[Json], waits: list[Json]) -> Json:
    by = (step.who or "").removeprefix("Agent::")
    whose = {"agent": by} if step.kind == "agent" else {"agent": step.name, "engaged_by": by}
    return {
        **whose,
        "key": step.key,
        "status": step.status,
        "how": step.reasons[0].text if step.reasons else None,
        "answers": _answers(step.steps),
        "dropped": list(step.dropped),
        "tools": tools,
        "waits": waits,
        "result": step.output,
        "engages": engagements(step.steps),
    }
