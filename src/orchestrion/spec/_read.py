"""Reading a document: text in; the typed workflow, or everything that is wrong with it, out."""

import re
import zoneinfo
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from orchestrion.core import Declaration, Json, digest

from ._authentication import policy_definition
from ._catalogs import catalog_definition
from ._catch import retry_definition
from ._context import TASK_VARIABLES, Context, Scope
from ._errors import error_definition
from ._events import trigger
from ._extensions import extensions
from ._lint import lint
from ._model import Document, Input, Output
from ._report import Object, Report
from ._schedule import schedule
from ._source import Finding, Source
from ._tasks import definition_of, task_list
from ._template import pointer_step
from ._values import input_, output, timeout, timeout_definition
from ._yaml import parse

_NAME = re.compile(r"[a-zA-Z0-9](?:[a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?")
_VERSION = re.compile(
    r"(?:0|[1-9][0-9]*)(?:\.(?:0|[1-9][0-9]*)){2}"
    r"(?:-(?:0|[1-9][0-9]*|[0-9]*[a-zA-Z-][0-9a-zA-Z-]*)(?:\.(?:0|[1-9][0-9]*|[0-9]*[a-zA-Z-][0-9a-zA-Z-]*))*)?"
    r"(?:\+[0-9a-zA-Z-]+(?:\.[0-9a-zA-Z-]+)*)?"
)
_DSL = re.compile(r"1\.0\.(?:0|[1-9][0-9]*)")
_FIELDS = ("document", "input", "use", "do", "timeout", "output", "schedule", "evaluate")
_USE = ("authentications", "errors", "extensions", "functions", "retries", "secrets", "timeouts", "catalogs")


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """What reading gave. `document` is None exactly when one of `findings` is an error."""

    document: Document | None
    findings: list[Finding] = field(default_factory=list[Finding])
    source: Source | None = None
    """The text with its places; None when it is not YAML at all."""

    @property
    def errors(self) -> list[Finding]:
        return [finding for finding in self.findings if finding.severity == "error"]


def read(
    text: str | bytes,
    *,
    file: str = "<text>",
    functions: Mapping[str, Declaration] | None = None,
    workflows: Collection[str] | None = None,
) -> Reading:
    """Read one workflow document, YAML 1.2 or JSON. Never raises; what is wrong comes as findings, all at once.

    `functions`: the default catalog, each under `name` and `name:version`; None leaves calls of it unchecked. A UserError raised
    by looking one up is a finding where it is called.
    `workflows`: what `run.workflow` may name, as `namespace/name` or `namespace/name:version`; None leaves it unchecked.
    """
    source, findings = parse(text, file=file)
    if source is None:
        return Reading(document=None, findings=findings)
    report = Report(source)
    document = _document(report, source.json, source, functions, workflows)
    findings = sorted([*findings, *report.findings], key=lambda f: (f.line, f.column))
    broken = any(finding.severity == "error" for finding in findings)
    return Reading(document=None if broken else document, findings=findings, source=source)


def _document(
    report: Report,
    value: Json,
    source: Source,
    functions: Mapping[str, Declaration] | None,
    workflows: Collection[str] | None,
) -> Document | None:
    found = report.fields(value, "", known=_FIELDS, required=("document", "do"))
    use = report.fields(found.get("use", {}), "/use", known=_USE)
    c = Context(report=report, use=use, functions=functions, workflows=workflows)
    head = _head(c, found.get("document", {}))
    _evaluate(c, found.get("evaluate", {}))
    limit = timeout(c, found["timeout"], "/timeout", TASK_VARIABLES) if "timeout" in found else None
    taken = input_(c, found["input"], "/input") if "input" in found else Input()
    given = output(c, found["output"], "/output") if "output" in found else Output()
    planned = schedule(c, found["schedule"], _object(head, "metadata"), taken) if "schedule" in found else None
    begun_by = _object(found, "schedule")
    on = trigger(c, begun_by, "/schedule") if "on" in begun_by else None
    tasks = task_list(c, found.get("do", []), "/do", Scope(bounded=limit is not None))
    _use(c)
    around = extensions(c, use.get("extensions", []), "/use/extensions")
    secrets = report.list(use.get("secrets", []), "/use/secrets")
    lint(report, tasks, c.defined, around, secrets)
    if any(finding.severity == "error" for finding in report.findings):
        return None
    return Document(
        namespace=_text(head, "namespace"),
        name=_text(head, "name"),
        version=_text(head, "version"),
        dsl=_text(head, "dsl"),
        title=_text(head, "title") or None,
        summary=_text(head, "summary") or None,
        tags=_object(head, "tags"),
        metadata=_object(head, "metadata"),
        timezone=_text(_object(head, "metadata"), "timezone") or "UTC",
        schedule=planned,
        input=taken,
        output=given,
        timeout=limit,
        trigger=on,
        tasks=tasks,
        functions=dict(c.defined),
        extensions=around,
        secrets=tuple(str(name) for name in secrets),
        expressions=tuple(c.expressions),
        json=found,
        digest=digest(found),
        text=source.text,
    )


def _head(c: Context, value: Json) -> Object:
    names = ("dsl", "namespace", "name", "version")
    found = c.report.fields(value, "/document", known=(*names, "title", "summary", "tags", "metadata"), required=names)
    for name in (*names, "title", "summary"):
        if name in found:
            c.report.text(found[name], f"/document/{name}")
    for name in ("namespace", "name"):
        hint = "Use up to 63 letters, digits and hyphens; start and end with a letter or digit."
        _matches(c, found, name, _NAME, hint)
    _matches(c, found, "version", _VERSION, "Write a semantic version such as '1.0.0'.")
    _matches(c, found, "dsl", _DSL, "This reads the versions 1.0.0 to 1.0.3: write dsl: '1.0.3'.")
    for name in ("tags", "metadata"):
        if name in found:
            c.report.object(found[name], f"/document/{name}")
    _timezone(c, _object(found, "metadata").get("timezone", "UTC"))
    return found


def _matches(c: Context, found: Object, name: str, pattern: re.Pattern[str], hint: str) -> None:
    value = found.get(name)
    if isinstance(value, str) and not pattern.fullmatch(value):
        c.report.error(f"/document/{name}", f"bad-{name}", f"{value[:80]!r} cannot be the {name} of a workflow.", hint)


def _timezone(c: Context, value: Json) -> None:
    name = c.report.text(value, "/document/metadata/timezone")
    try:
        zoneinfo.ZoneInfo(name or "UTC")
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        hint = "Write an IANA name such as Europe/Berlin."
        c.report.error("/document/metadata/timezone", "unknown-timezone", f"There is no time zone {name[:80]!r}.", hint)


def _evaluate(c: Context, value: Json) -> None:
    found = c.report.fields(value, "/evaluate", known=("language", "mode"))
    if c.report.text(found.get("language", "jq"), "/evaluate/language") not in ("jq", ""):
        c.report.unsupported("/evaluate/language", "language")
    if c.report.choice(found.get("mode", "strict"), "/evaluate/mode", ("strict", "loose")) == "loose":
        c.report.unsupported("/evaluate/mode", "mode")


def _use(c: Context) -> None:
    """Read the definitions, also those that nothing refers to."""
    for i, name in enumerate(c.report.list(c.use.get("secrets", []), "/use/secrets")):
        c.report.text(name, f"/use/secrets/{i}")
    for name in c.report.object(c.use.get("functions", {}), "/use/functions"):
        definition_of(c, name, f"/use/functions{pointer_step(name)}")
    expressions = list(c.expressions)
    for kind, reader in (
        ("authentications", policy_definition),
        ("catalogs", catalog_definition),
        ("errors", error_definition),
        ("retries", retry_definition),
        ("timeouts", timeout_definition),
    ):
        for name, value in c.report.object(c.use.get(kind, {}), f"/use/{kind}").items():
            reader(c, value, f"/use/{kind}{pointer_step(name)}", TASK_VARIABLES | {"error"})
    seen = {expression.pointer for expression in expressions}
    c.expressions[:] = [*expressions, *(e for e in c.expressions[len(expressions) :] if e.pointer not in seen)]


def _text(found: Object, name: str) -> str:
    value = found.get(name)
    return value if isinstance(value, str) else ""


def _object(found: Object, name: str) -> Object:
    value = found.get(name)
    return value if isinstance(value, Mapping) else {}
