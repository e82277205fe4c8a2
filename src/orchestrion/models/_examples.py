"""Labelled examples: what a router learns from."""

import csv
import io
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from orchestrion.core import UserError, digest

from ._settings import RouterSettings

_LONGEST = 2_000
"""Characters of a text that count."""


@dataclass(frozen=True, slots=True)
class Example:
    """A text and the label it should get."""

    text: str
    label: str


def read_examples(path: Path, settings: RouterSettings) -> list[Example]:
    """The rows of a CSV file (UTF-8, with a header) that have a text and a label.

    Raises: UserError `examples-unreadable`, `examples-column`, `examples-empty`.
    """
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise UserError("examples-unreadable", f"{path} cannot be read: {error.strerror}.") from None
    except UnicodeDecodeError as error:
        line = path.read_bytes()[: error.start].count(b"\n") + 1
        raise UserError(
            "examples-unreadable", f"{path}:{line}: the file is not UTF-8.", hint="Save it as UTF-8."
        ) from None
    rows = csv.DictReader(io.StringIO(text, newline=""))
    columns = list(rows.fieldnames or ())
    for wanted in (settings.text, settings.label):
        if wanted not in columns:
            raise UserError(
                "examples-column",
                f"{path}:1: there is no column {wanted!r}; its columns are {', '.join(columns) or 'none'}.",
                hint="Rename it, or say which columns to use: `text:` and `label:`.",
            )
    try:
        found = [Example(cut(row[settings.text] or ""), (row[settings.label] or "").strip()) for row in rows]
    except csv.Error as error:
        raise UserError("examples-unreadable", f"{path}:{rows.line_num}: {error}.") from None
    found = [example for example in found if example.text and example.label]
    if not found:
        raise UserError("examples-empty", f"{path} has no row with both a text and a label.")
    return found


def cut(text: str) -> str:
    """The part of a text that routers look at, without white space around it."""
    return text.strip()[:_LONGEST]


def digest_of(examples: list[Example], settings: RouterSettings, version: Mapping[str, str]) -> str:
    """What identifies a trained router: examples, settings, and what it was made with."""
    rows = [[example.text, example.label] for example in examples]
    return digest([rows, settings.model_dump(mode="json", exclude={"text", "label", "embeddings"}), dict(version)])


def require_trainable(examples: list[Example], path: str) -> None:
    """Raises: UserError `examples-too-few` when there is nothing to tell apart."""
    counts = Counter(example.label for example in examples)
    if len(counts) < 2:
        raise UserError(
            "examples-too-few", f"{path} has {len(counts)} label(s); a router needs at least two to tell apart."
        )
    few = sorted(label for label, count in counts.items() if count < 3)
    if few:
        raise UserError(
            "examples-too-few",
            f"{path} has fewer than three examples of {few[0]!r}"
            + (f" and {len(few) - 1} others." if few[1:] else "."),
            hint="Add examples: each label needs three at least, and ten or more to be any good.",
        )
