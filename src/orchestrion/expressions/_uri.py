"""URI templates."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import quote

from orchestrion.core import Json, UserError, canonical

_RESERVED = ":/?#[]@!$&'()*+,;="
_EXPRESSION = re.compile(r"\{([^{}]*)\}")
_VARIABLE = re.compile(r"([A-Za-z0-9_.%-]+)(?::([1-9][0-9]{0,3}))?(\*)?")


@dataclass(frozen=True, slots=True)
class _Style:
    """How one operator expands. Source: RFC 6570, appendix A."""

    first: str = ""
    between: str = ","
    named: bool = False
    if_empty: str = ""
    safe: str = ""


_STYLES = {
    "": _Style(),
    "+": _Style(safe=_RESERVED),
    "#": _Style(first="#", safe=_RESERVED),
    ".": _Style(first=".", between="."),
    "/": _Style(first="/", between="/"),
    ";": _Style(first=";", between=";", named=True),
    "?": _Style(first="?", between="&", named=True, if_empty="="),
    "&": _Style(first="&", between="&", named=True, if_empty="="),
}


def expand_uri(template: str, variables: Mapping[str, Json]) -> str:
    """The URI of a template: `https://host/pet/{petId}{?status}`. Source: RFC 6570, all four levels.

    An absent or null variable leaves a query (`{?x}`, `{&x}`, `{;x}`) shorter; anywhere else it would change which resource
    is meant, and is refused. Raises: UserError `unknown-uri-variable`, `bad-uri-template`.
    """
    return _EXPRESSION.sub(lambda found: _expanded(found[1], template, variables), template)


def _expanded(expression: str, template: str, variables: Mapping[str, Json]) -> str:
    operator = expression[:1] if expression[:1] in _STYLES else ""
    style = _STYLES[operator]
    parts: list[str] = []
    for spec in expression[len(operator) :].split(","):
        found = _VARIABLE.fullmatch(spec)
        if found is None:
            raise UserError(
                "bad-uri-template",
                f"{{{expression}}} in the URI {template!r} is not a template expression.",
                hint="Write {name} for a top-level member of the task's input, or make the whole URI an expression: ${ ... }.",
            )
        value = variables.get(found[1])
        if value is None and not style.named:
            known = ", ".join(sorted(variables)) or "nothing"
            raise UserError(
                "unknown-uri-variable",
                f"The URI {template!r} needs {found[1]!r}, which the task's input does not hold.",
                hint=f"The input holds: {known}.",
            )
        parts += _parts(found[1], value, style, prefix=int(found[2]) if found[2] else None, explode=bool(found[3]))
    return style.first + style.between.join(parts) if parts else ""


def _parts(name: str, value: Json, style: _Style, *, prefix: int | None, explode: bool) -> list[str]:
    if value is None or value == [] or value == {}:
        return []
    if isinstance(value, Mapping):
        pairs = [(quote(key, safe=style.safe), _quoted(inner, style)) for key, inner in value.items()]
        if explode:
            return [f"{key}={inner}" for key, inner in pairs]
        return [_named(name, ",".join(f"{key},{inner}" for key, inner in pairs), style)]
    if isinstance(value, str) or not isinstance(value, list | tuple):
        return [_named(name, _quoted(value, style, prefix), style)]
    items = [_quoted(inner, style) for inner in value]
    return [_named(name, item, style) for item in items] if explode else [_named(name, ",".join(items), style)]


def _named(name: str, text: str, style: _Style) -> str:
    if not style.named:
        return text
    return f"{name}={text}" if text else name + style.if_empty


def _quoted(value: Json, style: _Style, prefix: int | None = None) -> str:
    text = value if isinstance(value, str) else canonical(value)
    return quote(text[:prefix], safe=style.safe + "-._~")
