"""Mock files: what a dry run answers in place of the outside."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, JsonValue, TypeAdapter, ValidationError, model_validator

from orchestrion.agents import AgentDefinition
from orchestrion.core import ERROR_TYPES, Json, Problem, UserError
from orchestrion.engine import Mock
from orchestrion.project import BadProject
from orchestrion.spec import CallTask, Document, Finding, Source, finding_at, parse_yaml, pointer_step

_STATUS: Mapping[str, int] = {
    "authentication": 401,
    "authorization": 403,
    "timeout": 408,
    "communication": 500,
    "runtime": 500,
}


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class _Error(_Part):
    type: str = Field(min_length=1)
    status: int | None = Field(default=None, ge=100, le=599)
    title: str | None = None
    detail: str | None = None

    @property
    def problem(self) -> Problem:
        return Problem(
            type=ERROR_TYPES.get(self.type, self.type),
            status=self.status or _STATUS.get(self.type, 400),
            title=self.title or self.type.rpartition("/")[2].replace("-", " ").capitalize(),
            detail=self.detail,
        )


class _Answer(_Part):
    output: JsonValue = None
    error: _Error | None = None
    rejected: str | None = Field(default=None, min_length=1)

    @model_validator(mode="after")
    def one_of_them(self) -> "_Answer":
        if len(self.model_fields_set) != 1:
            raise ValueError("an answer is one of `output`, `error` and `rejected`")
        return self

    @property
    def mock(self) -> Mock:
        return Mock(output=self.output, error=self.error.problem if self.error else None, rejected=self.rejected)


_ANSWERS = TypeAdapter(dict[str, list[_Answer]])


def read_mocks(
    file: Path, documents: Iterable[Document], agents: Mapping[str, AgentDefinition]
) -> dict[str, Sequence[Mock]]:
    """The answers of a file by the name of what they answer.

    Raises: UserError `unreadable-file`; BadProject with every finding.
    """
    try:
        text = file.read_bytes()
    except OSError as error:
        raise UserError("unreadable-file", f"{str(file)!r} cannot be read: {error.strerror}.") from None
    source, findings = parse_yaml(text, file=str(file))
    if source is None or findings:
        raise BadProject(findings)
    mocks, findings = mocks_at(source, "", documents, agents)
    if findings:
        raise BadProject(findings)
    return mocks


def mocks_at(
    source: Source, pointer: str, documents: Iterable[Document], agents: Mapping[str, AgentDefinition]
) -> tuple[dict[str, Sequence[Mock]], list[Finding]]:
    """The answers that stand at a place of a document, and everything that is wrong with them."""
    value = source.at(pointer)
    if not isinstance(value, Mapping):
        hint = "Write `taskName: { output: … }`."
        what = "A mock file is" if not pointer else "`mocks` is"
        return {}, [finding_at(source, pointer, "bad-mock", f"{what} an object.", hint=hint)]
    findings = list(_unknown(source, pointer, value, set(_mockable(documents, agents))))
    try:
        found = _read(value)
    except ValidationError as error:
        findings += _misread(source, pointer, value, error)
        return {}, sorted(findings, key=lambda each: (each.line, each.column))
    return found, findings


def mocks_of(value: Mapping[str, Json]) -> dict[str, Sequence[Mock]]:
    """Answers that were found sound before."""
    return _read(value)


def _read(value: Mapping[str, Json]) -> dict[str, Sequence[Mock]]:
    found = _ANSWERS.validate_python({name: each if _several(each) else [each] for name, each in value.items()})
    return {name: [answer.mock for answer in answers] for name, answers in found.items()}


def _several(value: Json) -> bool:
    return isinstance(value, Sequence) and not isinstance(value, str)


def _misread(source: Source, at: str, value: Mapping[str, Json], error: ValidationError) -> Iterator[Finding]:
    for each in error.errors(include_url=False, include_input=False):
        name, *steps = each["loc"]
        if steps and not _several(value.get(str(name))):
            steps = steps[1:]
        pointer = at + "".join(pointer_step(str(step)) for step in (name, *steps))
        match each["type"]:
            case "extra_forbidden":
                message = f"{str(steps[-1])!r} is not known here."
            case "model_type":
                message = "This is no answer."
            case _:
                said = each["msg"].removeprefix("Value error, ").rstrip(".")
                message = f"{said[:1].upper()}{said[1:]}."
        hint = "Write `output: …`, `error: { type: timeout }` or, for an approval, `rejected: why`."
        yield finding_at(source, pointer, "bad-mock", message, hint=hint, key=each["type"] == "extra_forbidden")


def _mockable(documents: Iterable[Document], agents: Mapping[str, AgentDefinition]) -> Iterator[str]:
    """Every name that a mock may have."""
    tools = {tool.name for agent in agents.values() for tool in agent.tools}
    for document in documents:
        for task in document.every_task():
            yield task.name
            yield task.pointer
            if isinstance(task, CallTask) and task.kind != "elsewhere":
                action = task.function.partition(":")[0]
                inside = {action, *tools} if action == "agent" else {action}
                yield from (f"{name}/{inner}" for name in (task.name, task.pointer) for inner in sorted(inside))


def _unknown(source: Source, at: str, value: Mapping[str, Json], known: set[str]) -> Iterator[Finding]:
    for name in value:
        if name not in known:
            near = get_close_matches(name, known, n=1)
            hint = f"Did you mean {near[0]!r}?" if near else "Name a task, or a tool of an agent as `task/tool`."
            message = f"There is no task or tool {name!r} that could be mocked."
            yield finding_at(source, at + pointer_step(name), "unknown-mock", message, hint=hint, key=True)
