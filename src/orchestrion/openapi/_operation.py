"""What an operation is: enough to validate its arguments, to make its request, and to judge its answer."""

from collections.abc import Mapping
from typing import Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, JsonValue

Location: TypeAlias = Literal["path", "query", "header", "cookie"]
Style: TypeAlias = Literal[
    "simple", "label", "matrix", "form", "spaceDelimited", "pipeDelimited", "tabDelimited", "deepObject"
]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Parameter(_Part):
    """One parameter, and how its value is written. Source: OpenAPI 3.1.1, "Style Values"."""

    argument: str
    """What callers call it: its name, with its place before it where two have the same (`header_id`)."""
    name: str
    location: Location
    style: Style
    explode: bool
    allow_reserved: bool = False
    as_json: bool = False
    """Its value is written as JSON text (`content: application/json`)."""


class Body(_Part):
    """The request's body."""

    argument: str | None = None
    """None: its fields are arguments of their own, as in a Swagger form."""
    fields: tuple[str, ...] = ()
    media_type: str = "application/json"
    binary: tuple[str, ...] = ()
    """Fields that hold bytes, given as base64; `""` is the whole body."""


class Scheme(_Part):
    """How one security scheme wants to be satisfied."""

    name: str
    kind: Literal["basic", "bearer", "apiKey", "oauth2", "other"]
    location: Literal["query", "header", "cookie", ""] = ""
    parameter: str = ""
    """The name of the header, query parameter or cookie that carries an API key."""


class Variable(_Part):
    """A variable of the server's address."""

    default: str
    allowed: tuple[str, ...] = ()
    """Empty: any name without a mark that would change the address."""


class Origin(_Part):
    """The document an operation was read from."""

    title: str = ""
    version: str = ""
    digest: str
    """SHA-256 of its text, in hexadecimal."""


class Operation(_Part):
    """One operation of a document."""

    id: str
    method: str
    """Lower case."""
    address: str
    """Absolute, with `{name}` for path parameters and server variables."""
    description: str = ""
    parameters: tuple[Parameter, ...] = ()
    body: Body | None = None
    arguments: Mapping[str, JsonValue] = Field(default_factory=dict)
    """JSON Schema of all arguments, by their names here."""
    variables: Mapping[str, Variable] = Field(default_factory=dict)
    """Server variables. Given as arguments they take another value."""
    responses: Mapping[str, JsonValue] = Field(default_factory=dict)
    """`200`, `2XX` or `default` → JSON Schema of the content."""
    accepts: str = ""
    """Media types that answers may have."""
    schemes: tuple[tuple[Scheme, ...], ...] = ()
    """Alternatives, each of several schemes that hold together; an empty alternative needs none."""
    idempotent: bool | None = None
    """What the document says of repeating it; None when it says nothing."""
    origin: Origin
