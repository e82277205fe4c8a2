"""What a project knows beside language models and rules for agents: decision tables, predictors and SQL statements."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from orchestrion.core import UserError
from orchestrion.functions import NamedStatement, read_named_statement
from orchestrion.models import Predictors, PredictorSource, read_predictor
from orchestrion.project import Project
from orchestrion.spec import Finding
from orchestrion.tables import Table, read_table

from ._files import read_each


@dataclass(frozen=True, slots=True, kw_only=True)
class Kinds:
    """By name."""

    tables: Mapping[str, Table]
    predictors: Mapping[str, PredictorSource]
    statements: Mapping[str, NamedStatement]


def read_kinds(project: Project) -> tuple[Kinds, list[Finding]]:
    """Those that are sound, and what is wrong with the others."""
    tables, found = read_each(
        project, project.tables, lambda text, file: read_table(text, file=file, name=Path(file).stem)
    )
    predictors, others = read_each(
        project,
        project.predictors,
        lambda text, file: read_predictor(text, file=file, name=Path(file).stem, root=project.root),
    )
    statements, flawed = read_each(
        project,
        project.statements,
        lambda text, file: read_named_statement(
            text, file=file, name=Path(file).stem, connections=project.settings.connections
        ),
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
    kinds = Kinds(tables=tables, predictors=predictors, statements=statements)
    return kinds, [*found, *others, *flawed, *untrained]


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
