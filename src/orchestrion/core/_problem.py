"""Problem details: the one shape of a failure, in journals, on the command line and over HTTP."""

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict

_BASE = "https://open-workflow-specification.org/spec/1.0.0/errors/"

ERROR_TYPES: Mapping[str, str] = {
    name: _BASE + name
    for name in (
        "configuration",
        "validation",
        "expression",
        "authentication",
        "authorization",
        "timeout",
        "communication",
        "runtime",
    )
}
"""The workflow language's standard error types. Source: Open Workflow Specification, DSL reference, "Standard error types"."""

INTERRUPTED = "urn:orchestrion:problem:interrupted"
"""A call was begun, and the process died before its outcome was known."""

_OLD_HOSTS = ("https://open-workflow-specification.org", "https://serverlessworkflow.io")
_OLD_PATHS = ("/spec/1.0.0/errors/", "/dsl/errors/types/", "/errors/types/")


def canonical_error_type(uri: str) -> str:
    """The canonical form of an error type: older hosts and paths of the standard's own types compare equal."""
    for host in _OLD_HOSTS:
        for path in _OLD_PATHS:
            if uri.startswith(host + path) and uri[len(host + path) :] in ERROR_TYPES:
                return ERROR_TYPES[uri[len(host + path) :]]
    return uri


class Problem(BaseModel):
    """Problem details (RFC 9457), with a stable `code` and a `hint` that says what to do next.

    `instance` is the JSON pointer of the task in its document. Customer text and secrets never stand in it.
    """

    model_config = ConfigDict(frozen=True, extra="allow")

    type: str
    status: int
    title: str = ""
    detail: str | None = None
    instance: str | None = None
    code: str | None = None
    hint: str | None = None

    def at(self, instance: str) -> "Problem":
        """The same problem with its place, unless it has one."""
        return self if self.instance else self.model_copy(update={"instance": instance})

    def to_json(self) -> dict[str, Any]:
        """A plain JSON object without empty members."""
        return {
            name: value for name, value in self.model_dump(mode="json").items() if value is not None and value != ""
        }
