"""Rules at work: from a conversation to the next step. Pure."""

import html
import re
import unicodedata
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Literal, TypeAlias

from orchestrion.core import Json, UserError

from ._entities import KINDS, compiled, matched
from ._playbook import Fact, Pattern, PlanStep, Playbook, Rule, Sum, Test, When
from ._template import lookup, render, shown

CallStatus: TypeAlias = Literal["done", "refused", "failed"]

_LONGEST = 20_000
"""Characters of a message that rules look at."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolCall:
    """A tool that was called earlier in the conversation, and how it ended."""

    tool: str
    arguments: Mapping[str, Json]
    status: CallStatus
    result: Json = None
    """What it gave when done; `reason`, `by` and `code` when refused or failed."""
    rule: str | None = None
    """The rule that asked for it, if a playbook did."""
    entry: str | None = None
    """The id of its result, where answers cite such."""
    names: Sequence[str] = ()
    """What else it is called: the member of a team that it stood for, and whom the rule wanted to engage."""

    @property
    def every_name(self) -> Sequence[str]:
        return (self.tool, *self.names)


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """A member of the team that the agent leads, and the tool that stands for it."""

    tool: str
    name: str
    contains: Sequence[str] = ()
    """Who is below it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Intent:
    """What a router says the message is about; no label when it is unsure."""

    label: str | None
    confidence: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Conversation:
    """All that rules see."""

    input: Json
    calls: Sequence[ToolCall] = ()
    members: Sequence[Member] = ()
    intent: Intent | None = None
    asked: Collection[str] = ()
    """Rules that have asked back already."""

    def standing_for(self, name: str) -> str | None:
        """The tool of this member, or else of one that has it below."""
        return next(
            (each.tool for each in self.members if each.name == name),
            next((each.tool for each in self.members if name in each.contains), None),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class CallTool:
    """The rule's step: call a tool."""

    rule: Rule
    tool: str
    arguments: Mapping[str, Json]
    because: Sequence[str] = ()
    """Which conditions held, in words of the playbook."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Say:
    """The rule's step: answer or ask back, which ends the turn."""

    rule: Rule
    answer: str | Mapping[str, Json]
    asks: bool = False
    because: Sequence[str] = ()


Step: TypeAlias = CallTool | Say


def next_step(playbook: Playbook, conversation: Conversation) -> Step:
    """The step of the first rule that holds and has not been taken. Raises: UserError `no-rule-fits`."""
    scope = _scope(playbook, conversation)
    text = message_of(playbook, conversation)
    for rule in playbook.rules:
        begun = any(call.rule == rule.name for call in conversation.calls)
        if rule.when is not None and not begun and not _holds(rule.when, text, scope, conversation):
            continue
        because = reasons(rule.when, text, scope, conversation) if rule.when is not None else ()
        if rule.answer is not None:
            return Say(rule=rule, answer=_answer(rule.answer, scope, playbook), because=because)
        if rule.ask is not None:
            if rule.name not in conversation.asked:
                return Say(rule=rule, answer=_answer(rule.ask, scope, playbook), asks=True, because=because)
            continue
        step = _next_of(rule, scope, conversation)
        if step is not None:
            return replace(step, because=() if begun else because)
    raise UserError(
        "no-rule-fits",
        f"No rule of the playbook {playbook.name!r} fits this message.",
        hint="End the playbook with a rule that has an `answer` and no `when`.",
    )


def _answer(answer: str | Mapping[str, Json], scope: Json, playbook: Playbook) -> str | Mapping[str, Json]:
    escape = html.escape if playbook.format == "html" else None
    if isinstance(answer, str):
        return shown(render(answer, scope, escape=escape))
    return {name: render(member, scope, escape=escape) for name, member in answer.items()}


def _next_of(rule: Rule, scope: Json, conversation: Conversation) -> CallTool | None:
    """The rule's first call that was not made yet, if all before it succeeded."""
    open_calls = [call for call in conversation.calls if call.rule in {rule.name, None}]
    for planned in rule.steps:
        tool = planned.call or conversation.standing_for(planned.engage or "")
        if tool is None:
            return None
        step = _call(rule, planned, tool, scope)
        made = next((call for call in open_calls if _is_made(call, step)), None)
        if made is None:
            return step
        open_calls.remove(made)
        if made.status != "done":
            return None
    return None


def _call(rule: Rule, planned: PlanStep, tool: str, scope: Json) -> CallTool:
    """Arguments whose value is null are left out: the tool's own defaults hold."""
    arguments = {name: render(value, scope) for name, value in planned.arguments.items()}
    return CallTool(
        rule=rule,
        tool=tool,
        arguments={name: value for name, value in arguments.items() if value is not None},
    )


def _is_made(call: ToolCall, step: CallTool) -> bool:
    """Whether the call is this step: the rule's own, or the same one by another model."""
    return call.tool == step.tool and (call.rule is not None or dict(call.arguments) == dict(step.arguments))


def message_of(playbook: Playbook, conversation: Conversation) -> str:
    """What the customer wrote, as far as rules look at it."""
    value = lookup(conversation.input, playbook.message)
    return value[:_LONGEST] if isinstance(value, str) else ""


def _scope(playbook: Playbook, conversation: Conversation) -> Mapping[str, Json]:
    text, intent = message_of(playbook, conversation), conversation.intent
    last = {name: call for call in conversation.calls for name in call.every_name}
    done = (call for call in conversation.calls if call.status == "done")
    found = {
        name: matched(kind.pattern, text) if isinstance(kind, Pattern) else KINDS[kind](text)
        for name, kind in playbook.entities.items()
    }
    scope: dict[str, Json] = {
        "input": conversation.input,
        "entities": found,
        "intent": {"label": intent.label, "confidence": intent.confidence} if intent else None,
        "tools": {name: call.result for call in done for name in call.every_name},
        "refusals": {tool: call.result for tool, call in last.items() if call.status == "refused"},
        "failures": {tool: call.result for tool, call in last.items() if call.status == "failed"},
    }
    facts: dict[str, Json] = {}
    for name, fact in playbook.facts.items():
        facts[name] = _pick(fact, {**scope, "facts": facts})
    return {**scope, "facts": facts}


def _pick(fact: Fact, scope: Json) -> Json:
    items = lookup(scope, fact.from_)
    if not isinstance(items, Sequence) or isinstance(items, str):
        return None
    wanted = {field: render(value, scope) for field, value in fact.where.items()}
    fitting = [item for item in items if all(_equal(lookup(item, field), value) for field, value in wanted.items())]
    if fact.same:
        fitting = _repeated(fitting, fact.same)
    match fact.take:
        case "first":
            return fitting[0] if fitting else None
        case "last":
            return fitting[-1] if fitting else None
        case "all":
            return fitting
        case "count":
            return len(fitting)
        case Sum(sum=field):
            numbers = (lookup(item, field) for item in fitting)
            return sum(number for number in numbers if isinstance(number, int | float))


def _repeated(items: Sequence[Json], fields: Sequence[str]) -> list[Json]:
    """Items that agree in all of `fields` with an earlier one."""
    seen: list[list[Json]] = []
    repeated: list[Json] = []
    for item in items:
        signature = [lookup(item, field) for field in fields]
        if None not in signature and signature in seen:
            repeated.append(item)
        seen.append(signature)
    return repeated


def _holds(when: When, text: str, scope: Json, conversation: Conversation) -> bool:
    plain = _plain(text)
    status = {name: call.status for call in conversation.calls for name in call.every_name}
    intent = conversation.intent.label if conversation.intent else None
    return (
        (not when.intent or intent in when.intent)
        and (not when.says or any(_said(phrase, plain) for phrase in when.says))
        and all(_said(phrase, plain) for phrase in when.says_all)
        and (when.matches is None or compiled(when.matches).search(text) is not None)
        and all(_something(lookup(scope, path)) for path in when.has)
        and all(
            _compared(lookup(scope, path), test, render(value, scope))
            for path, tests in when.compare.items()
            for test, value in tests.items()
        )
        and all(tool in status for tool in when.called)
        and all(status.get(tool) == "done" for tool in when.done)
        and all(status.get(tool) == "refused" for tool in when.refused)
        and all(status.get(tool) == "failed" for tool in when.failed)
        and (when.not_ is None or not _holds(when.not_, text, scope, conversation))
        and (not when.any_ or any(_holds(group, text, scope, conversation) for group in when.any_))
    )


def reasons(when: When, text: str, scope: Json, conversation: Conversation) -> list[str]:
    """Why conditions hold that do, in the playbook's own words: nothing of what the customer wrote is repeated."""
    return list(_reasons(when, _plain(text), text, scope, conversation))


def _reasons(when: When, plain: str, text: str, scope: Json, conversation: Conversation) -> Iterator[str]:
    if when.intent and conversation.intent is not None:
        yield f"the intent is {conversation.intent.label} ({conversation.intent.confidence:.2f})"
    for phrase in (*when.says, *when.says_all):
        if _said(phrase, plain):
            yield f"the message says {phrase!r}"
    if when.matches is not None:
        yield "the message matches the pattern"
    for path in when.has:
        yield f"there is {path}"
    for path, tests in when.compare.items():
        yield from (f"{path} {test.replace('_', ' ')} {shown(value)}" for test, value in tests.items())
    for word, tools in (
        ("was called", when.called),
        ("is done", when.done),
        ("was refused", when.refused),
        ("has failed", when.failed),
    ):
        yield from (f"{tool} {word}" for tool in tools)
    for group in when.any_:
        if _holds(group, text, scope, conversation):
            yield from _reasons(group, plain, text, scope, conversation)
            break


def _something(value: Json) -> bool:
    return value is not None and value is not False and value != "" and value != [] and value != {}


def _number(value: Json) -> float | None:
    return value if isinstance(value, int | float) and not isinstance(value, bool) else None


def _equal(left: Json, right: Json) -> bool:
    """Texts are equal whatever their case."""
    if isinstance(left, str) and isinstance(right, str):
        return left.casefold() == right.casefold()
    return left == right and isinstance(left, bool) == isinstance(right, bool)


def _compared(left: Json, test: Test, right: Json) -> bool:
    match test:
        case "is":
            return _equal(left, right)
        case "is_not":
            return not _equal(left, right)
        case "one_of":
            return isinstance(right, Sequence) and any(_equal(left, one) for one in right)
        case "contains":
            if isinstance(left, str):
                return isinstance(right, str) and right.casefold() in left.casefold()
            return isinstance(left, Sequence) and any(_equal(one, right) for one in left)
        case "above" | "below" | "at_least" | "at_most":
            return _ordered(_number(left), test, _number(right))


def _ordered(left: float | None, test: Literal["above", "below", "at_least", "at_most"], right: float | None) -> bool:
    if left is None or right is None:
        return False
    match test:
        case "above":
            return left > right
        case "below":
            return left < right
        case "at_least":
            return left >= right
        case "at_most":
            return left <= right


def _plain(text: str) -> str:
    decomposed = unicodedata.normalize("NFKD", text.casefold())
    return "".join(character for character in decomposed if not unicodedata.combining(character))


@lru_cache(maxsize=4096)
def _phrase(phrase: str) -> re.Pattern[str]:
    words = (re.escape(word).replace(r"\*", r"\w*") for word in _plain(phrase).split())
    joined = r"[\s\-]+".join(words)
    return re.compile(rf"(?<!\w){joined}(?!\w)")


def _said(phrase: str, plain: str) -> bool:
    return _phrase(phrase).search(plain) is not None
