"""HTML by construction: text is escaped because there is no way to put it in unescaped."""

from dataclasses import dataclass
from html import escape

from ._phrases import printable

_VOID = frozenset({"meta", "br"})


@dataclass(frozen=True, slots=True)
class Html:
    """Finished markup. Only this module makes it."""

    text: str


Inside = Html | str | None
"""Markup, text to be escaped, or nothing."""


def tag(name: str, /, *inside: Inside, **attributes: str | None) -> Html:
    """An element. `class_` is `class`, and `aria_label` is `aria-label`; an attribute that is None is left out."""
    written = "".join(
        f' {word.rstrip("_").replace("_", "-")}="{_escaped(value)}"'
        for word, value in attributes.items()
        if value is not None
    )
    if name in _VOID:
        return Html(f"<{name}{written}>")
    return Html(f"<{name}{written}>{''.join(_markup(each) for each in inside)}</{name}>")


def joined(*inside: Inside) -> Html:
    """Several pieces, one after the other."""
    return Html("".join(_markup(each) for each in inside))


def stylesheet(css: str) -> Html:
    """A style element. Its text is ours, and has no end tag in it."""
    if "</" in css:
        raise ValueError("a style sheet must not contain an end tag")
    return Html(f"<style>{css}</style>")


def document(head: Html, body: Html) -> str:
    """The whole page."""
    return f'<!DOCTYPE html>\n<html lang="en">\n{head.text}\n{body.text}\n</html>\n'


def _markup(inside: Inside) -> str:
    match inside:
        case None:
            return ""
        case Html(text=text):
            return text
        case str():
            return _escaped(inside)


def _escaped(text: str) -> str:
    return escape(printable(text, keep="\n\t"), quote=True)
