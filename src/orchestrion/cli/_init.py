"""`orchestrion init`: a project to begin with."""

import shutil
from importlib.resources import files
from pathlib import Path

from orchestrion.core import UserError

from ._terminal import err, execute

SETTINGS = """\
name: {name}

# Hosts that workflows and agents may reach; everything else is refused.
egress: {{ allow: [] }}

# Databases for `query`, such as:  bank: {{ url: sqlite:///data/bank.db, write: true }}
connections: {{}}

# Who approves, in order of increasing power, and who is who.
roles: [lead]
users: {{}}
"""

WORKFLOW = """\
document: { dsl: '1.0.3', namespace: examples, name: hello, version: '1.0.0' }
input:
  schema:
    document:
      type: object
      required: [name]
      properties: { name: { type: string, minLength: 1 } }
do:
  - greet:
      set: { greeting: '${ "Hello, \\(.name)." }' }
"""

POLICY = """\
// What no policy permits is refused. Workflows are written by you, so they may do what they say:
@id("workflows-may")
permit (principal is Workflow, action, resource);

// Agents may do nothing until you say so, for example:
// @id("billing-looks-up")
// permit (principal == Agent::"billing", action == Action::"find_invoices", resource == Connection::"bank");
"""


PREPARE = "prepare.py"
"""What an example comes with to build its data."""


def init(folder: Path, example: str | None) -> None:
    async def work() -> int:
        if folder.exists() and not is_empty(folder):
            raise UserError(
                "folder-not-empty",
                f"{str(folder)!r} is not an empty folder; nothing was written.",
                hint="Name a new folder: orchestrion init my-company",
            )
        write_project(folder, example)
        first = 'orchestrion run hello --input \'{"name": "Ana"}\''
        if example is not None:
            first = f"python {PREPARE} && orchestrion validate"
        err.print(f"[green]✓[/] A project in {str(folder)!r}. Next:")
        if folder != Path():
            err.print(f"  cd {folder}")
        err.print(f"  {first}", markup=False)
        return 0

    execute(work, as_json=False)


def is_empty(folder: Path) -> bool:
    return folder.is_dir() and not any(folder.iterdir())


def write_project(folder: Path, example: str | None) -> None:
    """A blank project, or one of the examples. Raises: UserError `unknown-example`, `no-examples`."""
    if example is None:
        _write(folder, _blank(folder))
        return
    ignore = shutil.ignore_patterns("*.db*", ".orchestrion", "__pycache__")
    shutil.copytree(_folder_of(example), folder, dirs_exist_ok=True, ignore=ignore)


def _blank(folder: Path) -> dict[str, str]:
    return {
        "orchestrion.yaml": SETTINGS.format(name=folder.absolute().name),
        "workflows/hello.yaml": WORKFLOW,
        "policies/workflows.cedar": POLICY,
        ".gitignore": ".orchestrion/\n*.db*\n",
    }


def _write(folder: Path, contents: dict[str, str]) -> None:
    for name, text in contents.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


def examples() -> dict[str, Path]:
    """Where the examples are by name: inside the installed package, or beside it in a checkout."""
    package = Path(str(files("orchestrion")))
    for folder in (package / "_examples", package.parents[1] / "examples"):
        if folder.is_dir():
            return {each.name: each for each in sorted(folder.iterdir()) if (each / "orchestrion.yaml").is_file()}
    return {}


def _folder_of(example: str) -> Path:
    known = examples()
    if not known:
        raise UserError("no-examples", "This installation has no examples.")
    if example not in known:
        raise UserError("unknown-example", f"There is no example {example!r}.", hint=f"There are: {', '.join(known)}.")
    return known[example]
