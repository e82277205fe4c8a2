"""What a bundle is: everything that decides how runs of one workflow behave, by digest."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import cast

from orchestrion.core import Json, digest


@dataclass(frozen=True, kw_only=True)
class Bundle:
    """Immutable: another digest of any piece is another bundle."""

    workflow: str
    """`namespace/name`."""
    version: str
    """What the workflow's document calls its version. Two bundles may share it: an agent can change while the document stays."""
    document: str
    """Digest of the workflow's document."""
    pieces: Mapping[str, str] = field(hash=False)
    """Piece → digest of its content. A piece is a file by its path (`agents/billing.yaml`), a workflow
    (`workflows/support/triage`), a setting (`settings/models/fast`) or a function of the release (`functions/http:1.0.0`)."""
    nameable: Json = field(default=None, hash=False, compare=False, repr=False)
    """What policies could name when it was kept. They speak of the whole project, so it takes no part in the digest."""

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the workflow's name and all pieces, in hexadecimal."""
        return digest([self.workflow, dict(self.pieces)])

    def to_json(self) -> Json:
        return {
            "workflow": self.workflow,
            "version": self.version,
            "document": self.document,
            "pieces": dict(sorted(self.pieces.items())),
            "nameable": self.nameable,
        }

    @classmethod
    def from_json(cls, value: Json) -> "Bundle":
        said = cast("Mapping[str, Json]", value)
        return cls(
            workflow=str(said["workflow"]),
            version=str(said["version"]),
            document=str(said["document"]),
            pieces=cast("Mapping[str, str]", said["pieces"]),
            nameable=said["nameable"],
        )


def short(bundle: str) -> str:
    """How people write a bundle's digest: its beginning, which commands take as well."""
    return bundle[:12]


def is_called(workflow: str, name: str) -> bool:
    """Whether people mean this workflow by a name: all of `namespace/name`, or the name alone."""
    return name in {workflow, workflow.partition("/")[2]}


def bundle_of(versions: Json) -> str | None:
    """The digest of the bundle that a run names in its `versions`; None for a run of a release that had none."""
    found = versions.get("bundle") if isinstance(versions, Mapping) else None
    return found if isinstance(found, str) else None
