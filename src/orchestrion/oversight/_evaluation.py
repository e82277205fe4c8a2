"""Evaluation files: text in, an evaluation and findings out."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Literal, Self, cast

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, JsonValue, ValidationError, model_validator

from orchestrion.core import Json, UserError
from orchestrion.models import Flaw, findings_of, flaws_of
from orchestrion.spec import Finding, Schema, Source, editor_schema, parse_yaml, to_json

BAD_EVALUATION = "bad-evaluation"
Name = Annotated[str, Field(min_length=1, pattern=r"^[A-Za-z][A-Za-z0-9_-]*$")]
Verdict = Literal["allow", "deny", "needs-approval", "none"]
End = Literal["completed", "waiting", "faulted", "cancelled"]
Ended = Literal[End, "pending", "running", "diverged"]


def _listed(value: object) -> object:
    return cast("object", value) if isinstance(value, list | tuple) else [value]


OneOrMore = Annotated[Sequence[str], BeforeValidator(_listed, json_schema_input_type=str | list[str])]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)


class Expected(_Part):
    """What is right: one value for all cases, or what each case says under a name."""

    value: JsonValue = Field(default=None, description="The same for all cases.")
    truth: str | None = Field(
        default=None,
        min_length=1,
        description="What the case says: a column of the file, a name under `expect`, or a JSON pointer such as `/output/desk`.",
    )

    @model_validator(mode="after")
    def _one_of_them(self) -> Self:
        if len({"value", "truth"} & self.model_fields_set) != 1:
            raise ValueError("Say what is right, with either `truth` or `value`")
        return self


class Exact(Expected):
    """What the run gave is what is right."""

    at: str = Field(default="", description="JSON pointer into the output; all of it by default.")


class Contains(Expected):
    """A text has what is right in it, or all of several. Upper and lower case are the same."""

    at: str = Field(default="", description="JSON pointer into the output.")


class Numeric(Expected):
    """A number is near the right one."""

    at: str = Field(default="", description="JSON pointer into the output.")
    tolerance: float = Field(default=0.0, ge=0, description="How far off it may be.")
    relative: float = Field(default=0.0, ge=0, description="Or how far off as a share of the right one.")


class Fits(_Part):
    """What the run gave fits a JSON Schema."""

    at: str = Field(default="", description="JSON pointer into the output; all of it by default.")
    document: JsonValue = Field(description="The JSON Schema.")


class Routing(Expected):
    """Which way the run took."""

    ways: dict[str, str] = Field(min_length=1, description="Way → the task that is only reached on it.")
    take: Literal["first", "last"] = Field(
        default="first",
        description="Of several that were reached: `first` is where it was sent, `last` where it ended.",
    )


class Tools(_Part):
    """Which tools and functions were called."""

    used: OneOrMore = Field(default=(), description="These, each at least once.")
    truth: str | None = Field(default=None, min_length=1, description="In place of `used`: what the case says.")
    never: OneOrMore = Field(default=(), description="None of these.")
    in_order: bool = Field(default=False, description="In the order of `used`; others may come between.")
    arguments: dict[str, dict[str, JsonValue]] = Field(
        default_factory=dict[str, dict[str, JsonValue]],
        description="Tool → arguments that one of its calls must have, if it is called; others may be there.",
    )


class PolicyOutcome(_Part):
    """What policies said: of each action, what is right."""

    verdicts: dict[
        str, Annotated[Sequence[Verdict], BeforeValidator(_listed, json_schema_input_type=Verdict | list[Verdict])]
    ] = Field(
        min_length=1,
        description="Action → `allow`, `deny`, `needs-approval` or `none` (it was not tried); or several of them.",
    )


class Cost(_Part):
    """US dollars that models cost. A request without a known price leaves the case out."""

    most_usd: float | None = Field(default=None, ge=0, description="Score the cases within it, in place of the mean.")


class Latency(_Part):
    """Seconds until the run ended, or waited for a person."""

    most_s: float | None = Field(default=None, gt=0, description="Score the cases within it, in place of the mean.")


class PythonScorer(_Part):
    """A function of an installed package, offered under the entry point group `orchestrion.scorers`."""

    name: str = Field(min_length=1)
    settings: dict[str, JsonValue] = Field(
        default_factory=dict[str, JsonValue], alias="with", description="What it is given beside the case."
    )


class Judge(_Part):
    """A model of the project says which label an answer deserves."""

    model: str = Field(min_length=1, description="A model of the settings, or a provider string.")
    rubric: str = Field(min_length=1, description="What to look at, and what each label means.")
    labels: Sequence[str] = Field(default=("good", "bad"), min_length=2)
    good: OneOrMore = Field(default=("good",), min_length=1, description="The labels that count.")
    at: str = Field(default="", description="JSON pointer into the output; all of it by default.")
    person: str | None = Field(
        default=None,
        min_length=1,
        description="What the case says a person labelled it. With it, agreement is measured: Cohen's kappa.",
    )


class Gate(_Part):
    """What must hold. `surely` asks that the whole interval does, not only the value."""

    at_least: float | None = None
    at_most: float | None = None
    surely_at_least: float | None = None
    surely_at_most: float | None = None
    worse_by_at_most: float | None = Field(
        default=None,
        ge=0,
        description="With --against: the difference's interval does not reach further down than this.",
    )
    kappa_at_least: float | None = Field(default=None, description="Of a judge: agreement with people.")


KINDS = (
    "exact", "contains", "numeric", "fits", "routing", "tools", "policy", "ended", "cost", "latency", "python", "judge",
)  # fmt: skip
WRITTEN_KINDS = tuple("schema" if kind == "fits" else kind for kind in KINDS)


class Scorer(_Part):
    """One way to look at a run: exactly one kind, and what must hold of it."""

    model_config = ConfigDict(json_schema_extra={"oneOf": [{"required": [kind]} for kind in WRITTEN_KINDS]})

    exact: Exact | None = None
    contains: Contains | None = None
    numeric: Numeric | None = None
    fits: Fits | None = Field(default=None, alias="schema")
    routing: Routing | None = None
    tools: Tools | None = None
    policy: PolicyOutcome | None = None
    ended: Annotated[Sequence[End] | None, BeforeValidator(_listed, json_schema_input_type=End | list[End])] = Field(
        default=None, min_length=1, description="How the run ended; `waiting` is for a person."
    )
    cost: Cost | None = None
    latency: Latency | None = None
    python: PythonScorer | None = None
    judge: Judge | None = None
    gate: Gate = Gate()

    @property
    def kind(self) -> str:
        return next(name for name in KINDS if getattr(self, name) is not None)

    @property
    def truths(self) -> Sequence[tuple[str, str]]:
        """Pointer within the scorer → what it wants of each case."""
        found = [(name, getattr(getattr(self, name), "truth", None)) for name in KINDS]
        asked = [(f"/{name}/truth", truth) for name, truth in found if truth]
        return [*asked, *([("/judge/person", self.judge.person)] if self.judge and self.judge.person else [])]

    @property
    def less_is_better(self) -> bool:
        """Whether it is a number of which less is better."""
        if self.cost is not None:
            return self.cost.most_usd is None
        return self.latency is not None and self.latency.most_s is None

    @model_validator(mode="after")
    def _one_kind(self) -> Self:
        if sum(getattr(self, name) is not None for name in KINDS) != 1:
            raise ValueError(f"A scorer has exactly one of {', '.join(WRITTEN_KINDS)}")
        return self


class FromRuns(_Part):
    """Past runs of the workflow, newest first. Their output is the truth: `/output/…`, and `/status`."""

    status: Annotated[
        Sequence[Ended], BeforeValidator(_listed, json_schema_input_type=Ended | list[Ended]), Field(min_length=1)
    ] = ("completed",)
    days: float | None = Field(default=None, gt=0, description="Only of so many days.")
    limit: int = Field(default=200, ge=1, le=10_000)


class FromPeople(_Part):
    """Past runs in which a person answered a question or decided an approval: what they said is the truth.

    `/answer/…` is what was answered, `/verdict` what was decided, `/by` who did.
    """

    task: str | None = Field(default=None, description="Only at this task.")
    limit: int = Field(default=200, ge=1, le=10_000)


class FromCorrections(_Part):
    """Past runs that somebody corrected (`orchestrion feedback --correct`), the newest first.

    `/output/…` is what the run should have given, `/correction/…` what was corrected, `/by` who did.
    """

    limit: int = Field(default=200, ge=1, le=10_000)


SOURCES = ("file", "input", "runs", "people", "corrections")


class Cases(_Part):
    """Where cases come from: one of `file`, `input`, `runs`, `people` and `corrections`."""

    model_config = ConfigDict(json_schema_extra={"oneOf": [{"required": [source]} for source in SOURCES]})

    file: str | None = Field(
        default=None, min_length=1, description=".csv or .jsonl, relative to the project's folder."
    )
    mapping: dict[str, str] = Field(
        default_factory=dict[str, str],
        alias="map",
        description="Input field → column; by default what `batches` in the settings says.",
    )
    limit: int | None = Field(default=None, ge=1, description="Of a file, only its first rows.")
    input: JsonValue = None
    runs: FromRuns | None = None
    people: FromPeople | None = None
    corrections: FromCorrections | None = None
    expect: dict[str, JsonValue] = Field(
        default_factory=dict[str, JsonValue], description="What is right, by name; for `truth` of the scorers."
    )
    mocks: dict[str, JsonValue] = Field(
        default_factory=dict[str, JsonValue], description="Answers for these cases, beside those of the evaluation."
    )
    approve: bool | None = Field(default=None, description="What people say to approvals in these cases.")

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        written = self.model_fields_set.intersection(SOURCES)
        if len(written) != 1 or (written != {"input"} and getattr(self, *written) is None):
            raise ValueError("Cases come from one of `file`, `input`, `runs`, `people` and `corrections`")
        return self


class Evaluation(_Part):
    """An evaluation: cases, and scorers that say how they went."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True, title="An evaluation")

    title: str = ""
    workflow: str = Field(min_length=1, description="Of which workflow.")
    cases: Annotated[
        Sequence[Cases],
        BeforeValidator(_listed, json_schema_input_type=Cases | Annotated[list[Cases], Field(min_length=1)]),
        Field(min_length=1),
    ]
    mocks: dict[str, JsonValue] = Field(
        default_factory=dict[str, JsonValue],
        description="By task, or `task/tool`: answers in place of the outside, as in a file of mocks.",
    )
    approve: bool | None = Field(
        default=None, description="What people say to approvals. Without it nobody answers, and the run waits."
    )
    scorers: dict[Name, Scorer] = Field(min_length=1, description="By name.")


@dataclass(frozen=True, slots=True, kw_only=True)
class EvaluationFile:
    """An evaluation and the text it was read from."""

    name: str
    evaluation: Evaluation
    source: Source


def read_evaluation(text: str | bytes, *, file: str, name: str) -> tuple[EvaluationFile | None, list[Finding]]:
    """The evaluation of a file, and what is wrong with it. Whether what it names exists is for those who know."""
    source, findings = parse_yaml(text, file=file)
    if source is None or findings:
        return None, findings
    value = to_json(source.root)
    if not isinstance(value, Mapping):
        flaws = [Flaw("", "An evaluation is an object with `workflow`, `cases` and `scorers`.")]
        return None, findings_of(source, flaws, BAD_EVALUATION)
    is_alone = isinstance(value.get("cases"), Mapping)
    several: Json = {**value, "cases": [value.get("cases")]} if is_alone else value
    try:
        evaluation = Evaluation.model_validate(several)
    except ValidationError as error:
        flaws = [_plain(flaw, is_alone=is_alone) for flaw in flaws_of(error, several)]
        return None, findings_of(source, flaws, BAD_EVALUATION)
    flaws = list(_flaws(evaluation))
    if flaws:
        return None, findings_of(source, flaws, BAD_EVALUATION)
    return EvaluationFile(name=name, evaluation=evaluation, source=source), []


def _plain(flaw: Flaw, *, is_alone: bool) -> Flaw:
    """As it stands in the file, where one source of cases needs no list."""
    pointer = flaw.pointer.replace("/cases/0", "/cases", 1) if is_alone else flaw.pointer
    return Flaw(pointer, flaw.message.removeprefix("Value error, "), flaw.hint, key=flaw.key)


def _flaws(evaluation: Evaluation) -> Iterator[Flaw]:
    for name, scorer in evaluation.scorers.items():
        place = f"/scorers/{name}"
        yield from _pointer_flaws(scorer, place)
        yield from _value_flaws(scorer, place)
        yield from _tool_flaws(scorer, place)
        yield from _judge_flaws(scorer, place)


def _pointer_flaws(scorer: Scorer, place: str) -> Iterator[Flaw]:
    pointer = cast("str", getattr(getattr(scorer, scorer.kind), "at", ""))
    if pointer and not pointer.startswith("/"):
        kind = "schema" if scorer.kind == "fits" else scorer.kind
        yield Flaw(f"{place}/{kind}/at", f"{pointer!r} is no JSON pointer.", f"It begins with a slash: '/{pointer}'.")


def _value_flaws(scorer: Scorer, place: str) -> Iterator[Flaw]:
    """Values that no run can give."""
    if scorer.fits is not None:
        try:
            Schema(cast("Json", scorer.fits.document))
        except UserError as error:
            yield Flaw(f"{place}/schema/document", error.message, error.hint)
    if scorer.numeric is not None and scorer.numeric.truth is None and _is_no_number(scorer.numeric.value):
        yield Flaw(f"{place}/numeric/value", f"{scorer.numeric.value!r} is no number.", "Texts have `exact`.")
    routing = scorer.routing
    if routing is not None and routing.truth is None and routing.value not in [None, "", *routing.ways]:
        message = f"{routing.value!r} is none of the ways."
        yield Flaw(f"{place}/routing/value", message, f"There are: {', '.join(routing.ways)}.")


def _is_no_number(value: JsonValue) -> bool:
    """Nothing may be right as well."""
    if isinstance(value, str):
        try:
            float(value or 0)
        except ValueError:
            return True
        return False
    return value is not None and (isinstance(value, bool) or not isinstance(value, int | float))


def _tool_flaws(scorer: Scorer, place: str) -> Iterator[Flaw]:
    tools, place = scorer.tools, f"{place}/tools"
    if tools is None:
        return
    if not (tools.used or tools.truth or tools.never or tools.arguments):
        yield Flaw(place, "It asks for nothing, so every run would be right.", "Say `used`, `never` or `arguments`.")
    elif tools.used and tools.truth:
        yield Flaw(f"{place}/truth", "`used` says already which tools.", "Remove one of them.")
    elif tools.in_order and not (tools.used or tools.truth):
        yield Flaw(f"{place}/in_order", "An order of nothing.", "Say which tools with `used` or `truth`.")


def _judge_flaws(scorer: Scorer, place: str) -> Iterator[Flaw]:
    if scorer.judge is not None and (strange := set(scorer.judge.good) - set(scorer.judge.labels)):
        message = f"{min(strange)!r} is none of the labels."
        yield Flaw(f"{place}/judge/good", message, f"There are: {', '.join(scorer.judge.labels)}.")
    if scorer.gate.kappa_at_least is not None and (scorer.judge is None or scorer.judge.person is None):
        message = "Agreement is measured of a judge where cases say how a person labelled them."
        yield Flaw(f"{place}/gate/kappa_at_least", message, "Add `judge.person`.")


def evaluation_schema() -> dict[str, Json]:
    """JSON Schema of an evaluation file, for editors."""
    return editor_schema(Evaluation)
