"""What a candidate does otherwise than the version of a recorded run: each difference in a sentence, the gravest first."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from orchestrion.core import Entry, EntryKind, Json, Question, Run, RunStatus, canonical
from orchestrion.engine import Differing, Gap, asked_for, differing, is_refused, only_wording, task_name

SHOWN = 40
"""Characters up to which a value stands in a sentence."""


class Likeness(StrEnum):
    """How a replayed run compares with the recorded one. Later ones are graver, and what is known counts more than what is not."""

    SAME = "same"
    """The same output and the same effects."""
    WORDS = "words"
    """Only texts differ."""
    UNANSWERABLE = "unanswerable"
    """It asked something that the recording cannot answer, and did nothing else otherwise until then."""
    ACTION = "action"
    """Other effects, another output, or no person and no policy in between any more."""
    REFUSED = "refused"
    """Policy refuses what it allowed."""
    ASKS = "asks"
    """A person is asked who was not."""
    FAULTED = "faulted"
    """It fails, or fails otherwise."""

    @property
    def gravity(self) -> int:
        return list(Likeness).index(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """One thing that is otherwise. The words hold no text that a customer may have written."""

    kind: Likeness
    words: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Deed:
    """A call that changes something outside, or an event that is published."""

    name: str
    """What an agent calls it, else the function's name."""
    function: str
    by: str
    task: str
    arguments: Json


@dataclass(frozen=True, slots=True, kw_only=True)
class Behaviour:
    """What a run did, as far as it is compared."""

    status: RunStatus
    output: Json
    problem: Json
    deeds: tuple[Deed, ...] = ()
    refused: tuple[Deed, ...] = ()
    questions: tuple[Question, ...] = ()
    gap: Gap | None = None


def behaviour(
    records: Sequence[tuple[Run, Sequence[Entry]]], writes: Callable[[Entry], bool], gap: Gap | None = None
) -> Behaviour:
    """Read from the record of a run, and those of the runs it started. `writes` says which calls change something outside."""
    run = records[0][0]
    entries = [entry for _, each in records for entry in each]
    calls = [(entry, _deed(entry, by_key)) for by_key, entry in _calls(records)]
    emitted = [entry for entry in entries if entry.kind is EntryKind.VALUE and entry.function == "emit"]
    return Behaviour(
        status=run.status,
        output=run.output,
        problem=run.problem,
        deeds=(
            *(deed for entry, deed in calls if not is_refused(entry) and writes(entry)),
            *(replace(_deed(entry, {}), arguments=_message(entry.output)) for entry in emitted),
        ),
        refused=tuple(deed for entry, deed in calls if is_refused(entry)),
        questions=tuple(Question.from_json(entry.input) for entry in entries if entry.kind is EntryKind.REQUEST),
        gap=gap,
    )


def _calls(records: Sequence[tuple[Run, Sequence[Entry]]]) -> Iterator[tuple[Mapping[str, Entry], Entry]]:
    """Each call, beside all entries of its run by their keys."""
    for _, entries in records:
        by_key = {entry.key: entry for entry in entries}
        yield from ((by_key, entry) for entry in entries if entry.kind is EntryKind.LEAF)


def compare(before: Behaviour, after: Behaviour) -> list[Difference]:
    """What is otherwise, the gravest first; nothing for the same behaviour.

    After a gap nobody knows what would have come: what is missing then is no difference, nor is the output.
    """
    found = [*_deeds(before, after), *_refusals(before, after), *_questions(before, after)]
    if after.gap is not None:
        found += _gap(after.gap)
    else:
        found += _end(before, after)
    return sorted(found, key=lambda each: -each.kind.gravity)


def likeness(found: Sequence[Difference]) -> Likeness:
    """The gravest of them."""
    return max((each.kind for each in found), key=lambda kind: kind.gravity, default=Likeness.SAME)


def _deed(entry: Entry, by_key: Mapping[str, Entry]) -> Deed:
    return Deed(
        name=_tool(entry, by_key) or entry.function.partition(":")[0],
        function=entry.function,
        by=entry.subject or "",
        task=task_name(entry.task),
        arguments=entry.input,
    )


def _tool(entry: Entry, by_key: Mapping[str, Entry]) -> str | None:
    """What the answer of a model that asked for the call says: `turn/model/3` for what stands at `turn/model/3/tool/0`."""
    request, called, position = entry.key.rpartition("/tool/")
    if not called or not position.isdigit():
        return None
    said = next((each.output for key, each in by_key.items() if key.partition("/fallback/")[0] == request), None)
    parts = said.get("parts") if isinstance(said, Mapping) else None
    answered = [each for each in parts if isinstance(each, Mapping)] if isinstance(parts, list | tuple) else []
    calls = [each.get("tool_name") for each in answered if each.get("part_kind") == "tool-call"]
    return str(calls[int(position)]) if int(position) < len(calls) else None


def _message(event: Json) -> Json:
    """An event without what is new each time."""
    if not isinstance(event, Mapping):
        return event
    return {name: value for name, value in event.items() if name not in {"id", "time"}}


def _deeds(before: Behaviour, after: Behaviour) -> Iterator[Difference]:
    """Effects that are left when equal ones are taken away: first those that say the same in other words, then of one function."""
    was, now = _left(before.deeds, after.deeds), _left(after.deeds, before.deeds)
    for alike in (_says_the_same, _is_of_one_function):
        for deed in list(now):
            other = next((each for each in was if alike(each, deed)), None)
            if other is None:
                continue
            was.remove(other)
            now.remove(deed)
            kind = Likeness.WORDS if alike is _says_the_same else Likeness.ACTION
            yield Difference(kind=kind, words=f"{_who(deed)}: {_in_words(differing(other.arguments, deed.arguments))}")
    for deed in now:
        yield Difference(kind=Likeness.ACTION, words=f"{_who(deed)}: done, where it was not")
    if after.gap is None:
        for deed in was:
            yield Difference(kind=Likeness.ACTION, words=f"{_who(deed)}: done no longer")


def _left(deeds: Sequence[Deed], others: Sequence[Deed]) -> list[Deed]:
    known = Counter(map(_identity, others))
    found: list[Deed] = []
    for deed in deeds:
        if known[_identity(deed)]:
            known[_identity(deed)] -= 1
        else:
            found.append(deed)
    return found


def _identity(deed: Deed) -> str:
    return canonical([deed.function, deed.arguments])


def _says_the_same(one: Deed, other: Deed) -> bool:
    return one.function == other.function and only_wording(one.arguments, other.arguments)


def _is_of_one_function(one: Deed, other: Deed) -> bool:
    return (one.function, one.task) == (other.function, other.task)


def _who(deed: Deed) -> str:
    return f"{deed.name} by {deed.by} at {deed.task}"


def _refusals(before: Behaviour, after: Behaviour) -> Iterator[Difference]:
    was, now = Counter(each.name for each in before.refused), Counter(each.name for each in after.refused)
    for name in dict.fromkeys([*was, *now]):
        if now[name] > was[name]:
            yield Difference(kind=Likeness.REFUSED, words=f"{name}: refused, where it was allowed or not tried")
        elif now[name] < was[name] and after.gap is None:
            yield Difference(kind=Likeness.ACTION, words=f"{name}: refused no longer")


def _questions(before: Behaviour, after: Behaviour) -> Iterator[Difference]:
    was = Counter(asked_for(each) for each in before.questions)
    now = Counter(asked_for(each) for each in after.questions)
    titles = {
        asked_for(each): f"“{each.title}” to {each.role or each.user}" for each in (*before.questions, *after.questions)
    }
    shown: dict[tuple[Json, ...], list[Json]] = {}
    for each in before.questions:
        shown.setdefault(asked_for(each), []).append(each.show.value)
    for question, title in titles.items():
        if now[question] > was[question]:
            yield Difference(kind=Likeness.ASKS, words=f"a person is asked: {title}")
        elif now[question] < was[question] and after.gap is None:
            yield Difference(kind=Likeness.ACTION, words=f"no person is asked any more: {title}")
    for each in after.questions:
        if (others := shown.get(asked_for(each))) and each.show.value not in others:
            places = _in_words(differing(others[0], each.show.value))
            yield Difference(kind=Likeness.WORDS, words=f"{titles[asked_for(each)]} shows {places}")


def _gap(gap: Gap) -> Iterator[Difference]:
    fields = f" with {', '.join(gap.fields)}" if gap.fields else ""
    match gap.kind:
        case "model":
            words = f"needs the model at {gap.task}: the recording has no answer to this request"
        case "call" if gap.changed:
            words = f"{gap.name} at {gap.task} does something else by now; the recording answers only what it did"
        case "call":
            words = f"{gap.name} at {gap.task}{fields}: the recording has no answer, and it was not done"
        case "event":
            words = f"{gap.task} waits for an event that the recording does not have"
        case "wait":
            words = f"{gap.task} waits for what never came then either"
        case "question":
            return  # `_questions` says it
    yield Difference(kind=Likeness.ACTION if gap.writes else Likeness.UNANSWERABLE, words=words)


def _end(before: Behaviour, after: Behaviour) -> Iterator[Difference]:
    was, now = _code(before.problem), _code(after.problem)
    if after.status is RunStatus.WAITING:
        yield Difference(kind=Likeness.UNANSWERABLE, words="it waits, where the recorded run ended")
    elif after.status is not before.status or was != now:
        if after.status is RunStatus.COMPLETED:
            yield Difference(kind=Likeness.ACTION, words=f"it completes, where it failed with {was}")
        elif now != "policy-denied":
            yield Difference(kind=Likeness.FAULTED, words=f"it fails with {now}")
    else:
        places = list(differing(before.output, after.output))
        for wording in (False, True):
            if some := [each for each in places if each.wording is wording]:
                kind = Likeness.WORDS if wording else Likeness.ACTION
                yield Difference(kind=kind, words=f"output: {_in_words(some)}")


def _code(problem: Json) -> str | None:
    if not isinstance(problem, Mapping):
        return None
    return str(problem.get("code") or problem.get("type"))


def _in_words(places: "Sequence[Differing] | Iterator[Differing]") -> str:
    said = [f"{each.pointer or 'it'} {_change(each)}" for each in places]
    return "; ".join(said[:5]) + (f"; and {len(said) - 5} more" if len(said) > 5 else "")


def _change(each: Differing) -> str:
    if each.wording:
        return "in other words"
    before, after = _short(each.before), _short(each.after)
    return f"{before} → {after}" if before != after else "is another text"


def _short(value: Json) -> str:
    """A value that no customer has written as a text; others are only named."""
    if isinstance(value, str) and len(value.split()) > 1:
        return "a text"
    if isinstance(value, Mapping):
        return f"an object with {', '.join(value) or 'nothing'}"[:SHOWN]
    return canonical(value)[:SHOWN]
