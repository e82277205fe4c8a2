"""What agents, models, tools, routers and workflows do, counted from the record of runs."""

import math
import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any, Literal, TypeAlias, cast, get_args

from orchestrion.core import Entry, EntryKind, EntryStatus, Json

SubjectKind: TypeAlias = Literal["agent", "model", "tool", "router", "workflow"]
KINDS: Sequence[SubjectKind] = get_args(SubjectKind)
COUNTED = (
    "count", "errors", "denied", "asked", "approved", "rejected", "abstained", "corrected", "good", "bad",
)  # fmt: skip
"""What is counted. `corrected`, `good` and `bad` come from feedback, all else from the journal."""
NOTEWORTHY = ("errors", "denied", "asked", "rejected", "abstained", "corrected", "bad")
"""Of these the latest runs are kept beside the number."""
RATES = {f"{name}_rate": name for name in COUNTED[1:]}
"""Measures that are shares of the count, and of what."""
MEASURES = (*COUNTED, *RATES, "seconds_p50", "seconds_p95", "usd")
RUNS = 20
"""How many runs are kept beside one number of one window."""
STEPS = 8
"""Steps a doubling of seconds is divided into: percentiles are exact to 4.5 %."""
UNSURE = "(not sure)"
"""How a router's answer counts when it abstains."""
_TURN_OF = re.compile(r"(.*/turn/\d+)/model/", re.S)
_TURN = re.compile(r"(.*/turn/\d+)/model/(\d+)(?:/tool/(\d+)(?:~\d+)?(/.*)?)?", re.S)


@dataclass(frozen=True, slots=True, order=True)
class Subject:
    """What is watched, by its kind and name."""

    kind: SubjectKind
    name: str


@dataclass(slots=True, kw_only=True)
class Measures:
    """Sums of one subject over some time. They add up, so that windows of time can be put together."""

    count: int = 0
    """Turns of an agent; requests to a model; calls of a tool or router; ended runs of a workflow."""
    errors: int = 0
    """Of them, those that failed for another reason than a refusal."""
    denied: int = 0
    """Calls that policy refused."""
    asked: int = 0
    """Approvals and questions put to people."""
    approved: int = 0
    rejected: int = 0
    abstained: int = 0
    """Texts a router was not sure of."""
    corrected: int = 0
    """Feedback that said what would have been right."""
    good: int = 0
    bad: int = 0
    usd_micros: int = 0
    took: dict[int, int] = field(default_factory=dict[int, int])
    """Seconds on a logarithmic scale, and how many lasted so long."""
    mix: dict[str, int] = field(default_factory=dict[str, int])
    """An agent's tools, a router's labels, and how often each."""
    runs: dict[str, list[str]] = field(default_factory=dict[str, list[str]])
    """Noteworthy measure → the latest runs it happened in."""

    def tell(self, measure: str, run: str, times: int = 1) -> None:
        """Count something that happened in a run."""
        setattr(self, measure, getattr(self, measure) + times)
        if measure in NOTEWORTHY and times:
            self._note(measure, [run])

    def lasted(self, seconds: float) -> None:
        step = round(STEPS * math.log2(max(seconds, 1e-4)))
        self.took[step] = self.took.get(step, 0) + 1

    def add(self, other: "Measures") -> None:
        """Those of a later time, or of another subject."""
        for name in (*COUNTED, "usd_micros"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        for mine, theirs in ((self.took, other.took), (self.mix, other.mix)):
            for key, times in cast("Mapping[Any, int]", theirs).items():
                cast("dict[Any, int]", mine)[key] = mine.get(key, 0) + times
        for measure, runs in other.runs.items():
            self._note(measure, runs)

    def percentile(self, share: float) -> float | None:
        """Seconds within which that share of them ended; None where nothing did."""
        left = share * sum(self.took.values())
        for step in sorted(self.took):
            left -= self.took[step]
            if left <= 0:
                return 2.0 ** (step / STEPS)
        return None

    def value(self, measure: str) -> float | None:
        """A measure by its name; None where there is nothing to measure. Raises: KeyError."""
        if measure in RATES:
            return getattr(self, RATES[measure]) / self.count if self.count else None
        if measure in {"seconds_p50", "seconds_p95"}:
            return self.percentile(int(measure[-2:]) / 100)
        if measure == "usd":
            return self.usd_micros / 1_000_000
        if measure not in COUNTED:
            raise KeyError(measure)
        return float(getattr(self, measure))

    def behind(self, measure: str) -> Sequence[str]:
        """The latest runs a measure comes from, the newest last; none for one without."""
        return self.runs.get(RATES.get(measure, measure), ())

    def to_json(self) -> dict[str, Json]:
        """Without what is zero."""
        said: dict[str, Json] = {each.name: getattr(self, each.name) for each in fields(self)}
        said["took"] = {str(step): times for step, times in self.took.items()}
        return {name: value for name, value in said.items() if value}

    @staticmethod
    def from_json(kept: Json) -> "Measures":
        said = dict(cast("Mapping[str, Any]", kept))
        said["took"] = {int(step): times for step, times in said.get("took", {}).items()}
        return Measures(**said)

    def _note(self, measure: str, runs: Iterable[str]) -> None:
        known = self.runs.setdefault(measure, [])
        for run in runs:
            if run in known:
                known.remove(run)
            known.append(run)
        del known[:-RUNS]


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """One thing that happened to one subject, and what it changes."""

    at: float
    subject: Subject
    measures: Measures
    signals: Mapping[str, float] = field(default_factory=dict[str, float])
    """What is watched for drift, each from 0 to 1."""
    used: Collection[str] | None = None
    """Which of the subject's tools or labels it was; None where there are none to choose from."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """What is known of a run, and what of it is news."""

    run: str
    workflow: str
    entries: Sequence[Entry]
    """All that are of use, in the order of first writes."""
    news: Collection[str]
    """Keys of those not looked at before, or without an outcome then."""
    known: Collection[str] = ()
    """Keys of the news that were there before, without an outcome."""
    ended_at: float | None = None
    """Set when its end is news."""
    seconds: float = 0.0
    faulted: bool = False
    fault_key: str | None = None


def measured(record: Record) -> Iterator[Seen]:
    """What is news in the record of a run. A call without an outcome says nothing yet; a question without an answer, that it was asked."""
    answers = {each.key: each for each in record.entries if each.function == "model:1.0.0"}
    turns: dict[str, list[Entry]] = {}
    for entry in record.entries:
        if entry.key not in record.news:
            continue
        if entry.kind is EntryKind.REQUEST:
            yield from _of_request(record, entry, answers)
        elif entry.kind is EntryKind.LEAF and entry.status in {EntryStatus.COMPLETED, EntryStatus.FAILED}:
            place = _TURN.fullmatch(entry.key)
            yield from _of_call(record, entry, place, answers)
            if place is not None:
                turns.setdefault(place[1], []).append(entry)
    for base, inside in turns.items():
        last = not any(each.startswith(f"{_engagement(base)}/turn/") and each > base for each in turns)
        yield from _of_turn(record, base, inside, answers, faulted=last and _faulted_in(record, base))
    if record.ended_at is not None:
        sums = Measures(count=1)
        sums.tell("errors", record.run, int(record.faulted))
        sums.lasted(record.seconds)
        yield Seen(
            at=record.ended_at,
            subject=Subject("workflow", record.workflow),
            measures=sums,
            signals={"errors": float(record.faulted)},
        )


def _of_call(record: Record, entry: Entry, place: re.Match[str] | None, answers: Mapping[str, Entry]) -> Iterator[Seen]:
    at = entry.ended_at or entry.started_at or 0.0
    denied = _denied(entry)
    failed = entry.status is EntryStatus.FAILED and not denied
    sums = Measures(count=1, usd_micros=_micros(entry))
    sums.tell("denied", record.run, int(denied))
    sums.tell("errors", record.run, int(failed))
    if entry.started_at is not None and not denied:
        sums.lasted(at - entry.started_at)
    signals = {"errors": float(failed), "denied": float(denied)}
    used = None
    if entry.function == "route:1.0.0" and not failed:
        used = _routed(record.run, entry, sums, signals)
    yield Seen(at=at, subject=_called(entry, place, answers), measures=sums, signals=signals, used=used)
    above = Measures(usd_micros=sums.usd_micros)
    above.tell("denied", record.run, int(denied))
    if above.usd_micros or denied:
        yield Seen(at=at, subject=Subject("workflow", record.workflow), measures=above)


def _called(entry: Entry, place: re.Match[str] | None, answers: Mapping[str, Entry]) -> Subject:
    match entry.function:
        case "model:1.0.0":
            return Subject("model", entry.model or str(_object(entry.input).get("model", "unknown")))
        case "route:1.0.0":
            return Subject("router", str(_object(entry.input).get("router", "unknown")))
        case _:
            return Subject("tool", _tool(entry, place, answers))


def _tool(entry: Entry, place: re.Match[str] | None, answers: Mapping[str, Entry]) -> str:
    """The name by which an agent's model called it, or else that of the function."""
    if place is not None and place[3] is not None and not place[4]:
        answer = answers.get(f"{place[1]}/model/{place[2]}")
        parts = cast("Sequence[Json]", _object(answer.output).get("parts", ()) if answer is not None else ())
        asked = [part for part in parts if _object(part).get("part_kind") == "tool-call"]
        if int(place[3]) < len(asked):
            return str(_object(asked[int(place[3])]).get("tool_name"))
    return entry.function.partition(":")[0]


def _routed(run: str, entry: Entry, sums: Measures, signals: dict[str, float]) -> Collection[str]:
    said = _object(entry.output)
    abstained = said.get("abstained") is True
    label = UNSURE if abstained else str(said.get("label"))
    sums.tell("abstained", run, int(abstained))
    sums.mix[label] = 1
    signals["abstained"] = float(abstained)
    if isinstance(confidence := said.get("confidence"), int | float):
        signals["confidence"] = float(confidence)
    if isinstance(text := _object(entry.input).get("input"), str):
        signals["length"] = min(1.0, math.log2(1 + len(text)) / 16)
    return (label,)


def _of_request(record: Record, entry: Entry, answers: Mapping[str, Entry]) -> Iterator[Seen]:
    sums = Measures()
    if entry.key not in record.known:
        sums.tell("asked", record.run)
    verdict = _object(entry.output).get("verdict")
    if entry.function == "approval" and verdict in {"approved", "rejected"}:
        sums.tell(str(verdict), record.run)
    place = _TURN_OF.match(entry.key)
    agent = _agent(place[1], answers) if place is not None else None
    at = entry.ended_at or entry.started_at or 0.0
    for subject in [Subject("workflow", record.workflow), *([Subject("agent", agent)] if agent else [])]:
        yield Seen(at=at, subject=subject, measures=sums)


def _of_turn(
    record: Record, base: str, inside: Sequence[Entry], answers: Mapping[str, Entry], *, faulted: bool
) -> Iterator[Seen]:
    """A turn of an agent until it ended or waited; or how one that had waited went on, which is no turn of its own."""
    agent = _agent(base, answers)
    if agent is None:
        return
    requests = [each for each in inside if each.function == "model:1.0.0"]
    calls = [each for each in inside if each.function != "model:1.0.0"]
    tools = [_tool(each, _TURN.fullmatch(each.key), answers) for each in calls]
    denied = sum(map(_denied, calls))
    failed = faulted or (bool(requests) and requests[-1].status is EntryStatus.FAILED)
    at = max(each.ended_at or 0.0 for each in inside)
    begun = any(each.key == f"{base}/model/0" for each in requests)
    sums = Measures(count=int(begun), usd_micros=sum(map(_micros, inside)))
    sums.tell("errors", record.run, int(failed))
    sums.tell("denied", record.run, denied)
    for tool in tools:
        sums.mix[tool] = sums.mix.get(tool, 0) + 1
    if not begun:
        yield Seen(at=at, subject=Subject("agent", agent), measures=sums)
        return
    sums.lasted(at - min(each.started_at or at for each in inside))
    signals = {"errors": float(failed), "denied": float(denied > 0)}
    yield Seen(at=at, subject=Subject("agent", agent), measures=sums, signals=signals, used=tools)


def _engagement(base: str) -> str:
    return base.rpartition("/turn/")[0]


def _faulted_in(record: Record, base: str) -> bool:
    place = _engagement(base)
    return record.faulted and f"{record.fault_key}/".startswith(f"{place}/")


def _agent(base: str, answers: Mapping[str, Entry]) -> str | None:
    """Whose turn it is."""
    named = (each.subject or "" for key, each in answers.items() if key.startswith(f"{base}/"))
    return next((name.removeprefix("Agent::") for name in named if name.startswith("Agent::")), None)


def _denied(entry: Entry) -> bool:
    return _object(entry.decision).get("verdict") == "deny"


def _micros(entry: Entry) -> int:
    if _object(entry.why).get("answered_by") == "rules":
        return 0
    return int(cast("int", _object(entry.cost).get("usd_micros", 0)))


def _object(value: Json) -> Mapping[str, Json]:
    return value if isinstance(value, Mapping) else {}
