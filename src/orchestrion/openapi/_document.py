"""A document: read once, its operations found by name."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from functools import lru_cache
from hashlib import sha256
from typing import Literal

from pydantic import ValidationError

from orchestrion.core import Json, UserError

from ._modern import modern_operation
from ._operation import Operation, Origin
from ._schema import resolved
from ._swagger import swagger_operation
from ._text import parsed

Dialect = Literal["2.0", "3.0", "3.1"]

_METHODS = ("get", "put", "post", "delete", "options", "head", "patch")


@dataclass(frozen=True, slots=True, kw_only=True)
class Api:
    """What a document describes."""

    origin: Origin
    dialect: Dialect
    places: Mapping[str, tuple[str, str]]
    """Operation → its path and method. One without an id is called `get /pets/{petId}`."""
    root: Mapping[str, Json]
    base: str
    """Where the document was found, if it has an address: relative servers start there."""

    def operation(self, name: str) -> Operation:
        """The operation of that `operationId`, or `method /path`.

        Raises: UserError `unknown-operation` with near names and what there is; `bad-reference`, `no-server`, `bad-api-document`.
        """
        wanted = name if name in self.places else _as_place(name)
        if wanted not in self.places:
            near = get_close_matches(name, self.places, n=3, cutoff=0.5)
            listed = ", ".join(list(self.places)[:12]) + ("…" if len(self.places) > 12 else "")
            meant = " or ".join(repr(each) for each in near)
            raise UserError(
                "unknown-operation",
                f"{self.origin.title or 'The document'} {self.origin.version} has no operation {name!r}.",
                hint=f"Did you mean {meant}?" if near else f"It has: {listed or 'none'}.",
            )
        path, method = self.places[wanted]
        try:
            if self.dialect == "2.0":
                return swagger_operation(self.root, path, method, name=wanted, base=self.base, origin=self.origin)
            return modern_operation(
                self.root, path, method, name=wanted, base=self.base, origin=self.origin, dialect=self.dialect
            )
        except RecursionError:
            raise _bad(f"{method.upper()} {path} is nested too deeply.") from None
        except ValidationError as error:
            place = ".".join(str(step) for step in error.errors()[0]["loc"])
            raise _bad(f"{method.upper()} {path} is not described as it should be, at {place!r}.") from None
        except UserError as error:
            raise UserError(error.code, f"{method.upper()} {path}: {error.message}", hint=error.hint) from None


@lru_cache(maxsize=32)
def read_api(text: bytes, *, base: str = "") -> Api:
    """The document of a JSON or YAML text. `base` is the address it was found at. The last ones read are kept.

    Raises: UserError `bad-api-document` for what is not an OpenAPI document, or not of a version known here.
    """
    try:
        root = parsed(text)
    except ValueError as error:
        raise _bad(f"{str(error).capitalize()}.") from None
    if not isinstance(root, Mapping) or not isinstance(root.get("paths"), Mapping):
        raise _bad("It has no `paths`.")
    info = resolved(root, root.get("info"))
    origin = Origin(
        title=str(info.get("title", "")), version=str(info.get("version", "")), digest=sha256(text).hexdigest()
    )
    places: dict[str, tuple[str, str]] = {}
    for name, place in _places(root):
        if name in places:
            raise _bad(f"Two operations are called {name!r}.")
        places[name] = place
    return Api(origin=origin, dialect=_dialect(root), places=places, root=root, base=base)


def is_address(place: str) -> bool:
    """Whether a document is somewhere on the network, and not a file."""
    return re.match(r"(?i:https?)://", place) is not None


def _dialect(root: Mapping[str, Json]) -> Dialect:
    version = str(root.get("swagger") or root.get("openapi") or "")
    for known in ("2.0", "3.0", "3.1"):
        if version == known or version.startswith(known + "."):
            return known
    raise _bad(f"Its version is {version!r}.")


def _places(root: Mapping[str, Json]) -> Iterator[tuple[str, tuple[str, str]]]:
    for path, item in resolved(root, root.get("paths")).items():
        for method, declared in resolved(root, item).items():
            if method in _METHODS and isinstance(declared, Mapping):
                yield str(declared.get("operationId") or f"{method} {path}"), (path, method)


def _as_place(name: str) -> str:
    method, _, path = name.partition(" ")
    return f"{method.lower()} {path.strip()}"


def _bad(why: str) -> UserError:
    return UserError(
        "bad-api-document",
        f"This is not an OpenAPI document that can be used. {why}",
        hint="Swagger 2.0, OpenAPI 3.0 and OpenAPI 3.1 can, in JSON or YAML.",
    )
