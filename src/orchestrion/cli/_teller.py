"""Tells what the journal holds at each place as a step."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from orchestrion.core import Entry, EntryKind, EntryStatus, Json, Request, Run, RunStatus
from orchestrion.spec import CallTask, DoTask, ForkTask, ForTask, RaiseTask, Task, TryTask

from ._aftermath import finished
from ._asked import SHORT, Asked, answer_words, asked_in, asked_reasons, asked_status, asked_step, called, waiting
from ._engaged import (
    as_tool,
    dropped_fields,
    dropped_reasons,
    failed_model,
    last_answer,
    prompt_in,
    spoken,
    tool_calls,
)
from ._heard import heard_reasons, heard_words, listening, wanted_words
from ._held import join_of, joined, tries
from ._phrases import amount_of, counted, lasting, mapping, moment, titled
from ._place import Node, Place
from ._reasons import (
    answered_by,
    call_reasons,
    call_result,
    cost_in,
    problem_in,
    rule_reasons,
    ruling_in,
    ruling_words,
    simulated,
    switch_reasons,
)
from ._step import Cost, Kind, Reason, Status, Step, Waiting
from ._team_step import engaged, engagement


@dataclass(frozen=True, slots=True, kw_only=True)
class Teller:
    """Knows what a single place does not: the run, the document, who was asked, and where the run failed."""

    run: Run
    tasks: Mapping[str, Task]
    """By JSON pointer."""
    requests: Mapping[str, Request]
    """By key."""
    timezone: str
    fault: str | None
    """The key of what the run failed of."""

    @property
    def active(self) -> bool:
        """Whether the run may still go on by itself or by an answer."""
        return not self.run.status.ended and self.run.status is not RunStatus.DIVERGED

    def step(self, node: Node, *, until: float | None = None) -> Step:
        """What happened at a place. `until` is the nearest deadline around it."""
        until = _nearest(until, _deadline(node))
        place = node.place
        match place.kind:
            case "task" | "root" | "part":
                told = self._extended(node, until)
            case "extension":
                told = self._container(node, until, kind="extension", name=place.name)
            case "answer":
                told = self._answer(node, until)
            case "tool" if (enter := engaged(node)) is not None:
                told = self._engagement(node, enter, until)
            case "tool":
                told = self._call(node, until, name=titled(place.name), kind="tool")
            case "approval" | "inquiry":
                told = self._asked(node, until)
            case "round":
                told = self._container(node, until, kind="round", name=f"round {place.number + 1}")
            case "attempt":
                told = self._container(node, until, kind="attempt", name=f"attempt {place.number}")
            case "heard":
                told = self._heard(node, until)
            case "caught":
                told = self._container(node, until, kind="caught", name="after the failure")
        problem = problem_in(self.run.problem) if self.fault == place.key else None
        return finished(node, told, problem)

    # --- tasks ---

    def _extended(self, node: Node, until: float | None) -> Step:
        """A task with its extensions around it, or the one that took its place."""
        if (enter := engaged(node)) is not None:
            return self._engagement(node, enter, until)
        layers = {key: inner for key, inner in node.inside.items() if inner.place.kind == "extension"}
        if not layers:
            return self._task(node, until)
        bare = replace(node, inside={key: inner for key, inner in node.inside.items() if key not in layers})
        sides = [self.step(layer, until=until) for layer in layers.values()]
        replaced = node.facts.get("replaced")
        if replaced is not None:
            when = mapping(replaced.why).get("when")
            told = self._bare(
                node,
                kind=self._kind_of(bare),
                status="done",
                result=f"replaced by {replaced.output}",
                reasons=(Reason("branch", f"because {when}"),) if when else (),
            )
        else:
            told = self._task(bare, until)
            if bare.own is None and not bare.inside and sides[-1].status != "done":
                told = replace(told, status=sides[-1].status)
        before = [
            side for layer, side in zip(layers.values(), sides, strict=True) if layer.place.pointer.endswith("/before")
        ]
        return replace(told, steps=(*before, *told.steps, *(side for side in sides if side not in before)))

    def _task(self, node: Node, until: float | None) -> Step:
        own, place = node.own, node.place
        if (skipped := node.facts.get("if")) is not None and own is None and not node.inside:
            return self._skipped(node, skipped)
        if (answer := node.facts.get("answer") or _of_kind(own, EntryKind.REQUEST)) is not None:
            return self._person(node, answer, until)
        if (child := node.facts.get("child") or _of_kind(own, EntryKind.CHILD)) is not None:
            return self._child(node, child)
        if own is not None:
            match own.kind:
                case EntryKind.TRACE if own.function == "switch":
                    return self._switch(node, own)
                case EntryKind.TRACE:
                    return self._plain(node, own, "set")
                case EntryKind.VALUE:
                    return self._plain(node, own, "event")
                case EntryKind.TIMER:
                    return self._wait(node, own)
                case EntryKind.LISTEN:
                    return self._listen(node, own, until)
                case _:
                    return self._call(node, until, name=place.name, kind="call")
        if (called_node := _only_called(node)) is not None:
            inner = self.step(called_node, until=until)
            own_cost = cost_in(called_node.own) if called_node.own else Cost()
            return replace(inner, key=place.key, name=_visited(place), title=titled(_visited(place)), cost=own_cost)
        if any(inner.place.kind in ("approval", "inquiry") for inner in node.inside.values()):
            return self._call(node, until, name=place.name, kind="call")
        return self._container(node, until, kind=self._kind_of(node), name=place.name)

    def _kind_of(self, node: Node) -> Kind:
        """What a task without an entry of its own is, by what is inside it, else by the document."""
        inside = {inner.place.kind for inner in node.inside.values()}
        task = self.tasks.get(node.place.pointer)
        if "answer" in inside:
            return "agent"
        if "round" in inside or isinstance(task, ForTask):
            return "loop"
        if "attempt" in inside or isinstance(task, TryTask):
            return "try"
        if isinstance(task, ForkTask) or any("/fork/branches/" in key[len(node.place.key) :] for key in node.inside):
            return "branches"
        if isinstance(task, RaiseTask):
            return "raise"
        if isinstance(task, CallTask):
            return "call"
        return "part" if node.place.kind == "part" and not isinstance(task, DoTask) else "group"

    def _skipped(self, node: Node, entry: Entry) -> Step:
        condition = mapping(entry.why).get("if")
        return self._bare(
            node,
            kind="call",
            status="skipped",
            started_at=entry.started_at,
            ended_at=entry.ended_at,
            reasons=(Reason("branch", f"its condition did not hold: {condition}"),),
        )

    def _switch(self, node: Node, own: Entry) -> Step:
        return self._bare(
            node,
            kind="switch",
            status="done",
            result=str(own.output) if own.output is not None else "",
            started_at=own.started_at,
            ended_at=own.ended_at,
            reasons=tuple(switch_reasons(own, self.tasks.get(node.place.pointer))),
        )

    def _plain(self, node: Node, own: Entry, kind: Kind) -> Step:
        result = str(mapping(own.output).get("type", "")) if kind == "event" else ""
        return self._bare(
            node,
            kind=kind,
            status="done",
            result=result,
            started_at=own.started_at,
            ended_at=own.ended_at,
            output=own.output,
        )

    def _wait(self, node: Node, own: Entry) -> Step:
        until = mapping(own.output).get("until")
        at = float(until) if isinstance(until, int | float) else None
        open_ = own.status is EntryStatus.INTENT and self.active
        words = f"until {moment(at, self.timezone)}" if at is not None else ""
        return self._bare(
            node,
            kind="wait",
            status="waiting" if open_ else _entry_status(own, active=self.active),
            result=""
            if open_ or own.started_at is None or own.ended_at is None
            else lasting(own.ended_at - own.started_at),
            started_at=own.started_at,
            ended_at=own.ended_at,
            reasons=(*((Reason("time", words),) if words else ()), *simulated(own)),
            waits=Waiting(what="wait", since=own.started_at, until=at) if open_ else None,
        )

    def _listen(self, node: Node, own: Entry, until: float | None) -> Step:
        task = self.tasks.get(node.place.pointer)
        steps = self._inside(node, until)
        status = "failed" if self._faulted(node) else _entry_status(own, active=self.active)
        inner = {each.status for step in steps for each in step.every()}
        busy = status == "waiting" and bool(inner & {"waiting", "interrupted", "running"})
        waits = listening(own, task, until) if status == "waiting" and not busy else None
        heard = sum(step.kind == "heard" for step in steps)
        return self._bare(
            node,
            kind="listen",
            status=status,
            result=counted(heard, "event") if heard else "",
            started_at=own.started_at,
            ended_at=own.ended_at,
            reasons=() if waits else (Reason("record", f"listened for {wanted_words(own, task)}"),),
            waits=waits,
            steps=steps,
        )

    def _heard(self, node: Node, until: float | None) -> Step:
        own = node.own
        if own is None:
            return self._container(node, until, kind="heard", name=f"event {node.place.number + 1}")
        steps = self._inside(node, until)
        inner = {step.status for step in steps}
        status: Status = "failed" if self._faulted(node) else "done"
        for busy in ("running", "waiting"):
            status = busy if busy in inner else status
        return self._bare(
            node,
            kind="heard",
            status=status,
            name=str(mapping(own.output).get("type", "event")),
            result=heard_words(own.output),
            started_at=own.started_at,
            ended_at=own.ended_at,
            reasons=heard_reasons(own),
            output=own.output,
            steps=steps,
        )

    def _child(self, node: Node, entry: Entry) -> Step:
        child = mapping(entry.why).get("run") or mapping(entry.output).get("run")
        short = str(child)[:SHORT] if child else ""
        status = _entry_status(entry, active=self.active)
        waits = None
        if status == "waiting":
            waits = Waiting(
                what=f"the end of {entry.function}", since=entry.started_at, command=f"orchestrion runs show {child}"
            )
        return self._bare(
            node,
            kind="workflow",
            status=status,
            function=entry.function,
            started_at=entry.started_at,
            ended_at=entry.ended_at,
            who=entry.subject,
            reasons=(Reason("record", f"run {short} of {entry.function}"),) if short else tuple(simulated(entry)),
            waits=waits,
            problem=problem_in(entry.problem),
            input=entry.input,
            output=entry.output if entry.status is EntryStatus.COMPLETED else None,
        )

    # --- calls ---

    def _call(self, node: Node, until: float | None, *, name: str, kind: Kind) -> Step:
        """A leaf call with the approvals it needed; its own entry may be missing while a person is asked."""
        own = node.own or node.facts.get("enter")
        inside = tuple(_named(step, name) for step in self._inside(node, until))
        asked = [self._asked_at(inner) for inner in node.inside.values() if inner.place.kind == "approval"]
        amount = next((amount_of(mapping(one.question.show.value).get("arguments")) for one in asked if one), None)
        if own is None:
            status: Status = "waiting" if any(step.status == "waiting" for step in inside) else self._open()
            return self._bare(node, kind=kind, status=status, name=called(name, amount), steps=inside)
        status = _entry_status(own, active=self.active)
        if status == "running" and any(step.kind == "inquiry" and step.status == "waiting" for step in inside):
            status = "interrupted"
        ruling = ruling_in(own)
        reasons = call_reasons(own)
        if status == "interrupted":
            reasons.insert(0, Reason("record", "it was begun, and the process ended before its outcome was known"))
        if ruling is not None:
            reasons.append(Reason("policy", ruling_words(ruling)))
        return self._bare(
            node,
            kind=kind,
            status=status,
            name=called(name, amount),
            function=own.function,
            result=call_result(own) if status == "done" else "",
            started_at=own.started_at,
            ended_at=own.ended_at,
            cost=cost_in(own),
            who=own.subject,
            reasons=tuple(reasons),
            ruling=ruling,
            problem=problem_in(own.problem),
            input=own.input,
            output=own.output,
            steps=inside,
        )

    def _person(self, node: Node, entry: Entry, until: float | None) -> Step:
        asked = asked_in(entry, self.requests)
        to = Reason("person", f"asked {asked.whom}: {asked.what}")
        return self._bare(
            node,
            kind="person",
            status=asked_status(asked, active=self.active),
            function="human",
            started_at=entry.started_at,
            ended_at=entry.ended_at,
            who=f"User::{asked.answer.by}" if asked.answer else None,
            asked=asked.whom,
            result=answer_words(asked.answer) if asked.answer and asked.answer.verdict == "answered" else "",
            reasons=(to, *asked_reasons(asked)),
            waits=waiting(asked, until=until) if asked.open and self.active else None,
            problem=problem_in(entry.problem) if entry.status is EntryStatus.FAILED else None,
            input=asked.question.show.value,
            output=asked.answer.value.value if asked.answer else None,
            steps=self._inside(node, until),
        )

    def _asked_at(self, node: Node) -> Asked | None:
        return asked_in(node.own, self.requests) if node.own is not None else None

    def _asked(self, node: Node, until: float | None) -> Step:
        asked = self._asked_at(node)
        if asked is None:
            return self._bare(node, kind="approval", status="abandoned", name=node.place.kind)
        return asked_step(asked, active=self.active, until=until)

    # --- agents ---

    def _answer(self, node: Node, until: float | None) -> Step:
        """One answer of a model or playbook: the last candidate asked gave it, those before it failed."""
        tried = [node.own, *(entry for fact, entry in node.facts.items() if fact.startswith("fallback/"))]
        entries = [entry for entry in tried if entry is not None]
        if not entries:
            return self._bare(node, kind="answer", status=self._open(), steps=self._inside(node, until))
        last = entries[-1]
        calls = tool_calls(last)
        inside: list[Step] = []
        for inner in node.inside.values():
            step = self.step(inner, until=until)
            inside.append(as_tool(step, calls, inner.place) if inner.place.kind == "tool" else step)
        used = {inner.place.number for inner in node.inside.values() if inner.place.kind == "tool"}
        final = [call.arguments for at, call in enumerate(calls) if at not in used]
        model = last.model or str(mapping(last.input).get("model", ""))
        rule = mapping(last.why).get("rule")
        failed = [failed_model(entry) for entry in entries[:-1]]
        return self._bare(
            node,
            kind="answer",
            status=_entry_status(last, active=self.active),
            name=f"rule {rule}" if rule else f"answer {node.place.number + 1} of {model}",
            title=f"Rule: {rule}" if rule else f"Answer {node.place.number + 1} of {model}",
            function=last.function,
            result=", ".join(calls[at].name for at in sorted(used) if at < len(calls)),
            started_at=entries[0].started_at,
            ended_at=last.ended_at,
            attempts=len(entries),
            cost=sum((cost_in(entry) for entry in entries), Cost()),
            who=last.subject,
            reasons=(*failed, *rule_reasons(last.why)[1:]),
            ruling=ruling_in(last),
            problem=problem_in(last.problem),
            input=last.input,
            output=(final[0] if final else None) if calls else spoken(last),
            steps=tuple(inside),
        )

    def _engagement(self, node: Node, enter: Entry, until: float | None) -> Step:
        """A colleague at work: done when what it gave is on record."""
        steps = self._inside(node, until)
        status = _entry_status(enter, active=self.active)
        if status == "done" and "end" not in node.facts:
            below = self._status_of(node, "group", steps)
            status = ("running" if self.active else "failed") if below == "done" else below
        return engagement(node, enter, steps, status)

    # --- what holds other steps ---

    def _inside(self, node: Node, until: float | None) -> tuple[Step, ...]:
        inside = list(node.inside.values())
        if any("/fork/branches/" in inner.place.key[len(node.place.key) :] for inner in inside):
            inside.sort(key=lambda inner: inner.place.number)
        return tuple(self.step(inner, until=until) for inner in inside)

    def _container(self, node: Node, until: float | None, *, kind: Kind, name: str) -> Step:
        steps = self._inside(node, until)
        reasons: list[Reason] = []
        attempts, function, status = 1, "", self._status_of(node, kind, steps)
        who: str | None = None
        given: Json = None
        output: Json = None
        match kind:
            case "agent":
                answers = [last_answer(inner) for inner in node.inside.values() if inner.place.kind == "answer"]
                first = next((step for step in steps if step.kind == "answer"), None)
                who = first.who if first else None
                by = answered_by([entry for entry in answers if entry is not None])
                reasons += [*([by] if by else []), *dropped_reasons(node)]
                function = "agent" if (who or "").startswith("Agent::") else "infer"
                given = prompt_in(first.input) if first else None
                output = steps[-1].output if steps and status == "done" else None
            case "loop":
                reasons.append(Reason("result", counted(len(steps), "round")))
            case "try":
                attempts = max(1, sum(step.kind == "attempt" for step in steps))
                reasons += tries(node, steps)
                if len(steps) == 1 and steps[0].kind == "attempt":
                    steps = steps[0].steps
            case "branches":
                steps, reasons = joined(node, steps)
            case _:
                pass
        return self._bare(
            node,
            kind=kind,
            status=status,
            name=name,
            function=function,
            attempts=attempts,
            who=who,
            reasons=tuple(reasons),
            dropped=dropped_fields(node),
            input=given,
            output=output,
            steps=steps,
        )

    def _status_of(self, node: Node, kind: Kind, steps: Sequence[Step]) -> Status:
        """How something stands that has no entry of its own: by the run's fault, then by what is inside it."""
        if self._faulted(node):
            return "failed"
        found = {step.status for step in steps}
        inner = {each.status for step in steps for each in step.every()}
        if "waiting" in inner or "interrupted" in inner:
            return "waiting"
        if "running" in inner:
            return "running"
        if steps and found == {"abandoned"}:
            return "abandoned"
        if kind == "try":
            return "done" if "try" in node.facts or not steps else steps[-1].status
        last = steps[-1].status if steps else "done"
        if kind == "branches":
            lost = any(status in found for status in ("failed", "denied")) and "winner" not in join_of(node)
            return "failed" if lost else "done"
        if last in ("failed", "denied"):
            return "failed"
        if last == "abandoned":
            return "abandoned"
        return "done"

    def _faulted(self, node: Node) -> bool:
        key = node.place.key
        return self.fault is not None and (self.fault == key or self.fault.startswith(f"{key}/"))

    def _open(self) -> Status:
        return "running" if self.active else "abandoned"

    # --- every step ---

    def _bare(self, node: Node, **told: object) -> Step:
        """A step with what its place alone says, and what is `told` of it."""
        place = node.place
        name = str(told.pop("name", place.name))
        named = _visited(replace(place, name=name))
        facts: dict[str, object] = {
            "key": place.key,
            "name": named,
            "title": titled(named) if place.kind != "tool" else named,
        }
        return Step(**{**facts, **told})  # pyright: ignore[reportArgumentType] each caller names fields of Step


def _named(step: Step, name: str) -> Step:
    """A question whether something happened, with the name of that."""
    if step.kind != "inquiry":
        return step
    waits = replace(step.waits, what=f"find out whether {name} happened") if step.waits else None
    return replace(step, name=name, title=f"Did {name} happen?", waits=waits)


def _visited(place: Place) -> str:
    return f"{place.name} ({_ordinal(place.visit)} time)" if place.visit > 1 else place.name


def _ordinal(number: int) -> str:
    ending = "th" if 10 <= number % 100 <= 20 else {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    return f"{number}{ending}"


def _of_kind(entry: Entry | None, kind: EntryKind) -> Entry | None:
    return entry if entry is not None and entry.kind is kind else None


def _only_called(node: Node) -> Node | None:
    """The function of the document that a task does nothing but call."""
    inside = list(node.inside.values())
    return inside[0] if len(inside) == 1 and "/call/" in inside[0].place.key[len(node.place.key) :] else None


def _deadline(node: Node) -> float | None:
    entry = node.facts.get("deadline")
    at = mapping(entry.output).get("at") if entry else None
    return float(at) if isinstance(at, int | float) else None


def _nearest(one: float | None, other: float | None) -> float | None:
    ends = [at for at in (one, other) if at is not None]
    return min(ends) if ends else None


def _entry_status(entry: Entry, *, active: bool) -> Status:
    match entry.status:
        case EntryStatus.COMPLETED:
            return "done"
        case EntryStatus.ABANDONED:
            return "abandoned"
        case EntryStatus.INTENT:
            if not active:
                return "abandoned"
            return "running" if entry.kind is EntryKind.LEAF else "waiting"
        case EntryStatus.FAILED:
            problem = mapping(entry.problem)
            if mapping(entry.decision).get("verdict") == "deny":
                return "denied"
            return "interrupted" if problem.get("code") == "interrupted" else "failed"
