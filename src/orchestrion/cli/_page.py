"""What all pages share: one file that needs nothing else, and where it is written."""

import base64
import hashlib
from importlib.resources import files
from pathlib import Path

from orchestrion.core import UserError

from ._markup import Html, Inside, document, stylesheet, tag


def whole_page(title: str, *inside: Inside) -> str:
    """The page around its content."""
    css = files(__package__ or "orchestrion.cli").joinpath("_page.css").read_text(encoding="utf-8")
    return document(_meta(title, css), tag("body", tag("main", *inside)))


def _meta(title: str, css: str) -> Html:
    """No source of anything is allowed but this very style sheet."""
    digest = base64.b64encode(hashlib.sha256(css.encode()).digest()).decode()
    allowed = f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    return tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", http_equiv="Content-Security-Policy", content=allowed),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", name="referrer", content="no-referrer"),
        tag("meta", name="robots", content="noindex"),
        tag("title", title),
        stylesheet(css),
    )


def write_page(path: Path, text: str) -> None:
    """Raises: UserError `unwritable-file`."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise UserError("unwritable-file", f"{str(path)!r} cannot be written: {error.strerror}.") from None
