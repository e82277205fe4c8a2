"""Settings text in, settings and findings out."""

from collections.abc import Iterator, Mapping, Sequence
from difflib import get_close_matches
from functools import cache
from typing import Any, cast

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from orchestrion.core import Json, dump
from orchestrion.spec import Finding, Source, finding_at, parse_yaml, to_json

from ._setting import SecretReference
from ._settings import Settings, settings_schema

_MAX_SHOWN = 60
_SENSITIVE = {"secrets", "key", "url", "store", "secret"}


def read_settings(text: str | bytes, *, file: str) -> tuple[Settings | None, Source | None, list[Finding]]:
    """The settings of a text as far as they can be read, its places, and everything that is wrong with it.

    Settings with findings are not to be used. An empty text means all defaults.
    """
    source, findings = parse_yaml(text, file=file)
    if source is None:
        return (Settings(), None, []) if [each.code for each in findings] == ["empty"] else (None, None, findings)
    if findings:
        return None, source, findings
    value = to_json(source.root)
    try:
        settings = Settings.model_validate_json(dump(value), strict=True)
    except ValidationError as error:
        return None, source, _all_findings(source, value, error)
    return settings, source, _bad_references(source, settings)


def _all_findings(source: Source, value: Json, error: ValidationError) -> list[Finding]:
    found = [_finding(source, value, each) for each in error.errors(include_url=False)]
    return sorted(set(found), key=lambda each: (each.line, each.column))


def _finding(source: Source, value: Json, error: ErrorDetails) -> Finding:
    """One of pydantic's errors at its place, its value shown unless it may be a secret."""
    steps, kind = _steps(value, error["loc"]), error["type"]
    name = str(error["loc"][-1]) if error["loc"] else ""
    message, hint = f"{_dotted(steps)}: {error['msg']}.", cast("Mapping[str, Any]", error.get("ctx", {})).get("hint")
    code = kind if hint else "bad-setting"
    if kind == "extra_forbidden":
        message, hint, code = f"`{name}` is not a setting.", _near(name, _known_at(steps[:-1])), "unknown-setting"
    elif kind == "missing":
        message, hint, code = f"{_dotted([*steps, name])} is missing.", f"Add `{name}:`.", "missing-setting"
    elif name == "[key]":
        message, hint = f"{_shown(error['input'])} is not a name.", "Use letters, digits, - and _, a letter first."
    elif not _SENSITIVE & set(steps):
        message += f" It is {_shown(error['input'])}."
    pointer = "".join(f"/{_escaped(step)}" for step in steps)
    return finding_at(source, pointer, code, message, hint=hint, key=kind == "extra_forbidden" or name == "[key]")


def _dotted(steps: Sequence[str]) -> str:
    """A place as people write it: `egress.allow[0]`."""
    name = "".join(f"[{step}]" if step.isdigit() else f".{step}" for step in steps)
    return f"`{name.removeprefix('.')}`" if name else "The file"


def _steps(value: Json, location: Sequence[int | str]) -> list[str]:
    """The part of pydantic's location that exists in the document; it also names alternatives and `[key]`."""
    steps: list[str] = []
    for step in location:
        match value, step:
            case Mapping(), str() if step in value:
                value = value[step]
            case [*items], int() if step < len(items):
                value = items[step]
            case _:
                continue
        steps.append(str(step))
    return steps


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= _MAX_SHOWN else text[: _MAX_SHOWN - 1] + "…"


def _known_at(steps: Sequence[str]) -> list[str]:
    """The settings that exist at a place, by the schema."""
    schema = _schema()
    definitions = cast("Mapping[str, Mapping[str, Any]]", schema["$defs"])

    def objects(node: Mapping[str, Any]) -> list[Mapping[str, Any]]:
        if "$ref" in node:
            return objects(definitions[str(node["$ref"]).rpartition("/")[2]])
        alternatives = cast("Sequence[Mapping[str, Any]]", node.get("anyOf", ()))
        return [node, *(inner for each in alternatives for inner in objects(each))]

    at = objects(cast("Mapping[str, Any]", schema))
    for step in steps:
        inner = [schema for each in at for schema in (each.get("properties", {}).get(step), *_entries(each))]
        at = [found for each in inner if isinstance(each, dict) for found in objects(cast("Mapping[str, Any]", each))]
    return [name for each in at for name in each.get("properties", {})]


@cache
def _schema() -> dict[str, Json]:
    return settings_schema()


def _entries(schema: Mapping[str, Any]) -> list[object]:
    """The schemas of an object's entries whose names are free."""
    return [schema.get("additionalProperties"), *schema.get("patternProperties", {}).values()]


def _near(name: str, known: Sequence[str]) -> str:
    near = get_close_matches(name, known, n=1)
    listed = ", ".join(sorted(set(known)))
    return f"Did you mean {near[0]!r}?" if near else f"There are: {listed}." if listed else "There are none."


def _bad_references(source: Source, settings: Settings) -> list[Finding]:
    """Names that refer to nothing: secrets, roles, models."""
    found: list[Finding] = []

    def check(pointer: str, what: str, name: str, known: Sequence[str]) -> None:
        if name not in known:
            hint = _near(name, known)
            found.append(finding_at(source, pointer, f"unknown-{what}", f"There is no {what} {name!r}.", hint=hint))

    for pointer, name in _secrets_named(settings):
        check(pointer, "secret", name, list(settings.secrets))
    for user, roles in settings.users.items():
        for index, role in enumerate(roles):
            check(f"/users/{_escaped(user)}/{index}", "role", role, settings.roles)
    for model, details in settings.models.items():
        for field, named in (("fallback", details.fallback), ("successors", details.successors)):
            for index, name in enumerate(named):
                if ":" not in name and name != "playbook":
                    check(f"/models/{_escaped(model)}/{field}/{index}", "model", name, list(settings.models))
    for user in settings.server.notify if settings.users else ():
        check(f"/server/notify/{_escaped(user)}", "user", user, list(settings.users))
    found += _without_use(source, settings)
    return sorted(found, key=lambda each: (each.line, each.column))


def _without_use(source: Source, settings: Settings) -> list[Finding]:
    """What is said and cannot have an effect: commands that may not be started, roles said twice, notices without a way out."""
    found: list[Finding] = []
    for name, server in settings.mcp.items():
        if server.command is not None and server.command not in settings.processes.allow:
            hint = f"If it may be started, add {list(server.command)!r} to `processes.allow`, word for word."
            message = f"The command of the MCP server {name!r} is not allowed."
            found.append(finding_at(source, f"/mcp/{_escaped(name)}/command", "process-refused", message, hint=hint))
    for index, role in enumerate(settings.roles):
        if role in settings.roles[:index]:
            hint = "Each role stands once; their order is their power."
            found.append(
                finding_at(source, f"/roles/{index}", "repeated-role", f"Role {role!r} stands here twice.", hint=hint)
            )
    if settings.server.notify and settings.mail is None:
        hint = "Write `mail: { server: smtp.example.com, from: desk@example.com }`."
        message = "Notices go by mail, and the project says no server that takes it."
        found.append(finding_at(source, "/server/notify", "no-mail-server", message, hint=hint))
    return found


def _secrets_named(settings: Settings) -> Iterator[tuple[str, str]]:
    """Every `{secret: NAME}`: its pointer and name."""
    places: list[tuple[str, object]] = [("/store", settings.store)]
    places += [(f"/connections/{name}/url", each.url) for name, each in settings.connections.items()]
    places += [(f"/models/{name}/key", each.key) for name, each in settings.models.items()]
    places += [(f"/webhooks/{name}/secret", each.secret) for name, each in settings.webhooks.items()]
    if settings.mail is not None:
        places.append(("/mail/password", settings.mail.password))
    for pointer, value in places:
        if isinstance(value, SecretReference):
            yield f"{pointer}/secret", value.secret
    for name, server in settings.mcp.items():
        for variable, value in server.environment.items():
            if isinstance(value, SecretReference):
                yield f"/mcp/{name}/environment/{variable}/secret", value.secret
        for scheme, given in (server.authentication or {}).items():
            yield f"/mcp/{name}/authentication/{scheme}/use", given["use"]


def _escaped(step: str) -> str:
    return step.replace("~", "~0").replace("/", "~1")
