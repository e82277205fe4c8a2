"""`orchestrion.yaml`, typed: every setting with what it is for."""

import re
from collections.abc import Mapping
from pathlib import PurePath
from typing import Annotated, Literal, TypeAlias, cast
from urllib.parse import urlsplit

from pydantic import BeforeValidator, ConfigDict, Field, JsonValue, StringConstraints, model_validator
from pydantic_core import PydanticCustomError

from orchestrion.core import Json

from ._alert import AlertRule
from ._mail import MailAddress, MailServer
from ._model import Model
from ._setting import WAY_OUT, SecretReference, Setting
from ._webhook import Webhook

_HOST = re.compile(
    r"(?:(?:\*\.)?[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?(?:\.[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?)*|\[[0-9A-Fa-f:.]+\])(?::\d{1,5})?"
)
_AGE = re.compile(r"(\d{1,5})\s*([dh])")
DAY_S = 86_400.0
_FOR_EXAMPLE = "For example: sqlite:///data/bank.db"
_SCHEMES = ("basic", "bearer", "oauth2", "oidc")
Name = Annotated[str, StringConstraints(pattern=r"^[A-Za-z][A-Za-z0-9_-]*$", max_length=100)]
"""How parts of a project are called: letters, digits, `-` and `_`, a letter first."""


def _without_password(value: object) -> object:
    """A database URL as text, unless a password stands in it; or the name of the secret that holds one."""
    if isinstance(value, Mapping) and list(cast("Mapping[object, object]", value)) == ["secret"]:
        return cast("object", value)
    if not isinstance(value, str):
        raise PydanticCustomError("bad-url", "This is not a database URL", {"hint": f"{_FOR_EXAMPLE}. {WAY_OUT}"})
    try:
        password = urlsplit(value).password
    except ValueError:
        raise PydanticCustomError("bad-url", "This is not a URL", {"hint": _FOR_EXAMPLE}) from None
    if password:
        hint = f"Keep the whole URL as a secret. {WAY_OUT}"
        raise PydanticCustomError("secret-in-clear", "A password must not stand here in clear", {"hint": hint})
    return value


def _with_scheme(value: object) -> object:
    if isinstance(value, str) and not re.match(r"[a-z][a-z0-9+]*://", value):
        raise PydanticCustomError("bad-url", "This is not a database URL", {"hint": _FOR_EXAMPLE})
    return value


def _host(value: object) -> object:
    if not isinstance(value, str) or not _HOST.fullmatch(value):
        raise PydanticCustomError(
            "bad-host",
            "This is not a host that can be allowed",
            {"hint": "Write a host name, *.domain, or an address, with :port if need be; no scheme, no path."},
        )
    return value


def _as_details(value: object) -> object:
    return {"provider": value} if isinstance(value, str) else value


def _not_in_clear(value: object) -> object:
    if not isinstance(value, Mapping):
        raise PydanticCustomError(
            "secret-in-clear",
            "A secret is given by reference, never by its value",
            {"hint": "Write {env: VARIABLE} or {file: path}; if a real secret stood here, replace it with a new one."},
        )
    return cast("object", value)


def _seconds(value: object) -> object:
    """Seconds of an age; None for one without end."""
    if value == "forever":
        return None
    found = _AGE.fullmatch(value) if isinstance(value, str) else None
    if found is None:
        raise PydanticCustomError(
            "bad-age", "This is not an age", {"hint": "Write days or hours, such as 90d or 12h, or forever."}
        )
    return float(found[1]) * (DAY_S if found[2] == "d" else 3600)


Host = Annotated[str, BeforeValidator(_host)]
Age = Annotated[float | None, BeforeValidator(_seconds, json_schema_input_type=str)]
Location: TypeAlias = Annotated[str | SecretReference, BeforeValidator(_without_password)]
DatabaseUrl: TypeAlias = Annotated[Location, BeforeValidator(_with_scheme)]


Command: TypeAlias = Annotated[tuple[Annotated[str, StringConstraints(min_length=1)], ...], Field(min_length=1)]
Variable = Annotated[str, StringConstraints(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$", max_length=100)]


class Egress(Setting):
    """What may be reached over the network."""

    allow: tuple[Host, ...] = Field(
        default=(),
        description="Hosts that may be called: `api.example.com`, `*.example.org`, `127.0.0.1:8080`. Everything else is refused.",
    )
    timeout_s: float = Field(default=30.0, alias="timeout", gt=0, description="Seconds one request may take.")


class Connection(Setting):
    """A database for `query`."""

    url: DatabaseUrl = Field(
        description="SQLAlchemy URL, or {secret: NAME} where it holds a password. Relative SQLite paths start at the project's folder."
    )
    write: bool = Field(default=False, description="Whether statements may change anything.")
    timeout_s: float = Field(default=10.0, alias="timeout", gt=0, description="Seconds a statement may take.")


class Secret(Setting):
    """Where a secret's value is found: never the value itself."""

    model_config = ConfigDict(json_schema_extra={"oneOf": [{"required": ["env"]}, {"required": ["file"]}]})

    env: str | None = Field(default=None, min_length=1, description="Environment variable that holds the value.")
    file: str | None = Field(
        default=None,
        min_length=1,
        description="File that holds the value, relative to the project's folder. A .json file may hold an object of several fields.",
    )

    @model_validator(mode="after")
    def _one_place(self) -> "Secret":
        if (self.env is None) == (self.file is None):
            raise PydanticCustomError(
                "secret-place",
                "A secret is found in exactly one place",
                {"hint": "Write {env: VARIABLE} or {file: path}."},
            )
        return self


class Router(Setting):
    """A classifier trained from labelled examples."""

    examples: str = Field(min_length=1, description="CSV file of labelled examples, relative to the project's folder.")
    text: str = Field(default="text", description="Column that holds the text.")
    label: str = Field(default="label", description="Column that holds the label.")
    target_precision: float = Field(
        default=0.95, gt=0, le=1, description="Share of answers that should be right; the threshold is chosen for it."
    )
    strangers: float = Field(
        default=0.05,
        ge=0,
        lt=1,
        description="Share of texts expected to belong to no label; 0 where every text does, or one label is for the rest.",
    )
    threshold: float | None = Field(
        default=None,
        ge=0,
        le=1,
        description="Confidence below which it abstains, in place of the one chosen by `target_precision`.",
    )
    embeddings: bool = Field(
        default=False, description="Whether meanings count beside words. Takes the extra `embeddings`."
    )


class KnowledgeBase(Setting):
    """A folder of documents that `retrieve` finds passages in."""

    labels: tuple[str, ...] = Field(
        default=("knowledge",),
        description="Labels of its passages: `untrusted` where anybody outside may have written them.",
    )
    embeddings: bool = Field(
        default=False, description="Whether meanings count beside words. Takes the extra `embeddings`."
    )


class Batch(Setting):
    """How the columns of a file become the input of a workflow in `run --each`."""

    map: dict[str, str] = Field(default_factory=dict, description="Input field → column.")
    defaults: dict[str, JsonValue] = Field(
        default_factory=dict, description="Input field → value where the file has no such column."
    )


class Folder(Setting):
    """A folder whose new files are events."""

    path: str = Field(min_length=1, description="The folder, relative to the project's.")
    pattern: str = Field(
        default="*", min_length=1, description="Which files: `*.csv`. Hidden files and links are never taken."
    )
    done: str = Field(
        default="done", min_length=1, description="Where files go whose runs have completed, relative to the folder."
    )
    bad: str = Field(
        default="bad",
        min_length=1,
        description="Where files go whose run failed, or that nobody wants or can read, with the reason beside them.",
    )
    settle_s: float = Field(
        default=2.0, alias="settle", gt=0, description="Seconds without a change after which a file counts as whole."
    )

    @model_validator(mode="after")
    def _somewhere_else(self) -> "Folder":
        inside = [PurePath(self.path, place) for place in (self.done, self.bad)]
        if PurePath(self.path) in inside:
            raise PydanticCustomError(
                "folder-in-itself",
                "A watched folder cannot be where its files are put away",
                {"hint": "Name another folder for `done` and `bad`, such as done and bad."},
            )
        return self


class GuardPolicy(Setting):
    """What `guard` checks a content for."""

    json_schema: dict[str, JsonValue] | None = Field(
        default=None, alias="schema", description="JSON Schema the content must fit; what does not fit is blocked."
    )
    personal_data: Literal["block", "review", "allow"] = Field(
        default="block",
        description="What happens when personal data is found that is not the subject's own. Kinds that carry no checksum never do more than ask for a review.",
    )
    contacts: Literal["block", "review", "allow"] = Field(
        default="allow", description="What happens when e-mail addresses or phone numbers of others are found."
    )
    allow: tuple[str, ...] = Field(
        default=(), description="Values that may always appear, such as the company's own account number or address."
    )
    max_length: int | None = Field(
        default=None, ge=1, description="Characters the content may have at most, all its texts together."
    )


def _one_secret(value: object) -> object:
    """A scheme and the secret behind it, as `{bearer: {use: NAME}}`."""
    if isinstance(value, Mapping) and len(cast("Mapping[object, object]", value)) == 1:
        scheme, given = next(iter(cast("Mapping[object, object]", value).items()))
        if scheme in _SCHEMES and isinstance(given, Mapping) and set(cast("Mapping[object, object]", given)) == {"use"}:
            return cast("object", value)
    raise PydanticCustomError(
        "bad-authentication",
        "This does not say how to authenticate",
        {"hint": f"Write one of {', '.join(_SCHEMES)}, each with a secret: {{bearer: {{use: NAME}}}}."},
    )


class Processes(Setting):
    """Programs that the platform may start."""

    allow: tuple[Command, ...] = Field(
        default=(),
        description="Commands, each as a list of the program and all its arguments: `[[/usr/bin/office-mcp, --stdio]]`. Everything that is not exactly one of them is refused.",
    )


class McpServer(Setting):
    """An MCP server that agents and workflows may use by name: at an address, or as a process."""

    model_config = ConfigDict(json_schema_extra={"oneOf": [{"required": ["url"]}, {"required": ["command"]}]})

    url: str | None = Field(
        default=None,
        pattern=r"^https?://[^/\s]",
        description="Its address. Its host must stand in `egress.allow` too.",
    )
    command: Command | None = Field(
        default=None,
        description="The program to start for each conversation, with its arguments. It must stand in `processes.allow`, word for word. A path without a leading / starts at the project's folder; a bare name is looked for in /bin and /usr/bin, or in the PATH of `environment`.",
    )
    environment: dict[Variable, str | SecretReference] = Field(
        default_factory=dict,
        description="All the environment variables of the process: text, or {secret: NAME}. It inherits none.",
    )
    authentication: Annotated[dict[str, dict[str, str]], BeforeValidator(_one_secret)] | None = Field(
        default=None,
        description="How to authenticate: basic, bearer, oauth2 or oidc with a secret, as {bearer: {use: NAME}}.",
    )
    headers: dict[str, str] = Field(
        default_factory=dict, description="Headers of every request. No secrets: they are recorded."
    )
    trust: bool = Field(
        default=False,
        description="Whether to believe what it says of its tools: that calling one again is harmless, and that their descriptions are sound.",
    )
    timeout_s: float = Field(default=30.0, alias="timeout", gt=0, description="Seconds one call may take.")

    @model_validator(mode="after")
    def _one_way(self) -> "McpServer":
        if (self.url is None) == (self.command is None):
            raise PydanticCustomError(
                "mcp-way",
                "An MCP server is reached in exactly one way",
                {"hint": "Write `url:` for one that runs somewhere, or `command:` for one to start."},
            )
        foreign = ("environment",) if self.command is None else ("authentication", "headers")
        for name in foreign:
            if getattr(self, name):
                way = "url" if self.command is None else "command"
                raise PydanticCustomError(
                    "mcp-way",
                    f"`{name}` means nothing beside `{way}`",
                    {"hint": "A process is told what it needs in its `environment`, an address in `headers`."},
                )
        return self


class Limits(Setting):
    """How much at once, and how much at most."""

    concurrency: int = Field(default=50, ge=1, description="Runs advanced at the same time.")
    backlog: int = Field(
        default=10_000, ge=1, description="Runs that may wait to start; beyond it new ones are refused."
    )
    turns: int = Field(
        default=12, ge=1, description="Model requests of one agent turn, where the agent or the call says nothing."
    )
    usd: float | None = Field(
        default=None, gt=0, description="US dollars of one agent turn, where the agent or the call says nothing."
    )
    seconds: float | None = Field(
        default=None, gt=0, description="Seconds of one agent turn, where the agent or the call says nothing."
    )


class Telemetry(Setting):
    """Where a copy of the record goes, as OpenTelemetry spans. Values are not in it; ids, names, times and costs are."""

    endpoint: str = Field(
        pattern=r"^https?://",
        description="Base address of a collector that takes OTLP over HTTP: `http://127.0.0.1:4318`.",
    )
    service: str = Field(default="orchestrion", min_length=1, description="`service.name` of the spans.")
    headers: dict[str, SecretReference] = Field(
        default_factory=dict, description="Headers a collector asks for, such as `Authorization`, as {secret: NAME}."
    )
    timeout_s: float = Field(default=10.0, alias="timeout", gt=0, description="Seconds one delivery may take.")


class Server(Setting):
    """Where people and programs reach the platform."""

    host: str = Field(
        default="127.0.0.1",
        min_length=1,
        description="Address to listen on; others than this machine's own need `url`.",
    )
    port: int = Field(default=8321, ge=0, le=65_535, description="Port to listen on; 0 takes a free one.")
    url: str | None = Field(
        default=None,
        pattern=r"^https?://[^/\s@]+/?$",
        description="Where it is reached from outside, such as `https://ai.example.com` of a proxy. Under other names it does not answer.",
    )
    notify: dict[Annotated[str, StringConstraints(min_length=1)], MailAddress] = Field(
        default_factory=dict,
        description="User → mail address: who may decide what waits is told of it once, with a link. It takes `mail`.",
    )


class Ages(Setting):
    """How long runs are kept after they ended, by how they ended."""

    completed_s: Age = Field(default=90 * DAY_S, alias="completed", description="Runs that completed.")
    faulted_s: Age = Field(default=365 * DAY_S, alias="faulted", description="Runs that faulted.")
    cancelled_s: Age = Field(default=90 * DAY_S, alias="cancelled", description="Runs that were cancelled.")


class Retention(Ages):
    """How long what has ended is kept: `90d`, `12h`, or `forever`. What is open stays, however old."""

    events_s: Age = Field(default=30 * DAY_S, alias="events", description="Events, counted from when they came.")
    quarantine_s: Age = Field(
        default=365 * DAY_S, alias="quarantine", description="Rows of batches that were set aside."
    )
    sessions_s: Age = Field(
        default=90 * DAY_S,
        alias="sessions",
        description="Conversations of agents, counted from when one was last used.",
    )
    workflows: dict[str, Ages] = Field(
        default_factory=dict,
        description="Workflow → ages of its own runs, all three of them: what is not said is the default.",
    )


_MODELS = {"default": Model(provider="playbook")}


class Settings(Setting):
    """A project's `orchestrion.yaml`. Everything has a default, so an empty file is a project."""

    model_config = ConfigDict(title="orchestrion.yaml")

    name: str | None = Field(
        default=None, min_length=1, description="What the project is called; its folder's name by default."
    )
    store: Location = Field(
        default=".orchestrion/orchestrion.db",
        description="Where runs are kept: a file relative to the project's folder, or a URL such as `postgresql://user@host/database`.",
    )
    blobs: str | None = Field(
        default=None,
        min_length=1,
        description="Where values beyond 256 KiB are kept: a folder relative to the project's, or a URL that fsspec knows. By default beside a SQLite file, and in `.orchestrion/blobs` for PostgreSQL.",
    )
    egress: Egress = Field(default_factory=Egress, description="What may be reached over the network.")
    processes: Processes = Field(default_factory=Processes, description="Programs that may be started.")
    connections: dict[Name, Connection] = Field(default_factory=dict, description="Databases for `query`, by name.")
    models: dict[Name, Annotated[Model, BeforeValidator(_as_details, json_schema_input_type=str | Model)]] = Field(
        default_factory=lambda: dict(_MODELS),
        description="Models by name: a provider string such as `playbook` or `openai:gpt-5.2`, or details. `default` is used where none is named.",
    )
    secrets: dict[Name, Annotated[Secret, BeforeValidator(_not_in_clear, json_schema_input_type=Secret)]] = Field(
        default_factory=dict, description="Secrets by name, by reference only."
    )
    roles: tuple[str, ...] = Field(
        default=(),
        description="Who may approve, in order of increasing power: each may approve what those before it may.",
    )
    users: dict[str, tuple[str, ...]] = Field(default_factory=dict, description="User → roles.")
    routers: dict[Name, Router] = Field(default_factory=dict, description="Classifiers for `route`, by name.")
    knowledge: dict[Name, KnowledgeBase] = Field(
        default_factory=dict,
        description="Folders in `knowledge/`, by name, where the defaults do not do; `default` is the folder itself.",
    )
    mcp: dict[Name, McpServer] = Field(default_factory=dict, description="MCP servers, by name.")
    mail: MailServer | None = Field(default=None, description="The server that `mail` hands mail to.")
    guards: dict[Name, GuardPolicy] = Field(default_factory=dict, description="What `guard` checks, by name.")
    batches: dict[str, Batch] = Field(
        default_factory=dict, description="Workflow → how the columns of a file become its input in `run --each`."
    )
    folders: dict[Name, Folder] = Field(
        default_factory=dict,
        description="Folders to watch, by name: each file that arrives is an event of the source `/folders/NAME`.",
    )
    limits: Limits = Field(default_factory=Limits, description="How much at once, and how much at most.")
    server: Server = Field(default_factory=Server, description="Where people and programs reach the platform.")
    webhooks: dict[Name, Webhook] = Field(
        default_factory=dict, description="What other systems may tell, by name: each at `/hooks/NAME`."
    )
    telemetry: Telemetry | None = Field(
        default=None, description="Where OpenTelemetry spans go. Nothing is sent anywhere unless this is set."
    )
    lifecycle: bool = Field(
        default=False,
        description="Whether runs tell of their beginning and end as CloudEvents, for workflows that listen for them.",
    )
    alerts: dict[Name, AlertRule] = Field(
        default_factory=dict, description="What is out of bounds, by name, and the workflow that tells somebody."
    )
    retention: Retention = Field(default_factory=Retention, description="How long what has ended is kept.")


def settings_schema() -> dict[str, Json]:
    """The JSON Schema of `orchestrion.yaml`, for editors."""
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **Settings.model_json_schema(by_alias=True)}
