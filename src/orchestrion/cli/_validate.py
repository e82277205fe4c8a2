"""`orchestrion validate`: every finding of a project or file, at once."""

from pathlib import Path

from orchestrion.app import open_rooms, read_evaluations
from orchestrion.core import UserError
from orchestrion.project import BadProject, Project
from orchestrion.spec import Finding

from ._terminal import COMPLETED, MISUSE, err, execute, out, print_json


def validate(paths: list[Path], *, as_json: bool) -> None:
    async def work() -> int:
        findings: list[Finding] = []
        for path in paths:
            findings += await _findings(path)
        errors = sum(finding.severity == "error" for finding in findings)
        if as_json:
            print_json([finding.to_json() for finding in findings])
        else:
            _tell(findings, errors)
        return MISUSE if errors else COMPLETED

    execute(work, as_json=as_json)


async def _findings(path: Path) -> list[Finding]:
    """Of a whole project; of a file only what concerns it."""
    if not path.exists():
        raise UserError("no-such-path", f"There is no {str(path)!r}.", hint="Check the path.")
    try:
        project = Project.load(path)
        known = path.is_dir() or path.absolute() in {
            *project.workflows,
            *project.agents,
            *project.teams,
            *project.policies,
            *project.evaluations,
        }
        files = None if known else [*project.workflows, path.absolute()]
        async with open_rooms(path, workflows=files) as rooms:
            findings = [*rooms.checked.findings, *read_evaluations(rooms.project, rooms.checked)[1]]
        name = project.relative(path.absolute())
        return findings if path.is_dir() else [finding for finding in findings if finding.file == name]
    except BadProject as error:
        return list(error.findings)


def _tell(findings: list[Finding], errors: int) -> None:
    for finding in findings:
        colour = "red" if finding.severity == "error" else "yellow"
        out.print(f"[bold]{finding.file}:{finding.line}:{finding.column}[/] [{colour}]{finding.severity}[/]", end=" ")
        out.print(f"[dim]{finding.code}[/]", end=" ")
        out.print(finding.message, markup=False)
        if finding.hint:
            out.print(f"    {finding.hint}", markup=False)
    warnings = len(findings) - errors
    if not findings:
        err.print("[green]✓[/] Nothing to say against it.")
    else:
        err.print(f"{_count(errors, 'error')}, {_count(warnings, 'warning')}")


def _count(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"
