"""What a project knows beside language models and rules for agents: decision tables and predictors."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from orchestrion.core import UserError
from orchestrion.models import Predictors, PredictorSource, read_predictor
from orchestrion.project import Project
from orchestrion.spec import Finding
from orchestrion.tables import Table, read_table

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Kinds:
    """By name."""

    tables: Mapping[str, Table]
    predictors: Mapping[str, PredictorSource]


def read_kinds(project: Project) -> tuple[Kinds, list[Finding]]:
    """Those that are sound, and what is wrong with the others."""
    tables, found = _read(project, project.tables, lambda text, file: read_table(text, file=file, name=Path(file).stem))
    predictors, others = _read(
        project,
        project.predictors,
        lambda text, file: read_predictor(text, file=file, name=Path(file).stem, root=project.root),
    )
    untrained = [
        Finding(
            file=next(project.relative(file) for file in project.predictors if file.stem == name),
            line=1,
            column=1,
            severity="warning",
            code="predictor-untrained",
            message=f"There is no {source.file.model!r} yet.",
            hint=f"orchestrion predictor train {name} --data FILE.csv" if source.file.train else "Put the model there.",
        )
        for name, source in predictors.items()
        if not source.model.is_file()
    ]
    return Kinds(tables=tables, predictors=predictors), [*found, *others, *untrained]


def predictor_source(project: Project, name: str | None) -> PredictorSource:
    """The predictor of this name, or the only one. Raises: UserError."""
    sources, findings = read_kinds(project)
    known = Predictors(sources.predictors)
    if name is not None:
        broken = [str(each) for each in findings if Path(each.file).stem == name and each.severity == "error"]
        if broken:
            raise UserError("bad-project", "\n".join(broken))
        return known.source(name)
    if len(known.names) != 1:
        raise UserError(
            "which-predictor", "Say which predictor.", hint=f"There are: {', '.join(known.names) or 'none'}."
        )
    return known.source(known.names[0])


def _read(
    project: Project, files: Iterable[Path], read: Callable[[bytes, str], tuple[T | None, list[Finding]]]
) -> tuple[dict[str, T], list[Finding]]:
    found: dict[str, T] = {}
    findings: list[Finding] = []
    seen: dict[str, str] = {}
    for path in files:
        file = project.relative(path)
        if path.stem in seen:
            message, hint = f"{seen[path.stem]} has the same name.", "Rename one of them."
            findings.append(
                Finding(file=file, line=1, column=1, severity="error", code="repeated-name", message=message, hint=hint)
            )
            continue
        seen[path.stem] = file
        one, wrong = read(_bytes(path), file)
        findings += wrong
        if one is not None:
            found[path.stem] = one
    return found, findings


def _bytes(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise UserError("unreadable-file", f"{str(file)!r} cannot be read: {error.strerror}.") from None
