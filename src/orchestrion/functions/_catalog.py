"""The functions a workflow may call, by name and version, and their documentation."""

import difflib
from collections.abc import Iterable, Mapping

from orchestrion.core import Declaration, Function, Json, UserError, dump

from ._installed import Installed


class DefaultCatalog:
    """A set of functions, and those of installed packages once they are named; a bare name means its highest version."""

    def __init__(self, functions: Iterable[Function]) -> None:
        """Raises: UserError `duplicate-function` when two have the same name and version."""
        self._by_id: dict[str, Function] = {}
        self._latest: dict[str, Function] = {}
        for function in functions:
            if function.declaration.id in self._by_id:
                raise UserError("duplicate-function", f"Two functions are called {function.declaration.id!r}.")
            self._add(function)
        self.installed = Installed(self._latest.copy())

    def resolve(self, name: str) -> Function:
        """The function of `name` or `name:version`.

        Raises: UserError `unknown-function` naming near ones; `broken-function`, `function-clash` for those of packages.
        """
        if name not in self._by_id:
            for offer in self.installed.find(name):
                if offer.id not in self._by_id:
                    self._add(offer.load())
        function = self._by_id.get(name) or self._latest.get(name)
        if function is None:
            raise UserError("unknown-function", f"There is no function {name!r}.", hint=self._suggestion(name))
        return function

    def _add(self, function: Function) -> None:
        declaration = function.declaration
        self._by_id[declaration.id] = function
        latest = self._latest.get(declaration.name)
        if latest is None or _ordered(declaration.version) > _ordered(latest.declaration.version):
            self._latest[declaration.name] = function

    def declarations(self) -> Iterable[Declaration]:
        """All that are known so far, by name and version."""
        found = [function.declaration for function in self._by_id.values()]
        return sorted(found, key=lambda declaration: (declaration.name, _ordered(declaration.version)))

    def _suggestion(self, name: str) -> str:
        bare = name.partition(":")[0]
        versions = [known for known in self._by_id if known.partition(":")[0] == bare]
        near = versions or [
            self._latest[close].declaration.id for close in difflib.get_close_matches(bare, self._latest)
        ]
        if near:
            return f"Did you mean {' or '.join(repr(known) for known in near)}?"
        return f"There are: {', '.join(sorted(self._by_id)) or 'none'}."


def _ordered(version: str) -> tuple[tuple[int, str], ...]:
    return tuple((int(part), "") if part.isdigit() else (-1, part) for part in version.split("."))


def documentation(declaration: Declaration) -> str:
    """Markdown about a function, from what it declares."""
    lines = [
        f"## {declaration.title}",
        "",
        f"`call: {declaration.id}@default`",
        "",
        declaration.description,
        "",
        f"*Effect:* {_EFFECTS[declaration.effect]} {_REPEATS[declaration.idempotent]}",
        "",
        "### `with`",
        "",
        *_fields(declaration.input_schema),
        "",
        "### Output",
        "",
        *_fields(declaration.output_schema),
    ]
    return "\n".join(lines) + "\n"


_EFFECTS = {
    "none": "computes within the platform.",
    "read": "asks the outside without changing it.",
    "write": "may change the outside.",
}
_REPEATS = {True: "Repeating it is harmless.", False: "It is not repeated on its own after a crash."}


def _fields(schema: Mapping[str, Json]) -> list[str]:
    properties = schema.get("properties")
    if not isinstance(properties, Mapping) or not properties:
        return [_sentence(schema)]
    required = schema.get("required")
    needed = set(required) if isinstance(required, list | tuple) else set[Json]()
    rows = [
        f"| `{name}` | {_kind(field)} | {'yes' if name in needed else 'no'} | {_text(field)} |"
        for name, field in properties.items()
    ]
    return ["| field | type | required | meaning |", "| --- | --- | --- | --- |", *rows]


def _sentence(schema: Mapping[str, Json]) -> str:
    return f"{_kind(schema).capitalize()}. {_text(schema)}".strip()


def _kind(schema: Json) -> str:
    """A field's type in a few words."""
    if not isinstance(schema, Mapping):
        return "any value"
    if isinstance(options := schema.get("enum"), list | tuple):
        return " or ".join(f"`{dump(option)}`" for option in options)
    for keyword in ("oneOf", "anyOf"):
        if isinstance(several := schema.get(keyword), list | tuple):
            return " or ".join(dict.fromkeys(_kind(one) for one in several))
    match schema.get("type"):
        case "array":
            return f"list of {_kind(schema.get('items'))}"
        case str(name):
            return name
        case [*names]:
            return " or ".join(str(name) for name in names)
        case _:
            return "any value"


def _text(schema: Json) -> str:
    if not isinstance(schema, Mapping):
        return ""
    description = schema.get("description")
    text = description.replace("|", "\\|").replace("\n", " ") if isinstance(description, str) else ""
    if "default" in schema:
        text = f"{text} Default: `{dump(schema['default'])}`.".strip()
    return text
