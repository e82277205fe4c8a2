"""What a workflow means: a direct reading of the document, told only what chance and people decided.

It walks a document beside the record of a finished run. Whatever must follow from the document is computed here and compared;
what may happen either way (who won, which timeout fired, what a function or a person answered) is taken from the record. A
record that holds less than the walk needs, or more than it visits, is wrong.
"""

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, TypeVar, cast

from orchestrion.core import Answer, Entry, EntryKind, EntryStatus, Json, Run, RunStatus, iso
from orchestrion.expressions import ExpressionError

from ._programs import evaluate
from ._record import Line, Raised, Record, Scope, Stopped, Wrong
from ._world import Performed

Node = Mapping[str, Any]

T = TypeVar("T")

EPSILON_S = 1e-4


@dataclass(slots=True)
class Model:
    """The walk of one run's document over its record."""

    document: Node
    record: Record
    children: Mapping[str, Run]
    performed: Mapping[str, Sequence[Performed]]
    """Key of a call → what the world saw of it."""
    events: Mapping[tuple[str, str], Mapping[str, Any]]
    """Source and id → the event, in the order received."""
    before: int
    """How many of them were received before the run began: it may be told of them, and may pass them over."""
    answers: Mapping[str, Sequence[Answer]]
    """Key of a question → what was said about it."""
    taken: dict[tuple[str, str, str], str] = field(default_factory=dict[tuple[str, str, str], str])
    """A task and an event → the key at which the task took it."""

    def outcome(self, value: Json, *, partial: bool) -> tuple[str, Json]:
        """`("completed", output)`, or `("faulted", facts)`. Raises: Stopped, Wrong."""
        line, scope = Line(partial=partial), Scope(value)

        def body(inner: Line) -> Json:
            return self._list(inner, scope, self.document["do"], "/do", "/do", value)[0]

        try:
            seconds = self.document.get("timeout")
            output = body(line) if seconds is None else self._within(line, "", "", seconds_of(seconds["after"]), body)
            if "output" in self.document:
                output = self._fill(line, scope, "", self.document["output"]["as"], output, "")
        except Raised as error:
            return "faulted", error.facts
        return "completed", output

    # --- lists and tasks ---

    def _list(
        self, line: Line, scope: Scope, tasks: Sequence[Node], key: str, pointer: str, given: Json
    ) -> tuple[Json, bool]:
        """The output, and whether the workflow is to end."""
        names = [name_of(task) for task in tasks]
        visits: dict[str, int] = {}
        index, output = 0, given
        while index < len(tasks):
            name = names[index]
            visits[name] = visits.get(name, 0) + 1
            place = f"{key}/{index}/{name}#{visits[name]}"
            output, ends, then = self._task(line, scope, tasks[index][name], place, f"{pointer}/{index}/{name}", output)
            if ends or then == "end":
                return output, True
            if then == "exit":
                break
            index = index + 1 if then == "continue" else names.index(then)
        return output, False

    def _task(self, line: Line, scope: Scope, task: Node, key: str, pointer: str, raw: Json) -> tuple[Json, bool, str]:
        """Output, whether the workflow is to end, and where to go."""
        try:
            if "if" in task and not _holds(self._fill(line, scope, key, task["if"], raw, pointer)):
                self._trace(line, f"{key}/if", False)
                return raw, False, "continue"
            given = raw
            if "input" in task:
                given = self._fill(line, scope, key, task["input"]["from"], raw, pointer)
            if "timeout" in task:
                seconds = seconds_of(task["timeout"]["after"])

                def body(inner: Line) -> tuple[Json, bool, str]:
                    return self._kind(inner, scope, task, key, pointer, given)

                output, ends, then = self._within(line, key, pointer, seconds, body)
            else:
                output, ends, then = self._kind(line, scope, task, key, pointer, given)
            if "output" in task:
                output = self._fill(line, scope, key, task["output"]["as"], output, pointer)
            if "export" in task:
                line.context = self._fill(line, scope, key, task["export"]["as"], output, pointer)
        except Raised as error:
            raise Raised(error.type, error.status, error.instance or pointer) from None
        return output, ends, then

    def _kind(
        self, line: Line, scope: Scope, task: Node, key: str, pointer: str, given: Json
    ) -> tuple[Json, bool, str]:
        output, ends, then = given, False, cast("str", task.get("then", "continue"))
        if "call" in task:
            output = self._call(line, scope, task, key, pointer, given)
        elif "set" in task:
            output = self._fill(line, scope, key, task["set"], given, pointer)
            self._trace(line, key, output)
        elif "switch" in task:
            then = self._switch(line, scope, task, key, pointer, given) or then
        elif "wait" in task:
            wait = task["wait"]
            length = self._fill(line, scope, key, wait, given, pointer) if isinstance(wait, str) else wait
            self._timer(line, key, seconds_of(length))
        elif "emit" in task:
            output = self._emit(line, scope, task, key, pointer, given)
        elif "listen" in task:
            output, ends = self._listen(line, scope, task, key, pointer)
        elif "raise" in task:
            error = task["raise"]["error"]
            raise Raised(error["type"], error["status"], pointer)
        elif "run" in task:
            output = self._run(line, scope, task, key, pointer, given)
        elif "try" in task:
            output, ends = self._try(line, scope, task, key, pointer, given)
        elif "fork" in task:
            output, ends = self._fork(line, scope, task, key, pointer, given)
        elif "for" in task:
            output, ends = self._for(line, scope, task, key, pointer, given)
        else:
            output, ends = self._list(line, scope, task["do"], f"{key}/do", f"{pointer}/do", given)
        return output, ends, then

    # --- what leaves entries ---

    def _trace(self, line: Line, key: str, output: Json) -> None:
        entry = self.record.take(key, EntryKind.TRACE, partial=line.partial)
        if entry.output != output:
            raise Wrong(f"{key} gave {entry.output!r} where the document gives {output!r}")

    def _timer(self, line: Line, key: str, seconds: float) -> None:
        first = self.record.first.get(key)
        entry = self.record.take(key, EntryKind.TIMER, partial=line.partial)
        until = cast("Mapping[str, float]", entry.output)["until"]
        if first is None or first.started_at is None or abs(first.started_at + seconds - until) > EPSILON_S:
            raise Wrong(f"{key} waits until {until}, which is not {seconds:g} s after it was first recorded")
        if entry.status is not EntryStatus.COMPLETED:
            raise Wrong(f"{key} was left waiting")
        if entry.ended_at is None or entry.ended_at < until - EPSILON_S:
            raise Wrong(f"{key} ended at {entry.ended_at}, before {until}")
        line.since = until

    def _within(self, line: Line, key: str, pointer: str, seconds: float, body: Callable[[Line], T]) -> T:
        place = f"{key}/deadline"
        decided, first = self.record.choice(place), self.record.first.get(place)
        if decided is None:
            if not line.partial:
                raise Wrong(f"no deadline is recorded at {place}")
            self._beside(line, body)
            raise Stopped
        if first is None or abs(cast("float", first.started_at) + seconds - decided["at"]) > EPSILON_S:
            raise Wrong(f"{place} is at {decided['at']}, which is not {seconds:g} s after it was first recorded")
        match decided.get("first"):
            case "body":
                return body(line)
            case "deadline":
                self._beside(line, body)
                if cast("float", self.record.entries[place].ended_at) < decided["at"] - EPSILON_S:
                    raise Wrong(f"{place} fired before its time")
                line.since = max(line.since, decided["at"])
                raise Raised("timeout", 408, pointer)
            case _:
                if not line.partial:
                    raise Wrong(f"{place} was never decided")
                return body(line)

    def _beside(self, line: Line, body: Callable[[Line], object]) -> bool:
        """Walk what lost, as far as its record goes. Nothing of it counts; whether it had failed."""
        try:
            body(line.beside(partial=True))
        except Stopped:
            return False
        except Raised:
            return True
        return False

    def _call(self, line: Line, scope: Scope, task: Node, key: str, pointer: str, given: Json) -> Json:
        function = cast("str", task["call"]).partition(":")[0]
        arguments = self._fill(line, scope, key, task.get("with", {}), given, pointer)
        if function == "human":
            return self._human(line, key, pointer)
        gate = cast("Mapping[str, Json]", arguments).get("gate")
        asks = gate == "ask" and function != "compute"
        approved = True
        if asks:
            approved = self._approved(line, f"{key}/approval/1")
        interruptions = self._interruptions(key)
        entry = self.record.take(key, EntryKind.LEAF, partial=line.partial)
        if entry.input != arguments or entry.function.partition(":")[0] != function:
            raise Wrong(f"{key} was called with {entry.input!r} where the document gives {arguments!r}")
        denied = function != "compute" and (gate == "deny" or not approved)
        if entry.status is EntryStatus.COMPLETED:
            if denied:
                raise Wrong(f"{key} was performed though it was refused")
            self._in_order(line, entry)
            return entry.output
        if entry.status is not EntryStatus.FAILED:
            raise Wrong(f"{key} was left unanswered")
        problem = cast("Mapping[str, Any]", entry.problem)
        if denied != (problem["status"] == 403):
            raise Wrong(f"{key} failed with {problem!r}, refused: {denied}")
        if not denied:
            self._in_order(line, entry)
        if problem.get("code") == "interrupted" and function != "post" and not interruptions:
            raise Wrong(f"{key} may be repeated, and was interrupted all the same")
        raise Raised(problem["type"], problem["status"], problem.get("instance") or pointer)

    def _in_order(self, line: Line, entry: Entry) -> None:
        """The call gave what is recorded, and began after what stands before it was over."""
        problem = cast("Mapping[str, Any]", entry.problem or {})
        calls = self.performed.get(entry.key, ())
        said = {"type": problem.get("type"), "status": problem.get("status")} if problem else None
        given = [call for call in calls if call.ended_at and (call.output, call.problem) == (entry.output, said)]
        if not given and not self._interruptions(entry.key) and problem.get("code") != "interrupted":
            raise Wrong(f"{entry.key} is recorded as {entry.output or said!r}, which the world never answered")
        if given and given[-1].began_at < line.since - EPSILON_S:
            raise Wrong(
                f"{entry.key} began at {given[-1].began_at}, before the step before it was over at {line.since}"
            )
        if entry.ended_at is not None:
            line.since = entry.ended_at

    def _interruptions(self, key: str) -> int:
        """How often a person was asked what became of the call."""
        count = 0
        while f"{key}/interrupted/{count + 1}" in self.record.entries:
            count += 1
            self.record.visited.add(f"{key}/interrupted/{count}")
        return count

    def _approved(self, line: Line, key: str) -> bool:
        entry = self.record.take(key, EntryKind.REQUEST, partial=line.partial)
        if entry.status is EntryStatus.COMPLETED:
            return self._taken(line, entry).verdict == "approved"
        return False

    def _human(self, line: Line, key: str, pointer: str) -> Json:
        entry = self.record.take(f"{key}/answer", EntryKind.REQUEST, partial=line.partial)
        if entry.status is not EntryStatus.COMPLETED:
            raise Wrong(f"{key}/answer is {entry.status}")
        answer = self._taken(line, entry)
        if answer.verdict != "answered":
            raise Raised("runtime", 409, pointer)
        return {**cast("Mapping[str, Json]", answer.value.value), "by": answer.by, "at": iso(answer.at)}

    def _taken(self, line: Line, entry: Entry) -> Answer:
        """The recorded answer, which somebody must have given."""
        answer = Answer.from_json(entry.output)
        given = [(said.verdict, said.at, said.value.value) for said in self.answers.get(entry.key, ())]
        if (answer.verdict, answer.at, answer.value.value) not in given:
            raise Wrong(f"{entry.key} took an answer that nobody gave: {entry.output!r}")
        line.since = answer.at
        return answer

    def _emit(self, line: Line, scope: Scope, task: Node, key: str, pointer: str, given: Json) -> Json:
        event = cast("Mapping[str, Json]", self._fill(line, scope, key, task["emit"]["event"]["with"], given, pointer))
        entry = self.record.take(key, EntryKind.VALUE, partial=line.partial)
        recorded = cast("Mapping[str, Json]", entry.output)
        if any(recorded.get(name) != value for name, value in event.items()) or not recorded.get("id"):
            raise Wrong(f"{key} emitted {recorded!r} where the document gives {event!r}")
        return recorded

    def _listen(self, line: Line, scope: Scope, task: Node, key: str, pointer: str) -> tuple[Json, bool]:
        """Events, each taken once by this task, in the order they were received, until there are enough."""
        listener = self.record.entries.get(key)
        if listener is None or listener.kind is not EntryKind.LISTEN:
            self.record.take(key, EntryKind.LISTEN, partial=line.partial)
        self.record.visited.add(key)
        to, foreach = task["listen"]["to"], task.get("foreach")
        until = to.get("until", {}).get("one")
        wanted = [to["one"]] if "one" in to else list(to.get("any") or to["all"])
        outputs: list[Json] = []
        for number in itertools.count():
            place = f"{key}/event/{number}"
            ending = [until] if until is not None else []
            body = self._event(line, place, pointer, [*ending, *wanted])
            if until is not None and fits(until, body):
                break
            if "all" in to:
                wanted.remove(next(each for each in wanted if fits(each, body)))
            item = body if task["listen"]["read"] == "envelope" else body["data"]
            if foreach is not None:
                variables = {**scope.variables, foreach["item"]: item, foreach["at"]: len(outputs)}
                inside = Scope(scope.input, variables)
                item, ends = self._list(line, inside, foreach["do"], f"{place}/do", f"{pointer}/foreach/do", item)
                if ends:
                    return item, True
            outputs.append(item)
            if until is None and not ("all" in to and wanted):
                break
        if not line.partial and self.record.entries[key].status is not EntryStatus.COMPLETED:
            raise Wrong(f"{key} has all it listened for, and listens still")
        return outputs, False

    def _event(self, line: Line, key: str, pointer: str, wanted: Sequence[Node]) -> Mapping[str, Any]:
        """The event taken at a key: one that somebody sent, which fits, and before which none that fits was passed over."""
        entry = self.record.take(key, EntryKind.EVENT, partial=line.partial)
        body = cast("Mapping[str, Any]", entry.output)
        name = (body["source"], body["id"])
        if self.events.get(name) != body or not any(fits(each, body) for each in wanted):
            raise Wrong(f"{key} took {body!r}, which nobody sent or which does not fit")
        if (known := self.taken.setdefault((pointer, *name), key)) != key:
            raise Wrong(f"{key} took the event {name}, which was taken at {known} already")
        order = list(self.events)
        for earlier in order[self.before : order.index(name)]:
            seen = (pointer, *earlier) in self.taken or any(
                e.kind is EntryKind.EVENT and e.task == pointer and _name(e) == earlier
                for e in self.record.entries.values()
            )
            if not seen and any(fits(each, self.events[earlier]) for each in wanted):
                raise Wrong(f"{key} took the event {name}, and passed over {earlier}")
        return body

    def _run(self, line: Line, scope: Scope, task: Node, key: str, pointer: str, given: Json) -> Json:
        flow = task["run"]["workflow"]
        arguments = self._fill(line, scope, key, flow["input"], given, pointer) if "input" in flow else given
        awaited = task["run"].get("await", True)
        entry = self.record.entries.get(key)
        if entry is not None and not awaited:
            self.record.visited.add(key)
            if entry.status is not EntryStatus.COMPLETED or entry.input != arguments:
                raise Wrong(f"{key} is {entry.status}, and nobody waits for it")
            return given
        entry = self.record.take(key, EntryKind.CHILD, partial=line.partial)
        if entry.input != arguments:
            raise Wrong(f"{key} began a child with {entry.input!r} where the document gives {arguments!r}")
        began = entry.why if entry.status is EntryStatus.COMPLETED else entry.output
        child = self.children[cast("Mapping[str, str]", began)["run"]]
        line.since = child.ended_at or line.since
        if entry.status is EntryStatus.COMPLETED:
            if child.status is not RunStatus.COMPLETED or child.output != entry.output:
                raise Wrong(f"{key} took {entry.output!r} from a child that is {child.status} with {child.output!r}")
            return entry.output
        problem = cast("Mapping[str, Any] | None", child.problem)
        if entry.status is not EntryStatus.FAILED or problem is None:
            raise Wrong(f"{key} is {entry.status}, and its child is {child.status}")
        raise Raised(problem["type"], problem["status"], problem.get("instance") or pointer)

    # --- structure ---

    def _switch(self, line: Line, scope: Scope, task: Node, key: str, pointer: str, given: Json) -> str | None:
        for each in task["switch"]:
            name = name_of(each)
            case = each[name]
            if "when" not in case or _holds(self._fill(line, scope, key, case["when"], given, pointer)):
                self._trace(line, key, name)
                return cast("str", case["then"])
        self._trace(line, key, None)
        return None

    def _for(self, line: Line, scope: Scope, task: Node, key: str, pointer: str, given: Json) -> tuple[Json, bool]:
        items = cast("Sequence[Json]", self._fill(line, scope, key, task["for"]["in"], given, pointer))
        output = given
        for index, item in enumerate(items):
            inside = Scope(scope.input, {**scope.variables, task["for"]["each"]: item, task["for"]["at"]: index})
            if "while" in task and not _holds(self._fill(line, inside, key, task["while"], output, pointer)):
                break
            output, ends = self._list(line, inside, task["do"], f"{key}/for/{index}", f"{pointer}/do", output)
            if ends:
                return output, True
        return output, False

    def _fork(self, line: Line, scope: Scope, task: Node, key: str, pointer: str, given: Json) -> tuple[Json, bool]:
        base, branches = f"{key}/fork/branches", task["fork"]["branches"]

        def walk(index: int, inner: Line) -> tuple[Json, bool]:
            name = name_of(branches[index])
            place, at = f"{base}/{index}/{name}#1", f"{pointer}/fork/branches/{index}/{name}"
            output, ends, then = self._task(inner, scope, branches[index][name], place, at, given)
            return output, ends or then == "end"

        decided = self.record.choice(f"{base}/join")
        others = [i for i in range(len(branches)) if decided is not None and i not in decided.values()]
        failed = [self._beside(line, partial(walk, index)) for index in others]
        if decided is None:
            return self._joined(line, task, [partial(walk, index) for index in range(len(branches))])
        chosen, inner = next(iter(decided.values())), line.beside(partial=False)
        try:
            result = walk(chosen, inner)
        except Raised:
            if "winner" in decided and not all(failed):
                raise Wrong(f"{base}/join: branch {chosen} failed while others had not") from None
            raise
        if "failed" in decided:
            raise Wrong(f"{base}/join says that branch {chosen} failed, and it cannot have")
        line.since = inner.since
        return result

    def _joined(
        self, line: Line, task: Node, branches: Sequence[Callable[[Line], tuple[Json, bool]]]
    ) -> tuple[Json, bool]:
        """All branches; without a recorded choice none may have failed or, competing, won."""
        if task["fork"]["compete"] and not line.partial:
            raise Wrong("a race ended without a recorded winner")
        results: list[tuple[Json, bool]] = []
        stopped, ends_at = False, line.since
        for branch in branches:
            inner = line.beside(partial=False)
            try:
                results.append(branch(inner))
                ends_at = max(ends_at, inner.since)
            except (Stopped, Raised):
                if not line.partial:
                    raise Wrong("a branch failed, and no choice says so") from None
                stopped = True
        if stopped or task["fork"]["compete"]:
            raise Stopped
        line.since = ends_at
        return [output for output, _ in results], any(ends for _, ends in results)

    def _try(self, line: Line, scope: Scope, task: Node, key: str, pointer: str, given: Json) -> tuple[Json, bool]:
        catch = task["catch"]
        retry = catch.get("retry")
        began = None
        if retry is not None and "duration" in retry.get("limit", {}):
            began = self._value(line, f"{key}/began")
        attempt = 1
        while True:
            try:
                return self._attempt(line, scope, task, f"{key}/try~{attempt}", pointer, given)
            except Raised as error:
                problem = {"type": error.type, "status": error.status}
                inside = Scope(scope.input, {**scope.variables, catch["as"]: problem})
                if not self._catches(line, inside, catch, key, pointer, given, error):
                    raise
                if retry is not None:
                    if self._again(line, inside, retry, key, pointer, attempt, given, began):
                        attempt += 1
                        continue
                    if "do" not in catch:
                        raise
            return self._list(line, inside, catch.get("do", ()), f"{key}/catch/do", f"{pointer}/catch/do", given)

    def _attempt(self, line: Line, scope: Scope, task: Node, key: str, pointer: str, given: Json) -> tuple[Json, bool]:
        limit = task["catch"].get("retry", {}).get("limit", {}).get("attempt", {}).get("duration")

        def body(inner: Line) -> tuple[Json, bool]:
            return self._list(inner, scope, task["try"], key, f"{pointer}/try", given)

        return body(line) if limit is None else self._within(line, key, pointer, seconds_of(limit), body)

    def _catches(
        self, line: Line, scope: Scope, catch: Node, key: str, pointer: str, given: Json, error: Raised
    ) -> bool:
        wanted = catch.get("errors", {}).get("with", {})
        if wanted.get("type", error.type) != error.type or wanted.get("status", error.status) != error.status:
            return False
        if "when" in catch and not _holds(self._fill(line, scope, key, catch["when"], given, pointer)):
            return False
        return "exceptWhen" not in catch or not _holds(
            self._fill(line, scope, key, catch["exceptWhen"], given, pointer)
        )

    def _again(
        self,
        line: Line,
        scope: Scope,
        retry: Node,
        key: str,
        pointer: str,
        attempt: int,
        given: Json,
        began: float | None,
    ) -> bool:
        count = retry.get("limit", {}).get("attempt", {}).get("count")
        if count is not None and attempt > count:
            return False
        if "when" in retry and not _holds(self._fill(line, scope, key, retry["when"], given, pointer)):
            return False
        delay = seconds_of(retry["delay"]) if "delay" in retry else 0.0
        backoff = retry.get("backoff", {})
        if "linear" in backoff:
            delay *= attempt
        if "exponential" in backoff:
            delay *= 2 ** (attempt - 1)
        if "jitter" in retry:
            least, most = seconds_of(retry["jitter"]["from"]), seconds_of(retry["jitter"]["to"])
            delay += least + (most - least) * self._value(line, f"{key}/jitter~{attempt}")
        if began is not None:
            now = self._value(line, f"{key}/failed~{attempt}")
            if now + delay > began + seconds_of(retry["limit"]["duration"]):
                return False
        if delay > 0:
            self._timer(line, f"{key}/retry~{attempt}", delay)
        return True

    # --- values ---

    def _value(self, line: Line, key: str) -> float:
        return cast("float", self.record.take(key, EntryKind.VALUE, partial=line.partial).output)

    def _fill(self, line: Line, scope: Scope, key: str, template: Any, dot: Json, pointer: str) -> Json:
        """A template's value; a bare program is one as well."""
        if isinstance(template, str):
            text = template.strip()
            if not text.startswith("${"):
                if template.startswith("$"):
                    return self._evaluate(line, scope, key, text, dot, pointer)
                return template
            return self._evaluate(line, scope, key, text[2:-1].strip(), dot, pointer)
        if isinstance(template, Mapping):
            return {
                name: self._fill(line, scope, key, inner, dot, pointer)
                for name, inner in cast("Mapping[str, Any]", template).items()
            }
        return cast("Json", template)

    def _evaluate(self, line: Line, scope: Scope, key: str, program: str, dot: Json, pointer: str) -> Json:
        variables: dict[str, Json] = {**scope.variables, ".": dot, "context": line.context}
        if program.startswith("now"):
            variables["__now"] = self._value(line, f"{key}/started")
        try:
            return evaluate(program, variables)
        except ExpressionError:
            raise Raised("expression", 400, pointer) from None


def seconds_of(length: Any) -> float:
    """A length of time in the units generated documents use."""
    return length.get("seconds", 0) + length.get("milliseconds", 0) / 1000


def fits(wanted: Node, body: Mapping[str, Any]) -> bool:
    """Whether an event is what a filter of generated documents wants."""
    filter_ = wanted["with"]
    data = body.get("data")
    kind = cast("Mapping[str, Json]", data).get("kind") if isinstance(data, Mapping) else None
    return bool(body["type"] == filter_["type"]) and ("data" not in filter_ or kind == filter_["data"]["kind"])


def _name(entry: Entry) -> tuple[str, str]:
    body = cast("Mapping[str, str]", entry.output)
    return body["source"], body["id"]


def name_of(task: Node) -> str:
    return next(iter(task))


def _holds(value: Json) -> bool:
    return value is not None and value is not False
