"""`guard`: checks what is about to leave. Rules that hold or do not, no guessing about tone or intent."""

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Literal

from pydantic import ValidationError

from orchestrion.core import Datum, Declaration, Invocation, Json, LeafContext, Nature, Outcome, UserError, dump
from orchestrion.project import GuardPolicy

from ._personal_data import Found, find_personal_data, squeezed
from ._schema import check_schema, violations

Verdict = Literal["allow", "review", "block"]
_SEVERITY: Mapping[Verdict, int] = {"allow": 0, "review": 1, "block": 2}
_MAX_FINDINGS = 50
_MAX_CHECKED = 50_000
_WORTH_A_THREAD = 10_000

_DECLARATION = Declaration(
    name="guard",
    version="1.0.0",
    title="Check a content before it leaves",
    description=(
        "Checks a content against a guard of the project: its JSON Schema, its length, and personal data of others than "
        "the subject, recognised by checksum. Says allow, review or block, and why; what it found is shown redacted."
    ),
    input_schema={
        "type": "object",
        "required": ["policy", "content"],
        "additionalProperties": False,
        "properties": {
            "policy": {
                "description": "A guard's name under `guards` in orchestrion.yaml, or its settings.",
                "oneOf": [{"type": "string"}, {"type": "object"}],
            },
            "content": {"description": "What to check: text, or any JSON."},
            "subject": {
                "type": ["object", "null"],
                "description": "Whom it is about: values here are the subject's own and may appear.",
            },
        },
    },
    output_schema={
        "type": "object",
        "required": ["verdict", "findings"],
        "properties": {
            "verdict": {"enum": ["allow", "review", "block"]},
            "findings": {
                "type": "array",
                "items": {
                    "type": "object",
                    "required": ["kind", "where", "what", "why", "verdict"],
                    "properties": {
                        "kind": {"type": "string"},
                        "where": {"type": "string", "description": "JSON pointer in the content."},
                        "what": {"type": "string", "description": "What was found, redacted."},
                        "why": {"type": "string"},
                        "verdict": {"enum": ["review", "block"]},
                    },
                },
            },
        },
    },
    effect="none",
    idempotent=True,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Finding:
    kind: str
    where: str
    what: str
    why: str
    verdict: Verdict
    personal: bool = False

    def to_json(self) -> dict[str, Json]:
        return {"kind": self.kind, "where": self.where, "what": self.what, "why": self.why, "verdict": self.verdict}


class GuardFunction:
    """The leaf `guard:1.0.0` over a project's guards."""

    def __init__(self, guards: Mapping[str, GuardPolicy]) -> None:
        """Raises: UserError `bad-schema` for a guard whose schema is none."""
        for guard in guards.values():
            _check_guard(guard)
        self._guards = dict(guards)

    @property
    def declaration(self) -> Declaration:
        return _DECLARATION

    def nature(self, arguments: Mapping[str, Json]) -> Nature:
        return Nature(effect="none", idempotent=True, resource=("Function", "guard"))

    async def perform(self, invocation: Invocation, context: LeafContext) -> Outcome:
        """Raises: UserError `unknown-guard`, `bad-guard`, `bad-schema`."""
        arguments = invocation.arguments.value
        if not isinstance(arguments, Mapping) or "content" not in arguments:
            raise UserError("bad-guard", "`guard` needs `policy` and `content`.")
        guard = self._guard(arguments.get("policy"))
        content, subject = arguments["content"], arguments.get("subject")
        if _size(content) > _WORTH_A_THREAD:
            return _outcome(await asyncio.to_thread(_check, guard, content, subject))
        return _outcome(_check(guard, content, subject))

    def _guard(self, named: Json) -> GuardPolicy:
        if isinstance(named, Mapping):
            return _inline(named)
        if isinstance(named, str) and named in self._guards:
            return self._guards[named]
        near = get_close_matches(str(named), self._guards, n=1)
        listed = ", ".join(sorted(self._guards)) or "none"
        raise UserError(
            "unknown-guard",
            f"There is no guard {named!r}.",
            hint=f"Did you mean {near[0]!r}?" if near else f"`guards` in orchestrion.yaml has: {listed}.",
        )


def _inline(settings: Mapping[str, Json]) -> GuardPolicy:
    try:
        guard = GuardPolicy.model_validate_json(dump(settings))
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(str(step) for step in first["loc"])
        raise UserError("bad-guard", f"The guard's setting `{place}`: {first['msg']}.") from None
    _check_guard(guard)
    return guard


def _check_guard(guard: GuardPolicy) -> None:
    if guard.json_schema is not None:
        check_schema(guard.json_schema)


def _outcome(findings: Sequence[_Finding]) -> Outcome:
    verdict = findings[0].verdict if findings else "allow"
    labels = {f"/findings/{index}": frozenset({"pii"}) for index, each in enumerate(findings) if each.personal}
    listed: list[Json] = [each.to_json() for each in findings]
    return Outcome(output=Datum({"verdict": verdict, "findings": listed}, labels))


def _check(guard: GuardPolicy, content: Json, subject: Json) -> list[_Finding]:
    """What speaks against the content, the gravest first."""
    findings = [*_length(guard, content), *_schema(guard, content), *_personal_data(guard, content, subject)]
    findings.sort(key=lambda each: -_SEVERITY[each.verdict])
    return findings[:_MAX_FINDINGS]


def _length(guard: GuardPolicy, content: Json) -> Iterator[_Finding]:
    size = _size(content)
    most = _MAX_CHECKED if guard.max_length is None else min(guard.max_length, _MAX_CHECKED)
    if size > most:
        why = f"at most {most} are allowed"
        yield _Finding(kind="length", where="", what=f"{size} characters", why=why, verdict="block")


def _schema(guard: GuardPolicy, content: Json) -> Iterator[_Finding]:
    if guard.json_schema is not None:
        for each in violations(guard.json_schema, content):
            what = f"the value {each.message}"
            yield _Finding(
                kind="schema", where=_without_values(each.pointer), what=what, why="its schema", verdict="block"
            )


def _personal_data(guard: GuardPolicy, content: Json, subject: Json) -> Iterator[_Finding]:
    if _size(content) > _MAX_CHECKED:
        return
    contacts = guard.contacts != "allow"
    own = _own_values([subject, list(guard.allow)])
    for pointer, text in _texts(content):
        for found in find_personal_data(text, contacts=contacts):
            verdict = _verdict(guard, found)
            if verdict != "allow" and found.value not in own:
                yield _Finding(
                    kind=found.kind, where=pointer, what=found.redacted, why=found.why, verdict=verdict, personal=True
                )


def _verdict(guard: GuardPolicy, found: Found) -> Verdict:
    if found.kind in ("email", "phone"):
        return guard.contacts
    if guard.personal_data == "block" and not found.certain:
        return "review"
    return guard.personal_data


def _own_values(known: Json) -> frozenset[str]:
    """Values that may appear: each text as a whole, and what is found in it."""
    own: set[str] = set()
    for _, text in _texts(known):
        own.update((squeezed(text), text.strip().upper()))
        own.update(found.value for found in find_personal_data(text[:_MAX_CHECKED], contacts=True))
    return frozenset(own)


def _texts(content: Json) -> Iterator[tuple[str, str]]:
    """Every text and number of a JSON value with its pointer; names of members too, as part of their object."""
    stack: list[tuple[str, Json]] = [("", content)]
    while stack:
        pointer, value = stack.pop()
        match value:
            case str():
                yield pointer, value
            case Mapping():
                for name, member in value.items():
                    yield pointer, name
                    stack.append((f"{pointer}/{_step(name)}", member))
            case None | bool():
                pass
            case int() | float():
                yield from _number(pointer, value)
            case _:
                stack.extend((f"{pointer}/{index}", member) for index, member in enumerate(value))


def _number(pointer: str, value: float) -> Iterator[tuple[str, str]]:
    """A number as text, where it could be an identifier."""
    if abs(value) < 1e20 and value == int(value):
        yield pointer, str(int(value))


def _step(name: str) -> str:
    """A pointer's step, hidden where the name itself is personal data."""
    hidden = "…" if len(name) > _MAX_CHECKED or find_personal_data(name, contacts=True) else name
    return hidden.replace("~", "~0").replace("/", "~1")


def _without_values(pointer: str) -> str:
    steps = (step.replace("~1", "/").replace("~0", "~") for step in pointer.split("/")[1:])
    return "".join(f"/{_step(step)}" for step in steps)


def _size(content: Json) -> int:
    """Characters of all texts and names."""
    size, stack = 0, [content]
    while stack:
        value = stack.pop()
        if isinstance(value, str):
            size += len(value)
        elif isinstance(value, Mapping):
            size += sum(map(len, value))
            stack.extend(value.values())
        elif isinstance(value, Sequence):
            stack.extend(value)
    return size
