"""A run told as a story: what came in, what was done and why, where it waits, and what became of it."""

from collections.abc import Iterable, Sequence

from orchestrion.core import Entry, Json, Problem, Request, Run, RunStatus
from orchestrion.spec import Document, Task

from ._moments import moments, summary
from ._phrases import listed, mapping, moment, said, titled
from ._place import Node, Place, grow
from ._reasons import cost_in, given_by, problem_in, problem_words
from ._step import Cost, Reason, Step, Story, Waiting
from ._teller import Teller

__all__ = ["Step", "Story", "moments", "story", "summary"]


def story(run: Run, entries: Sequence[Entry], requests: Sequence[Request], document: Document | None) -> Story:
    """A run as a tree of steps. Pure; `entries` in the order they were first written.

    Without its document the story lacks where branches led, and what a task without entries was meant to be.
    """
    root = grow(entries)
    tasks = _tasks(document)
    timezone = document.timezone if document else "UTC"
    teller = Teller(
        run=run,
        tasks=tasks,
        requests={request.key: request for request in requests if "!" not in request.id},
        timezone=timezone,
        fault=_fault(run, root, tasks),
    )
    until = mapping(root.facts["deadline"].output).get("at") if "deadline" in root.facts else None
    ends = float(until) if isinstance(until, int | float) else None
    told = [(node.born, teller.step(node, until=ends)) for node in root.inside.values()]
    born = {entry.key: number for number, entry in enumerate(entries)}
    told += [(born[step.key], step) for step in _asides(root)]
    steps = tuple(step for _, step in sorted(told, key=lambda each: each[0]))
    problem = problem_in(run.problem)
    times = [at for entry in entries for at in (entry.started_at, entry.ended_at) if at is not None]
    waits = [step.waits for each in steps for step in each.every() if step.waits is not None]
    return Story(
        run_id=run.id,
        workflow=f"{run.namespace}/{run.workflow}",
        version=run.version,
        title=(document.title if document else None) or titled(run.workflow),
        status=run.status,
        came_in="" if run.input is None else said(run.input),
        became=_became(run, problem, waits, timezone),
        timezone=timezone,
        created_at=run.created_at,
        started_at=run.started_at,
        ended_at=run.ended_at,
        last_at=max([*times, run.ended_at or run.created_at]),
        attempt=run.attempt,
        subject=run.subject,
        cost=sum((cost_in(entry) for entry in entries), Cost()),
        input=run.input,
        output=run.output,
        problem=problem,
        steps=steps,
    )


def _tasks(document: Document | None) -> dict[str, Task]:
    return {task.pointer: task for task in document.every_task()} if document else {}


def _fault(run: Run, root: Node, tasks: dict[str, Task]) -> str | None:
    """The key of what the run failed of; where nothing is recorded there (`raise`), a place is made for it."""
    if run.status is not RunStatus.FAULTED:
        return None
    if run.fault_key is not None:
        return run.fault_key
    problem = mapping(run.problem)
    pointer = problem.get("extended") or problem.get("instance")
    if not isinstance(pointer, str) or not pointer:
        return None
    found = [node for node in root.every() if node.place.pointer == pointer and node.place.kind == "task"]
    if found:
        return found[-1].place.key
    return _placed(root, pointer, tasks).place.key


def _placed(root: Node, pointer: str, tasks: dict[str, Task]) -> Node:
    """A place for a task that left no entry, and for those around it that left none either."""
    around = sorted({pointer, *(each for each in tasks if pointer.startswith(f"{each}/"))}, key=len)
    node, born = root, max(each.born for each in root.every()) + 1
    for each in around:
        found = [inner for inner in node.every() if inner.place.kind == "task" and inner.place.pointer == each]
        if found:
            node = found[-1]
            continue
        deepest = [inner for inner in node.every() if each.startswith(f"{inner.place.pointer}/")]
        node = max(deepest, key=lambda inner: (len(inner.place.pointer), inner.born), default=node)
        key = f"{node.place.key}{each.removeprefix(node.place.pointer)}#1"
        place = Place(kind="task", key=key, pointer=each, name=_name(each))
        node = node.inside.setdefault(key, Node(place=place, born=born))
    return node


def _name(pointer: str) -> str:
    """The task's name: the last step of its pointer."""
    return pointer.rpartition("/")[2].replace("~1", "/").replace("~0", "~")


def _asides(root: Node) -> Iterable[Step]:
    """What concerns the run as a whole: that somebody cancelled it, or had it tried again."""
    for fact, entry in root.facts.items():
        by = given_by(entry.subject)
        if fact == "cancel":
            name, words = "cancelled", f"cancelled by {by}"
        elif fact.startswith("retry/"):
            name, words = "tried again", f"tried again by {by}"
        else:
            continue
        yield Step(
            key=entry.key,
            name=name,
            title=titled(name),
            kind="note",
            status="done",
            started_at=entry.started_at,
            ended_at=entry.ended_at,
            who=entry.subject,
            reasons=(Reason("person", words),),
        )


def _became(run: Run, problem: Problem | None, waits: Sequence[Waiting], timezone: str) -> str:
    """The run's fate in a sentence."""
    match run.status:
        case RunStatus.COMPLETED:
            return _outcome(run.output)
        case RunStatus.WAITING | RunStatus.PENDING | RunStatus.RUNNING if waits:
            return f"It waits for {listed([_awaited(each, timezone) for each in waits[:3]])}."
        case RunStatus.PENDING:
            return "It was accepted and has not begun yet."
        case RunStatus.RUNNING:
            return "It is being worked on."
        case RunStatus.WAITING:
            return f"It is {run.status.value}."
        case RunStatus.CANCELLED:
            return problem_words(problem) if problem else "It was cancelled."
        case RunStatus.FAULTED | RunStatus.DIVERGED:
            return f"It stopped at a problem: {problem_words(problem)}" if problem else "It stopped at a problem."


def _outcome(output: Json) -> str:
    return said(output) if output not in (None, "", {}, []) else "It completed, and gives nothing back."


def _awaited(waits: Waiting, timezone: str) -> str:
    until = f" (until {moment(waits.until, timezone)})" if waits.until is not None else ""
    if waits.whom is not None:
        return f"{waits.whom} to {waits.what}{until}"
    if waits.what == "wait" and waits.until is not None:
        return moment(waits.until, timezone)
    return f"{waits.what}{until}"
