"""The story in short lines: one for a list, and the moments that tests and people remember."""

from collections.abc import Iterator

from ._phrases import counted, cut, lasting, mapping, price
from ._reasons import given_by
from ._step import Step, Story


def summary(told: Story) -> str:
    """One line: which workflow, how it stands, what became of it, how long and how dear."""
    steps = sum(1 for step in told.every() if step.kind not in ("note", "round", "attempt", "group"))
    facts = [counted(steps, "step")]
    if told.ended_at is not None:
        facts.append(lasting(told.ended_at - told.created_at))
    if cost := price(told.cost):
        facts.append(cost)
    return f"{told.workflow} {told.status}: {cut(told.became, 100)} [{', '.join(facts)}]"


def moments(told: Story) -> list[str]:
    """What happened, in order, as short strings: `route: billing (0.93)`, `refund 250.00 needs approval by support-lead`."""
    return [line for step in told.steps for line in _of(step)]


def _of(step: Step) -> Iterator[str]:
    """A step's own line stands after those of approvals in it, and before those of what it holds."""
    asked = [inner for inner in step.steps if inner.kind in ("approval", "inquiry")]
    for inner in asked:
        yield from _asked(inner)
    line = _line(step)
    if line is not None and not any(inner.status == "waiting" for inner in asked):
        yield line
    for inner in step.steps:
        if inner not in asked:
            yield from _of(inner)


def _asked(step: Step) -> Iterator[str]:
    needs = "needs approval by" if step.kind == "approval" else "was interrupted, to be settled by"
    yield f"{step.name} {needs} {step.asked}"
    if step.result:
        yield f"{step.result} by {given_by(step.who)}"
    elif step.status == "failed":
        yield "nobody answered in time"


def _line(step: Step) -> str | None:
    match step.kind:
        case "round" | "attempt" | "caught" | "extension":
            return None
        case "set" | "group" | "part" if step.status == "done":
            return None
        case "switch":
            return f"{step.name}: {step.result or 'no case'}"
        case "call" if step.function.startswith("route:") and step.status == "done":
            return f"route: {step.result} ({_confidence(step)})"
        case "call" if step.function and step.status != "skipped":
            return f"{step.function.partition(':')[0]}: {step.name}{_end(step)}"
        case "call" if step.result.startswith("replaced by "):
            return f"{step.name}: {step.result}"
        case "agent":
            return (
                f"agent {given_by(step.who)}{_end(step)}"
                if step.function == "agent"
                else f"infer: {step.name}{_end(step)}"
            )
        case "person":
            return f"{step.name}: asked {step.asked}, {_answered(step)}"
        case "loop" | "branches":
            return f"{step.name}: {step.reasons[-1].text if step.reasons else ''}{_end(step)}"
        case "try":
            return _tried(step)
        case "workflow":
            return f"workflow {step.function}{_end(step)}"
        case "listen" | "heard":
            return _of_events(step)
        case "wait":
            return f"{step.name}: waited {step.result}" if step.result else f"{step.name}{_end(step)}"
        case _:
            return f"{step.name}{_end(step)}"


def _of_events(step: Step) -> str:
    if step.kind == "heard":
        return f"heard {step.name}{_end(step)}"
    words = f"listens for {step.waits.what}" if step.waits else step.reasons[0].text
    return f"{step.name}: {words}{_end(step)}"


def _tried(step: Step) -> str | None:
    facts = [counted(step.attempts, "attempt")] if step.attempts > 1 else []
    facts += ["failure caught"] if any(reason.about == "branch" for reason in step.reasons) else []
    return f"{step.name}: {', '.join(facts)}{_end(step)}" if facts else None


def _answered(step: Step) -> str:
    if step.who is None:
        return step.status
    return f"{'declined' if step.status == 'denied' else 'answered'} by {given_by(step.who)}"


def _confidence(step: Step) -> str:
    confidence = mapping(step.output).get("confidence")
    return f"{confidence:.2f}" if isinstance(confidence, int | float) else "?"


def _end(step: Step) -> str:
    """How it ended, unless it is simply done."""
    match step.status:
        case "done":
            return ""
        case "denied":
            if any(inner.kind == "approval" and inner.status == "denied" for inner in step.steps):
                return " denied"
            return f" denied by {', '.join(step.ruling.policies) or 'policy'}" if step.ruling else " denied"
        case "failed":
            return f" failed ({step.problem.code or step.problem.title})" if step.problem else " failed"
        case _:
            return f" {step.status}"
