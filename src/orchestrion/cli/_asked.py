"""Questions to people: approvals, forms, and what was interrupted, as steps of a story."""

from collections.abc import Mapping
from dataclasses import dataclass

from orchestrion.core import Answer, Entry, EntryStatus, Question, Request, RequestStatus

from ._phrases import amount_of, mapping, quoted, said
from ._reasons import problem_in, problem_words, simulated
from ._step import Reason, Status, Step, Waiting

SHORT = 8
"""Characters of an id that people type; commands find a run or request by a part of its id."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """One question and what became of it."""

    entry: Entry
    question: Question
    request: Request | None
    answer: Answer | None
    expires_at: float | None

    @property
    def whom(self) -> str:
        return self.question.role or self.question.user or "somebody"

    @property
    def open(self) -> bool:
        return self.entry.status is EntryStatus.INTENT and self.answer is None

    @property
    def what(self) -> str:
        """What the question is about, in a few words."""
        if self.question.kind == "human":
            return self.question.title
        show = mapping(self.question.show.value)
        name = str(show.get("action") or show.get("function") or "this").partition(":")[0]
        return called(name, amount_of(show.get("arguments")))


def called(name: str, amount: str | None) -> str:
    return f"{name} {amount}" if amount else name


def asked_in(entry: Entry, requests: Mapping[str, Request]) -> Asked:
    """The question of an entry of kind `request`."""
    request = requests.get(entry.key)
    answer = Answer.from_json(entry.output) if entry.status is EntryStatus.COMPLETED else None
    if answer is None and request is not None and entry.status is EntryStatus.INTENT:
        answer = request.answer
    expires = mapping(entry.input).get("expires_at")
    return Asked(
        entry=entry,
        question=Question.from_json(entry.input),
        request=request,
        answer=answer,
        expires_at=float(expires) if isinstance(expires, int | float) else None,
    )


def asked_step(asked: Asked, *, active: bool, until: float | None) -> Step:
    """An approval or inquiry as a step of its own; `until` is the deadline of the task around it."""
    entry, question = asked.entry, asked.question
    titles = {
        "approval": f"Approval of {asked.what}",
        "human": question.title,
        "interrupted": f"Did {asked.what} happen?",
    }
    return Step(
        key=entry.key,
        name=asked.what,
        title=titles[question.kind],
        kind="approval" if question.kind == "approval" else "inquiry" if question.kind == "interrupted" else "person",
        status=asked_status(asked, active=active),
        result=_verdict(asked.answer),
        started_at=entry.started_at,
        ended_at=entry.ended_at,
        who=f"User::{asked.answer.by}" if asked.answer else None,
        asked=asked.whom,
        reasons=tuple(asked_reasons(asked)),
        waits=waiting(asked, until=until) if asked.open and active else None,
        problem=problem_in(entry.problem) if entry.status is EntryStatus.FAILED else None,
        input=question.show.value,
        output=asked.answer.value.value if asked.answer else None,
    )


def asked_status(asked: Asked, *, active: bool) -> Status:
    if asked.answer is not None:
        refused = asked.answer.verdict in ("rejected", "failed")
        return "denied" if refused else "done"
    match asked.entry.status:
        case EntryStatus.INTENT:
            return "waiting" if active else "abandoned"
        case EntryStatus.FAILED:
            return "failed"
        case EntryStatus.ABANDONED | EntryStatus.COMPLETED:
            return "abandoned"


def asked_reasons(asked: Asked) -> list[Reason]:
    """Who was asked and why, and what they said."""
    reasons: list[Reason] = []
    if (why := mapping(asked.question.show.value).get("why")) and asked.question.kind == "approval":
        reasons.append(Reason("policy", str(why)))
    answer = asked.answer
    if answer is not None:
        said_so = f': "{answer.reason}"' if answer.reason else ""
        reasons.append(Reason("person", f"{_verdict(answer)} by {answer.by}{said_so}"))
        if asked.entry.status is EntryStatus.INTENT:
            reasons.append(Reason("record", "the run goes on when an engine takes it up"))
        reasons += simulated(asked.entry)
    elif asked.entry.status is EntryStatus.FAILED and (problem := problem_in(asked.entry.problem)):
        reasons.append(Reason("time", f"{problem_words(problem)}: {asked.whom} was asked"))
    elif asked.request is not None and asked.request.status is RequestStatus.WITHDRAWN:
        reasons.append(Reason("record", f"withdrawn: nobody needs the answer of {asked.whom} any more"))
    return reasons


def waiting(asked: Asked, *, until: float | None) -> Waiting:
    ends = [at for at in (asked.expires_at, until) if at is not None]
    what = {
        "approval": f"approve {asked.what}",
        "human": f"answer {quoted(asked.what)}",
        "interrupted": f"find out whether {asked.what} happened",
    }
    return Waiting(
        what=what[asked.question.kind],
        whom=asked.whom,
        since=asked.entry.started_at,
        until=min(ends) if ends else None,
        command=_command(asked.request) if asked.request else None,
    )


def _command(request: Request) -> str:
    """What was interrupted has no command that is right without finding out first, so its page of choices is named."""
    short = request.id[:SHORT]
    match request.question.kind:
        case "approval":
            return f"orchestrion approvals approve {short}"
        case "human":
            return f"orchestrion approvals approve {short} --value '{{…}}'"
        case "interrupted":
            return f"orchestrion approvals show {short}"


def _verdict(answer: Answer | None) -> str:
    if answer is None:
        return ""
    return {
        "performed": "found to have happened",
        "again": "to be performed again",
        "failed": "found not to have happened",
    }.get(answer.verdict, answer.verdict)


def answer_words(answer: Answer) -> str:
    """What a person answered, as text."""
    return said(answer.value.value)
