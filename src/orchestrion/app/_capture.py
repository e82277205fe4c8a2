"""What one workflow uses, collected from the project's files: the pieces of its bundle."""

from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from hashlib import sha256
from pathlib import Path
from typing import cast

from pydantic import BaseModel

from orchestrion.agents import AgentDefinition, Group, TeamDefinition
from orchestrion.core import Catalog, Json, UserError, digest, dump_bytes, parse
from orchestrion.functions import definition_place
from orchestrion.openapi import is_address
from orchestrion.project import Model, Project
from orchestrion.registry import Bundle
from orchestrion.spec import CallTask, Document, RunWorkflowTask

from ._files import file_bytes
from ._knowledge import documents_of
from ._names import NAMED, names_of
from ._pinned import OPERATED
from ._project import Checked

_TURN_LIMITS = ("turns", "usd", "seconds")
"""Of `limits` in the settings: what bounds an agent. The others are about the machine."""
SMALL = 65_536
"""Bytes up to which a file's content is kept in memory until a version of it is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Captured:
    """A bundle, and by digest the content of its pieces: that of large files is where it stands."""

    bundle: Bundle
    contents: Mapping[str, bytes | Path]

    def read(self) -> Mapping[str, bytes]:
        """The contents. Raises: UserError `project-changed` when a large file is not what it was any more."""
        return {digest: _reread(digest, content) for digest, content in self.contents.items()}


def _reread(digest: str, content: bytes | Path) -> bytes:
    if isinstance(content, bytes):
        return content
    found = file_bytes(content)
    if sha256(found).hexdigest() != digest:
        raise UserError(
            "project-changed",
            f"{content.name!r} was changed since the project was opened.",
            hint="Start again, so that the run is of one version.",
        )
    return found


def capture(project: Project, checked: Checked, catalog: Catalog) -> Mapping[str, Captured]:
    """The bundle of every workflow as the project's files are now, by the digest of its document.

    What an expression names is known only at run time: then everything of that kind is part of the bundle.
    """
    files: dict[Path, tuple[str, bytes | Path]] = {}
    found: dict[str, Captured] = {}
    for document in checked.shelf.every():
        search = _Search(project, checked, catalog, files)
        search.workflow(document)
        search.surroundings()
        bundle = Bundle(
            workflow=document.id,
            version=document.version,
            document=document.digest,
            pieces=dict(sorted(search.pieces.items())),
            nameable=checked.catalogued.to_json(),
        )
        found[document.digest] = Captured(bundle=bundle, contents=search.contents)
    return found


def model_pieces(project: Project, checked: Checked, catalog: Catalog, model: Model, name: str) -> Mapping[str, bytes]:
    """The piece of a model under `name`, and those of everything it leads to: fallbacks, playbooks, routers."""
    settings = project.settings.model_copy(update={"models": {**project.settings.models, name: model}})
    search = _Search(replace(project, settings=settings), checked, catalog, {})
    search.model(name)
    contents = {digest: _reread(digest, content) for digest, content in search.contents.items()}
    return {piece: contents[digest] for piece, digest in search.pieces.items()}


def piece_digest(piece: str, content: bytes) -> str:
    """By which digest a bundle knows a setting or a file."""
    kind, _, rest = piece.partition("/")
    if kind != "settings":
        return sha256(content).hexdigest()
    kind, _, name = rest.partition("/")
    return digest([kind, name, parse(content)])


def _said(setting: BaseModel, without: Iterable[str] = ()) -> Json:
    return setting.model_dump(mode="json", by_alias=True, exclude_defaults=True, exclude=set(without))


@dataclass(slots=True)
class _Search:
    """Follows names from a workflow to everything it may come to use."""

    project: Project
    checked: Checked
    catalog: Catalog
    files: dict[Path, tuple[str, bytes | Path]]
    """Those that were read before: path → digest and content."""
    pieces: dict[str, str] = field(default_factory=dict[str, str])
    contents: dict[str, bytes | Path] = field(default_factory=dict[str, "bytes | Path"])

    # --- what is kept ---

    def _add(self, name: str, digest: str, content: bytes | Path) -> bool:
        """Whether it is new."""
        new = name not in self.pieces
        self.pieces[name] = digest
        self.contents[digest] = content
        return new

    def _add_file(self, path: Path) -> bool:
        """A file of the project; others cannot be brought back and are left where they are."""
        name = self.project.relative(path)
        if name in self.pieces or not path.is_relative_to(self.project.root) or not path.is_file():
            return False
        if path not in self.files:
            content = file_bytes(path)
            self.files[path] = (sha256(content).hexdigest(), content if len(content) <= SMALL else path)
        return self._add(name, *self.files[path])

    def _add_setting(self, kind: str, name: str, value: Json) -> bool:
        return self._add(f"settings/{kind}/{name}", digest([kind, name, value]), dump_bytes(value))

    # --- what is followed ---

    def workflow(self, document: Document) -> None:
        name = f"workflows/{document.id}"
        if self.pieces.get(name) not in {None, document.digest}:
            name = f"{name}:{document.version}"
        if not self._add(name, document.digest, document.text.encode()):
            return
        for task in document.every_task():
            match task:
                case CallTask() if task.definition is not None:
                    self._definition(task)
                case CallTask(kind="defined"):
                    pass
                case CallTask():
                    self._call(task.function, task.arguments.node)
                case RunWorkflowTask():
                    self._child(f"{task.namespace}/{task.workflow}:{task.version}")
                case _:
                    pass

    def _definition(self, task: CallTask) -> None:
        """A function of a catalog of the project: its file. What the network defines stands in each run's record."""
        if task.definition is None or task.definition.programs:
            return
        place, _ = definition_place(cast("Mapping[str, Json]", task.definition.fill()))
        if not is_address(place):
            self._add_file(self.project.root / place)

    def _child(self, name: str) -> None:
        with suppress(UserError):  # one that is not there: the call will say so
            self.workflow(self.checked.shelf.named(name))

    def _call(self, function: str, arguments: object) -> None:
        name, _, version = function.partition(":")
        self._function(function if version else name)
        self._add_named_file(self.project.statements, name)
        said = cast("Mapping[str, object]", arguments) if isinstance(arguments, Mapping) else None
        for argument, kind in NAMED.get(name, {}).items():
            self._named(kind, None if said is None else said.get(argument, ()))
        match name:
            case "team":
                self._team_call(said)
            case "workflow" if said is not None:
                self._child(f"{said.get('namespace')}/{said.get('name')}:{said.get('version', 'latest')}")
            case "openapi" | "describe" if said is not None:
                self._document(said.get("document"))
            case _:
                pass

    def _function(self, name: str) -> None:
        try:
            declared = self.catalog.resolve(name).declaration
        except UserError:
            return
        shape: Json = {
            "input": dict(declared.input_schema),
            "output": dict(declared.output_schema) if declared.output_schema else None,
            "effect": declared.effect,
            "idempotent": declared.idempotent,
        }
        self._add(f"functions/{declared.id}", digest(shape), dump_bytes(shape))

    def _named(self, kind: str, said: object) -> None:
        """Those of a kind that a literal names; all of them when an expression does. Nothing said: none, or the default."""
        match said:
            case str():
                names: Iterable[str] = (said,)
            case tuple() | list():
                listed = cast("list[object]", said)
                names = [each for each in listed if isinstance(each, str)]
                names = names if len(names) == len(listed) else self._every(kind)
            case Mapping():
                names = ()
            case _:
                names = self._every(kind)
        for name in names or (("default",) if kind == "knowledge" else ()):
            getattr(self, f"_{kind}")(name)

    def _every(self, kind: str) -> Iterable[str]:
        return list(names_of(self.project)[kind])

    def _agents(self, name: str) -> None:
        agent = self.checked.agents.get(name)
        if agent is None or not self._add_named_file(self.project.agents, name):
            return
        for model in agent.model:
            self._models(model)
        if agent.playbook is not None and agent.playbook.router is not None:
            self._routers(agent.playbook.router)
        if agent.guard is not None:
            self._guards(agent.guard)
        for tool in agent.tools:
            self._tool(agent, tool.name)

    def _tool(self, agent: AgentDefinition, name: str) -> None:
        tool = agent.tool(name)
        if tool.function is not None:
            self._call(tool.function.name, dict(tool.function.with_))
        elif tool.workflow is not None:
            self._child(f"{tool.workflow.namespace}/{tool.workflow.name}:{tool.workflow.version}")
        elif tool.mcp is not None:
            self._function("mcp")
            self._mcp(tool.mcp.server)
        elif tool.openapi is not None:
            self._function("openapi")
            self._document(tool.openapi.document)
        else:
            self._function(tool.kind)

    def _team_call(self, said: Mapping[str, object] | None) -> None:
        if said is None:
            members: list[object] = [None]
        else:
            listed = said.get("members", ())
            members = [said.get("team", ()), said.get("lead", ())]
            members += cast("list[object]", listed) if isinstance(listed, tuple | list) else [listed]
        for member in members:
            self._member(member)

    def _member(self, member: object) -> None:
        match member:
            case str() if member in self.checked.teams:
                self._team(self.checked.teams[member])
            case str():
                self._agents(member)
            case Group():
                self._group(member)
            case Mapping():
                group = cast("Mapping[str, object]", member)
                self._team_call({"lead": group.get("lead", ()), "members": group.get("members", ())})
            case tuple() | list():
                pass
            case _:
                for name in self._every("agents"):
                    self._agents(name)
                for team in self.checked.teams.values():
                    self._team(team)

    def _team(self, team: TeamDefinition) -> None:
        if self._add_named_file(self.project.teams, team.name):
            self._group(team)

    def _group(self, group: TeamDefinition | Group) -> None:
        for member in (group.lead, *group.members):
            self._member(member)

    def model(self, name: str) -> None:
        self._models(name)

    def _models(self, name: str) -> None:
        if name in self.project.settings.models:
            model = self.project.settings.models[name]
            if self._add_setting("models", name, _said(model, OPERATED)):
                self._models(model.provider)
                for other in model.fallback:
                    self._models(other)
            return
        provider, _, playbook = name.partition(":")
        if provider == "playbook" and playbook:
            self._add_named_file(self.project.playbooks, playbook)
            if (file := self.checked.playbooks.get(playbook)) is not None and file.playbook.router is not None:
                self._routers(file.playbook.router)

    def _routers(self, name: str) -> None:
        if (router := self.project.settings.routers.get(name)) is not None:
            self._add_setting("routers", name, _said(router))
            self._add_file(self.project.root / router.examples)

    def _guards(self, name: str) -> None:
        if (guard := self.project.settings.guards.get(name)) is not None:
            self._add_setting("guards", name, _said(guard))

    def _mcp(self, name: str) -> None:
        if (server := self.project.settings.mcp.get(name)) is not None:
            self._add_setting("mcp", name, _said(server))

    def _tables(self, name: str) -> None:
        self._add_named_file(self.project.tables, name)

    def _predictors(self, name: str) -> None:
        if (source := self.checked.kinds.predictors.get(name)) is not None:
            self._add_named_file(self.project.predictors, name)
            self._add_file(source.model)
            self._add_file(source.card)

    def _knowledge(self, name: str) -> None:
        files = documents_of(self.project).get(name)
        if files is None:
            return
        if (settings := self.project.settings.knowledge.get(name)) is not None:
            self._add_setting("knowledge", name, _said(settings))
        for file in files:
            self._add_file(file)

    def _document(self, place: object) -> None:
        """An OpenAPI document that is a file of the project. Those of the network stand in each run's record."""
        endpoint = cast("Mapping[str, object]", place).get("endpoint") if isinstance(place, Mapping) else place
        if isinstance(endpoint, str) and not is_address(endpoint):
            self._add_file(self.project.root / endpoint)

    def _add_named_file(self, files: Iterable[Path], name: str) -> bool:
        file = next((file for file in files if file.stem == name), None)
        return file is not None and self._add_file(file)

    def surroundings(self) -> None:
        """What holds for every workflow: policies, and the bounds of an agent's turn."""
        for file in self.project.policies:
            self._add_file(file)
        limits = self.project.settings.limits
        self._add_setting("limits", "agents", {name: getattr(limits, name) for name in _TURN_LIMITS})
