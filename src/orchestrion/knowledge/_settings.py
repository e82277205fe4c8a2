"""Which knowledge bases there are, and where their index is kept."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

DEFAULT = "default"
"""The base of the files that stand in the folder itself."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Base:
    """A folder of documents."""

    folder: Path
    deep: bool
    """Whether folders below it belong to it."""
    labels: frozenset[str] = frozenset({"knowledge"})
    embeddings: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where the index is: a file, or the PostgreSQL database of the store."""

    file: Path
    server: str | None = None
    blobs: str | None = None


def knowledge_bases(folder: Path) -> Mapping[str, Base]:
    """The bases of a folder by name, with default settings. None when it does not exist."""
    if not folder.is_dir():
        return {}
    below = sorted(each for each in folder.iterdir() if each.is_dir() and not each.is_symlink() and each.name[0] != ".")
    bases = {each.name: Base(folder=each, deep=True) for each in below}
    return {DEFAULT: Base(folder=folder, deep=False), **bases}
