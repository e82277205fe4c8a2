"""Trained routers kept in a folder, so that they are trained only when something changed."""

import difflib
import json
import os
import tempfile
import threading
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from orchestrion.core import UserError, dump

from ._examples import Example, read_examples
from ._settings import RouterSettings

if TYPE_CHECKING:
    from ._router import Router


@dataclass(frozen=True, slots=True, kw_only=True)
class RouterSource:
    """What a router is made of."""

    examples: Path
    settings: RouterSettings
    without: int = 0
    """How many labels, spread over the alphabet, are left out: what they would have got shows how it treats strangers."""


class Routers:
    """The routers of a project by name. Trained, or read from `folder`, when they are first needed.

    Calls block, for seconds when a router is trained; use them from a worker thread.
    """

    def __init__(self, sources: Mapping[str, RouterSource], *, folder: Path) -> None:
        self._sources = sources
        self._folder = folder
        self._ready: dict[str, Router] = {}
        self._lock = threading.Lock()

    @property
    def names(self) -> Sequence[str]:
        return list(self._sources)

    def ready(self, name: str) -> "Router | None":
        """The router if it is in memory."""
        return self._ready.get(name)

    def router(self, name: str) -> "Router":
        """Raises: UserError `unknown-router`, or what is wrong with its examples."""
        with self._lock:
            if name not in self._ready:
                self._ready[name] = open_router(self.source(name), self._folder)
            return self._ready[name]

    def labels(self, name: str) -> Sequence[str]:
        """What the router can say, without training it. Raises: as `router`."""
        source = self.source(name)
        examples = read_examples(source.examples, source.settings)
        return list(dict.fromkeys(example.label for example in examples))

    def train(self, name: str) -> "Router":
        """Train anew, whatever the folder holds."""
        source = self.source(name)
        router = _trained(read_examples(source.examples, source.settings), source, self._folder)
        with self._lock:
            self._ready[name] = router
        return router

    def source(self, name: str) -> RouterSource:
        if name in self._sources:
            return self._sources[name]
        near = difflib.get_close_matches(name, self.names, n=1)
        listed = ", ".join(self.names) or "none"
        hint = f"Did you mean {near[0]!r}?" if near else f"Known: {listed}."
        raise UserError("unknown-router", f"There is no router {name!r}.", hint=hint)


def open_router(source: RouterSource, folder: Path) -> "Router":
    """The router of these examples: from the folder if it was trained before, else trained and kept there."""
    from ._router import router_digest

    examples = read_examples(source.examples, source.settings)
    labels = sorted({example.label for example in examples})
    left_out = {labels[at * len(labels) // source.without] for at in range(source.without)}
    examples = [example for example in examples if example.label not in left_out]
    path = _path(folder, router_digest(examples, source.settings))
    stored = _read(path, source.settings)
    return stored if stored is not None else _trained(examples, source, folder)


def _path(folder: Path, digest: str) -> Path:
    return folder / f"router-{digest[:32]}.skops"


def _trained(examples: Sequence[Example], source: RouterSource, folder: Path) -> "Router":
    from ._router import train

    router = train(examples, source.settings, where=str(source.examples))
    _write(_path(folder, router.digest), router)
    return router


def _write(path: Path, router: "Router") -> None:
    """Whole or not at all, whoever else writes it at the same time."""
    from ._sklearn import save

    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=".router-", suffix=".part")
    os.close(descriptor)
    try:
        save(
            Path(name),
            {
                "digest": router.digest,
                "labels": list(router.labels),
                "threshold": router.threshold,
                "temperature": router.temperature,
                # Long lists are kept as one text each: skops spends a file and a check on every item.
                "examples": dump([[example.text, example.label] for example in router.examples]),
                "vocabularies": dump(router.vectors.vocabularies),
                "rarities": list(router.vectors.rarities),
                "weights": router.weights,
                "offsets": router.offsets,
                "index": [router.index.starts, router.index.examples, router.index.weights],
            },
        )
        Path(name).replace(path)
    finally:
        Path(name).unlink(missing_ok=True)


def _read(path: Path, settings: RouterSettings) -> "Router | None":
    """The stored router; None when there is none that can be used, so that it is trained again."""
    from ._router import Router
    from ._sklearn import Index, Vectors, load

    if not path.exists():
        return None
    try:
        stored = load(path)
        return Router(
            digest=stored["digest"],
            settings=settings,
            labels=tuple(stored["labels"]),
            threshold=stored["threshold"],
            temperature=stored["temperature"],
            examples=tuple(Example(text, label) for text, label in json.loads(stored["examples"])),
            vectors=Vectors(json.loads(stored["vocabularies"]), stored["rarities"]),
            weights=stored["weights"],
            offsets=stored["offsets"],
            index=Index(*stored["index"]),
        )
    except (ValueError, KeyError, TypeError, OSError, zipfile.BadZipFile):
        return None
