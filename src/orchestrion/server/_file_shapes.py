"""What requests and answers about the project's files look like."""

from typing import Annotated, Any, Literal

from pydantic import Field

from ._shapes import Given, Shape, Text


class FindingShape(Shape):
    """What there is to say about a file, and where."""

    file: str
    line: int
    column: int
    severity: str
    code: str
    message: str
    hint: str | None


class FileSummary(Shape):
    path: str
    kind: str = Field(description="Its folder; `settings` for orchestrion.yaml.")
    digest: str = Field(description="SHA-256 of its text.")


class FileList(Shape):
    files: list[FileSummary]


class FileWhole(FileSummary):
    text: str
    findings: list[FindingShape] = Field(
        description="Of the whole project: errors first, and those of this file before the rest."
    )


class FileChanged(Shape):
    file: FileSummary | None = Field(description="As it is now, or would be; null when it is gone.")
    text: str | None
    written: bool
    findings: list[FindingShape] = Field(
        description="Of the whole project with the change: errors first, and those of this file before the rest."
    )


class TextGiven(Given):
    text: str = Field(description="All of the file.")
    digest: str | None = Field(default=None, description="Of what it replaces; null where there is no such file yet.")
    dry: bool = Field(default=False, description="Only say what would be found; nothing is written.")


class SetGiven(Given):
    """Give the value at a place; a field that its object does not have is added at the end."""

    op: Literal["set"]
    path: Text = Field(description="JSON pointer.")
    value: Any


class InsertGiven(Given):
    """Put an item into a list before the one at a place; `/-` as the last step appends."""

    op: Literal["insert"]
    path: Text = Field(description="JSON pointer.")
    value: Any


class RemoveGiven(Given):
    """Take away the field or item at a place."""

    op: Literal["remove"]
    path: Text = Field(description="JSON pointer.")


class RenameGiven(Given):
    """Give a task another name, also where a `then` leads to it."""

    op: Literal["rename"]
    task: Text
    to: Text


class EditsGiven(Given):
    operations: Annotated[
        list[Annotated[SetGiven | InsertGiven | RemoveGiven | RenameGiven, Field(discriminator="op")]],
        Field(min_length=1, max_length=500, description="One after the other, each on what the one before left."),
    ]
    digest: str = Field(description="Of the text they are meant for.")
    dry: bool = Field(default=False, description="Only say what would come of it; nothing is written.")
