"""A project: a folder with its settings and what stands in it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from orchestrion.core import Secrets, UserError
from orchestrion.spec import Finding, Source, finding_at

from ._reading import read_settings
from ._secrets import ProjectSecrets
from ._setting import SecretReference
from ._settings import Settings

SETTINGS_FILE = "orchestrion.yaml"
_YAML = (".yaml", ".yml")
KINDS: Mapping[str, tuple[str, ...]] = {
    "workflows": (*_YAML, ".json"),
    "agents": _YAML,
    "teams": _YAML,
    "policies": (".cedar",),
    "playbooks": _YAML,
    "tables": (".csv", *_YAML),
    "predictors": _YAML,
    "statements": (".sql",),
    "evaluations": _YAML,
}
"""Folder → the suffixes of the files in it that are part of the project."""


class BadProject(UserError):
    """A project that cannot be used; `findings` says everything that is wrong with it."""

    def __init__(self, findings: Sequence[Finding]) -> None:
        super().__init__("bad-project", "\n".join(str(each) for each in findings))
        self.findings = tuple(findings)


@dataclass(frozen=True, slots=True, kw_only=True)
class Project:
    """What a folder holds. Files are named, not read, apart from `orchestrion.yaml`."""

    root: Path
    """Absolute."""
    settings: Settings
    home: Path | None = None
    """For a version kept apart from it: the folder of the project itself, where its data, secrets and store are."""
    workflows: tuple[Path, ...] = ()
    agents: tuple[Path, ...] = ()
    teams: tuple[Path, ...] = ()
    policies: tuple[Path, ...] = ()
    playbooks: tuple[Path, ...] = ()
    tables: tuple[Path, ...] = ()
    predictors: tuple[Path, ...] = ()
    statements: tuple[Path, ...] = ()
    evaluations: tuple[Path, ...] = ()

    @staticmethod
    def load(path: Path) -> "Project":
        """The project of a folder, or around a file. Raises: BadProject; UserError `no-such-path`."""
        project, findings = Project.read(path)
        if project is None:
            raise BadProject(findings)
        return project

    @staticmethod
    def read(path: Path) -> "tuple[Project | None, list[Finding]]":
        """The project, or everything that is wrong with its settings.

        The nearest `orchestrion.yaml` at or above `path` marks it. Without one, a folder is a project with default settings, and
        a file is the only workflow of one. Raises: UserError `no-such-path`.
        """
        path = path.expanduser().absolute()
        if not path.exists():
            raise UserError(
                "no-such-path",
                f"There is no {str(path)!r}.",
                hint="Check the path, or create a project: orchestrion init.",
            )
        folder = path if path.is_dir() else path.parent
        root = next((each for each in (folder, *folder.parents) if (each / SETTINGS_FILE).is_file()), None)
        if root is None:
            alone = () if path.is_dir() else (path,)
            return _found(folder, Settings(), workflows=alone), []
        settings, source, findings = read_settings(_bytes(root / SETTINGS_FILE), file=SETTINGS_FILE)
        if settings is None:
            return None, findings
        findings += _missing_files(root, settings, source)
        return (None if findings else _found(root, settings)), findings

    def pinned(self, folder: Path, settings: Settings) -> "Project":
        """An earlier version of this project, whose files stand in `folder`."""
        return _found(folder, settings, home=self.at_home)

    @property
    def at_home(self) -> Path:
        """Where its data, secrets and store are."""
        return self.home or self.root

    @property
    def name(self) -> str:
        return self.settings.name or self.at_home.name

    def secrets(self, environ: Mapping[str, str] | None = None) -> ProjectSecrets:
        """Its secrets, from `environ` (this process's by default) and files."""
        return ProjectSecrets(self.settings.secrets, root=self.at_home, environ=environ)

    def store_url(self, secrets: Secrets) -> str:
        """SQLAlchemy URL of where runs are kept. Raises: UserError about a secret."""
        store = self._text(self.settings.store, secrets)
        return self._absolute(store if "://" in store else f"sqlite:///{quote(store)}")

    def blobs_url(self) -> str | None:
        """Where large values go, if the project says so."""
        blobs = self.settings.blobs
        return blobs if blobs is None or "://" in blobs else str((self.at_home / blobs).absolute())

    def connection_url(self, name: str, secrets: Secrets) -> str:
        """SQLAlchemy URL of a connection. Raises: UserError `unknown-connection`, or about a secret."""
        known = self.settings.connections
        if name not in known:
            listed = ", ".join(sorted(known)) or "none"
            raise UserError("unknown-connection", f"There is no connection {name!r}.", hint=f"There are: {listed}.")
        return self._absolute(self._text(known[name].url, secrets))

    def relative(self, path: Path) -> str:
        """How a file is called in messages: relative to the project where it lies inside."""
        return path.relative_to(self.root).as_posix() if path.is_relative_to(self.root) else str(path)

    def _text(self, value: str | SecretReference, secrets: Secrets) -> str:
        if isinstance(value, str):
            return value
        found = secrets.get(value.secret)
        if not isinstance(found, str):
            raise UserError("secret-not-text", f"The secret {value.secret!r} must be text to be used as a URL.")
        return found

    def _absolute(self, url: str) -> str:
        """A relative SQLite file starts at the project's folder."""
        scheme, separator, rest = url.partition(":///")
        database, question, options = rest.partition("?")
        relative = separator and database and not database.startswith(("/", ":memory:", "file:"))
        if not scheme.startswith("sqlite") or not relative:
            return url
        return f"{scheme}:///{quote(self.at_home.as_posix())}/{database}{question}{options}"


def _bytes(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise UserError("unreadable-settings", f"{str(file)!r} cannot be read: {error.strerror}.") from None


def _found(root: Path, settings: Settings, *, workflows: tuple[Path, ...] = (), home: Path | None = None) -> Project:
    found = {
        kind: tuple(sorted(each for each in _files(root / kind) if each.suffix in suffixes))
        for kind, suffixes in KINDS.items()
    }
    if workflows:
        found["workflows"] = workflows
    return Project(root=root, settings=settings, home=home, **found)


def _files(folder: Path) -> list[Path]:
    if not folder.is_dir():
        return []
    return [each for each in folder.iterdir() if each.is_file() and not each.name.startswith(".")]


def _missing_files(root: Path, settings: Settings, source: Source | None) -> list[Finding]:
    """Files that the settings name and that do not exist. Secrets are left out: they may exist where it runs."""
    named = [
        finding_at(
            source,
            f"/knowledge/{name}",
            "missing-folder",
            f"There is no folder {f'knowledge/{name}'!r}.",
            hint="A knowledge base is a folder of documents in the project's folder `knowledge`.",
        )
        for name in settings.knowledge
        if source and not (root / "knowledge" / ("" if name == "default" else name)).is_dir()
    ]
    named += [
        finding_at(
            source,
            f"/models/{name}/provider" if source.at(f"/models/{name}/provider") is not None else f"/models/{name}",
            "missing-file",
            f"There is no file {file!r}.",
            hint="A model of this machine is a GGUF file; its path starts at the project's folder.",
        )
        for name, model in settings.models.items()
        if source and (file := model.provider.removeprefix("local:")) != model.provider and not (root / file).is_file()
    ]
    return named + [
        finding_at(
            source,
            f"/routers/{name}/examples",
            "missing-file",
            f"There is no file {router.examples!r}.",
            hint="The path starts at the project's folder.",
        )
        for name, router in settings.routers.items()
        if source and not (root / router.examples).is_file()
    ]
