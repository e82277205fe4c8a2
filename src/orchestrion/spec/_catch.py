"""`catch` and retry policies."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Literal, Protocol

from orchestrion.core import Json, canonical_error_type

from ._context import Context, Scope, Variables
from ._model import Catch, Duration, ErrorFilter, Length, Retry, Task, Then
from ._template import pointer_step
from ._values import length, program

Backoff = Literal["constant", "linear", "exponential"]
_BACKOFFS: tuple[Backoff, ...] = ("constant", "linear", "exponential")


class ReadList(Protocol):
    """Reads a list of tasks; handed in, because tasks contain catches and catches contain tasks."""

    def __call__(self, c: Context, value: Json, at: str, scope: Scope, /) -> tuple[Task, ...]: ...


ReadDirective = Callable[[Context, Json, str, Scope], Then]


def catch(c: Context, value: Json, at: str, scope: Scope, tasks: ReadList, directive: ReadDirective) -> Catch:
    known = ("errors", "as", "when", "exceptWhen", "retry", "do", "then")
    found = c.report.fields(value, at, known=known)
    name = c.variable(found["as"], f"{at}/as") if "as" in found else "error"
    inside = replace(scope, variables=scope.variables | {name})
    seen = inside.variables
    return Catch(
        errors=_filter(c, found["errors"], f"{at}/errors") if "errors" in found else ErrorFilter(),
        as_=name,
        when=program(c, found["when"], f"{at}/when", seen) if "when" in found else None,
        except_when=program(c, found["exceptWhen"], f"{at}/exceptWhen", seen) if "exceptWhen" in found else None,
        retry=_retry(c, found["retry"], f"{at}/retry", seen) if "retry" in found else None,
        do=tasks(c, found["do"], f"{at}/do", inside) if "do" in found else (),
        then=directive(c, found["then"], f"{at}/then", scope) if "then" in found else None,
    )


def retry_definition(c: Context, value: Json, at: str, variables: Variables) -> Retry:
    known = ("when", "exceptWhen", "delay", "backoff", "limit", "jitter")
    found = c.report.fields(value, at, known=known)
    limit = c.report.fields(found.get("limit", {}), f"{at}/limit", known=("attempt", "duration"))
    attempt = c.report.fields(limit.get("attempt", {}), f"{at}/limit/attempt", known=("count", "duration"))

    def optional(where: Mapping[str, Json], name: str, prefix: str) -> Length | None:
        return length(c, where[name], f"{at}{prefix}/{name}", variables) if name in where else None

    return Retry(
        when=program(c, found["when"], f"{at}/when", variables) if "when" in found else None,
        except_when=program(c, found["exceptWhen"], f"{at}/exceptWhen", variables) if "exceptWhen" in found else None,
        delay=length(c, found["delay"], f"{at}/delay", variables, zero=True) if "delay" in found else Duration(0.0),
        backoff=_backoff(c, found["backoff"], f"{at}/backoff") if "backoff" in found else "constant",
        jitter=_jitter(c, found["jitter"], f"{at}/jitter", variables) if "jitter" in found else None,
        attempts=_count(c, attempt["count"], f"{at}/limit/attempt/count") if "count" in attempt else None,
        attempt_timeout=optional(attempt, "duration", "/limit/attempt"),
        duration=optional(limit, "duration", "/limit"),
    )


def _retry(c: Context, value: Json, at: str, variables: Variables) -> Retry:
    if not isinstance(value, str):
        return retry_definition(c, value, at, variables)
    definition = c.definition("retries", "retry policy", value, at)
    return (
        Retry()
        if definition is None
        else retry_definition(c, definition, "/use/retries" + pointer_step(value), variables)
    )


def _filter(c: Context, value: Json, at: str) -> ErrorFilter:
    errors = c.report.fields(value, at, known=("with",), required=("with",))
    at = f"{at}/with"
    names = ("type", "instance", "title", "detail")
    found = c.report.fields(errors.get("with", {}), at, known=(*names, "status"))
    if not found and isinstance(errors.get("with"), Mapping):
        c.report.error(at, "empty-filter", "The filter names nothing.", "Name a type or a status, or remove `errors`.")
    texts = {name: c.report.text(found[name], f"{at}/{name}") for name in names if name in found}
    kind = texts.get("type")
    return ErrorFilter(
        type=None if kind is None else canonical_error_type(kind),
        status=c.report.integer(found["status"], f"{at}/status") if "status" in found else None,
        instance=texts.get("instance"),
        title=texts.get("title"),
        detail=texts.get("detail"),
    )


def _backoff(c: Context, value: Json, at: str) -> Backoff:
    found = c.report.fields(value, at, known=_BACKOFFS)
    chosen: list[Backoff] = [kind for kind in _BACKOFFS if kind in found]
    if isinstance(value, Mapping) and len(chosen) != 1:
        c.report.error(
            at, "bad-value", "`backoff` has one kind.", "Write constant, linear or exponential: {}.", key=True
        )
    for kind in chosen:
        if c.report.object(found[kind], f"{at}/{kind}"):
            c.report.unsupported(f"{at}/{kind}", "backoff")
    return chosen[0] if chosen else "constant"


def _jitter(c: Context, value: Json, at: str, variables: Variables) -> tuple[Length, Length]:
    found = c.report.fields(value, at, known=("from", "to"), required=("from", "to"))
    low, high = (
        length(c, found[end], f"{at}/{end}", variables, zero=True) if end in found else Duration(0.0)
        for end in ("from", "to")
    )
    if "to" in found and isinstance(low, Duration) and isinstance(high, Duration) and low.seconds > high.seconds:
        c.report.error(at, "bad-duration", "The jitter ends before it starts.", "Swap `from` and `to`.")
    return low, high


def _count(c: Context, value: Json, at: str) -> int:
    count = c.report.integer(value, at)
    if count < 0:
        c.report.error(at, "bad-value", f"{count} attempts cannot be made.", "Write 0 or more.")
    return count
