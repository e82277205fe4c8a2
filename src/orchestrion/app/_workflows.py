"""The project's workflow documents: read, checked, pinned to versions, and found again by digest."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from pathlib import Path
from typing import cast

from orchestrion.core import (
    Catalog,
    ChildStart,
    Clock,
    Datum,
    Declaration,
    Effects,
    Journal,
    Json,
    Labels,
    Run,
    UserError,
    derived_id,
    dump,
    labels_from,
    labels_json,
)
from orchestrion.expressions import Expressions
from orchestrion.functions import definition_place, read_project_definition
from orchestrion.interpreter import SEMANTICS, Interpreter
from orchestrion.openapi import is_address
from orchestrion.project import Project
from orchestrion.spec import CallTask, Document, Finding, RunWorkflowTask, Source, finding_at, read, read_function

from ._talks import Talk

_KEPT = 256
"""Versions kept parsed in memory."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shelf:
    """The documents of a project, newest version of each name last."""

    documents: tuple[Document, ...] = ()
    sources: Mapping[str, tuple[str, Source]] = field(default_factory=dict[str, tuple[str, Source]])
    """Digest → file name and source, for findings."""
    talks: tuple[Talk, ...] = ()
    """Agents and teams by themselves. A document of that name comes before them."""
    own: tuple[Document, ...] = ()
    """Workflows of the platform itself; likewise."""

    def every(self) -> tuple[Document, ...]:
        """The project's documents, those of talks, and the platform's own."""
        return (*self.documents, *(talk.document for talk in self.talks), *self.own)

    def named(self, name: str) -> Document:
        """The newest version of `name` or `namespace/name`, or the one that `name:version` says.

        Raises: UserError `unknown-workflow` with near names, `ambiguous-workflow`.
        """
        wanted, _, version = name.partition(":")
        found = [
            document
            for document in self.documents
            if wanted in {document.name, document.id} and version in {"", "latest", document.version}
        ] or [document for document in self.every() if wanted == document.id]
        if not found:
            known = sorted({document.id for document in self.documents})
            near = get_close_matches(wanted, [*known, *(document.name for document in self.documents)], n=1)
            listed = f"There are: {', '.join(known)}." if known else "This project has no workflows yet."
            raise UserError(
                "unknown-workflow",
                f"There is no workflow {name!r}.",
                hint=f"Did you mean {near[0]!r}?" if near else listed,
            )
        if len({document.id for document in found}) > 1:
            raise UserError(
                "ambiguous-workflow",
                f"{name!r} names several workflows: {', '.join(sorted(document.id for document in found))}.",
                hint="Name it with its namespace.",
            )
        return max(found, key=lambda document: _order(document.version))


def _order(version: str) -> tuple[tuple[int, ...], bool, str]:
    """Semantic versions in order; a pre-release comes before its release."""
    core, _, pre = version.partition("-")
    numbers = tuple(int(part) for part in core.partition("+")[0].split(".") if part.isdigit())
    return numbers, not pre, pre


class _Declared(Mapping[str, Declaration]):
    """What a catalog declares, by name and by `name:version`; functions of packages are there once they are looked up."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog

    def __getitem__(self, name: str) -> Declaration:
        """Raises: KeyError; UserError for a function that is there and of no use."""
        try:
            return self._catalog.resolve(name).declaration
        except UserError as error:
            if error.code == "unknown-function":
                raise KeyError(name) from None
            raise

    def __iter__(self) -> Iterator[str]:
        for declaration in self._catalog.declarations():
            yield from (declaration.name, declaration.id)

    def __len__(self) -> int:
        return sum(1 for _ in self)


async def read_shelf(
    project: Project, files: Iterable[Path], catalog: Catalog, expressions: Expressions
) -> tuple[Shelf, list[Finding]]:
    """Read and check every document: language, calls, expressions, references to each other. All findings at once."""
    functions = _Declared(catalog)
    texts = [(project.relative(file), _bytes(file)) for file in files]
    first = [read(text, file=file, functions=functions) for file, text in texts]
    known = {
        name
        for (file, text), reading in zip(texts, first, strict=True)
        if (document := reading.document or read(text, file=file).document) is not None
        for name in (document.id, f"{document.id}:{document.version}")
    }
    documents: list[Document] = []
    sources: dict[str, tuple[str, Source]] = {}
    findings: list[Finding] = []
    for (file, text), alone in zip(texts, first, strict=True):
        again = alone.document is None or _names_others(alone.document)
        reading = read(text, file=file, functions=functions, workflows=known) if again else alone
        findings += reading.findings
        if reading.document is not None and reading.source is not None:
            findings += await _check_expressions(reading.document, reading.source, expressions)
            findings += await _check_definitions(reading.document, reading.source, project.root, expressions)
            documents.append(reading.document)
            sources[reading.document.digest] = (file, reading.source)
    findings += _twice(documents, sources)
    return Shelf(documents=tuple(documents), sources=sources), findings


def _names_others(document: Document) -> bool:
    return any(isinstance(task, RunWorkflowTask) for task in document.every_task())


def _bytes(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise UserError("unreadable-workflow", f"{str(file)!r} cannot be read: {error.strerror}.") from None


async def _check_expressions(document: Document, source: Source, expressions: Expressions) -> list[Finding]:
    findings: list[Finding] = []
    for found in document.expressions:
        problem = await expressions.check(found.program, found.variables)
        if problem is not None:
            message = f"The expression {found.program!r} does not compile: {problem.message}."
            findings.append(finding_at(source, found.pointer, "bad-expression", message, hint=problem.hint or ""))
    return findings


async def _check_definitions(document: Document, source: Source, root: Path, expressions: Expressions) -> list[Finding]:
    """The functions that folders and files of the project define. Nobody is asked for those of the network."""
    findings: list[Finding] = []
    for task in document.every_task():
        if not isinstance(task, CallTask) or task.definition is None or task.definition.programs:
            continue
        place, _ = definition_place(cast("Mapping[str, Json]", task.definition.fill()))
        if is_address(place):
            continue
        at = f"{task.pointer}/call"
        try:
            reading = read_function(dump(read_project_definition(root, place)), name="function", file=place)
        except UserError as error:
            findings.append(finding_at(source, at, error.code, error.message, hint=error.hint))
            continue
        for found in reading.expressions:
            if (problem := await expressions.check(found.program, found.variables)) is not None:
                message = f"The expression {found.program!r} of {place!r} does not compile: {problem.message}."
                findings.append(finding_at(source, at, "bad-expression", message, hint=problem.hint or ""))
    return findings


def _twice(documents: Iterable[Document], sources: Mapping[str, tuple[str, Source]]) -> list[Finding]:
    """Two different documents that claim to be the same version."""
    seen: dict[str, str] = {}
    findings: list[Finding] = []
    for document in documents:
        name = f"{document.id}:{document.version}"
        if seen.setdefault(name, document.digest) != document.digest:
            message = f"{name} is defined twice, in {sources[seen[name]][0]} and here, with different content."
            source = sources[document.digest][1]
            findings.append(
                finding_at(source, "/document/version", "same-version", message, hint="Give one another version.")
            )
    return findings


class Workflows:
    """Documents as the engine needs them: to start children, and to walk runs of versions long gone from the project."""

    def __init__(self, shelf: Shelf, journal: Journal, interpreter: Interpreter, clock: Clock) -> None:
        self._shelf = shelf
        self._journal = journal
        self._interpreter = interpreter
        self._clock = clock
        self._parsed: dict[str, Document] = {document.digest: document for document in shelf.every()}

    async def pin(self, document: Document, *, run_id: str, value: Json, labels: Labels, versions: Json = None) -> Run:
        """A pending run of exactly this version, whose text is kept before any run refers to it."""
        await self._journal.keep_document(document.digest, document.text)
        return Run(
            id=run_id,
            namespace=document.namespace,
            workflow=document.name,
            version=document.version,
            digest=document.digest,
            semantics=SEMANTICS,
            input=value,
            labels=labels_json(labels) or None,  # pyright: ignore[reportArgumentType] lists of text, as JSON
            versions=versions,
            created_at=self._clock.now(),
        )

    async def child(self, start: ChildStart, parent: Run, key: str) -> Run:
        document = self._shelf.named(f"{start.namespace}/{start.name}:{start.version}")
        pinned = await self.pin(
            document,
            run_id=derived_id(parent.id, key),
            value=start.input.value,
            labels=start.input.labels,
            versions=parent.versions,
        )
        return replace(
            pinned,
            parent_id=parent.id,
            parent_key=key,
            root_id=parent.root_id or parent.id,
            subject=parent.subject,
        )

    async def interpret(self, run: Run, effects: Effects) -> Datum:
        document = await self.document(run.digest)
        given = Datum(run.input, labels_from(run.labels))
        return await self._interpreter.run(document, given, effects)

    async def document(self, digest: str) -> Document:
        """The version a run is pinned to. Raises: UserError when this release cannot read it any more."""
        document = self._parsed.get(digest)
        if document is None:
            reading = read(await self._journal.document(digest), file=f"version {digest[:12]}")
            if reading.document is None:
                raise UserError(
                    "unreadable-version",
                    f"This release cannot read the version the run began with: {reading.findings[0]}",
                    hint="Cancel the run, or finish it with the release that began it.",
                )
            if len(self._parsed) >= _KEPT:
                self._parsed.pop(next(iter(self._parsed)))
            document = self._parsed[digest] = reading.document
        return document


def input_labels(document: Document) -> Labels:
    """Labels the author puts on parts of the input: `document.metadata.labels`, JSON pointer → list of labels."""
    return labels_from(document.metadata.get("labels"))


def require_input(document: Document, value: Json) -> None:
    """Raises: UserError `schema-mismatch` that says where."""
    schema = document.input.schema
    if schema is not None and not schema.accepts(value):
        places = "; ".join(f"{v.pointer or 'the input'}: {v.message}" for v in schema.violations(value, limit=5))
        raise UserError(
            "schema-mismatch",
            f"The input of {document.id} does not fit its schema: {places}.",
            hint=f"`orchestrion run {document.id} --help-input` shows what it takes.",
        )
