"""Claims: what an answer says has happened, each with the result that proves it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import cast

from pydantic import JsonValue

from orchestrion.core import Json


@dataclass(frozen=True, slots=True, kw_only=True)
class Proof:
    """A tool's result that may be cited."""

    tool: str
    status: str
    key: str
    """Its entry in the journal."""


def claims_schema(kinds: Sequence[str]) -> JsonValue:
    """JSON Schema of an answer's claims, which may be none."""
    return {
        "type": "array",
        "description": "Everything the answer says has happened, each with the id of the tool result that proves it.",
        "items": {
            "type": "object",
            "required": ["kind", "entry"],
            "properties": {
                "kind": {"enum": list(kinds)},
                "entry": {"type": "string", "description": "The id of a tool result, such as tool/1."},
            },
        },
    }


def unproven(claims: Json, provers: Mapping[str, str], proofs: Mapping[str, Proof]) -> list[str]:
    """What is wrong with claims, in words for whoever made them."""
    wrong: list[str] = []
    for claim in _listed(claims):
        kind, entry = str(claim.get("kind")), str(claim.get("entry"))
        tool, proof = provers[kind], proofs.get(entry)
        if proof is None:
            known = [name for name, each in proofs.items() if each.tool == tool and each.status == "done"]
            cited = ", ".join(sorted(known, key=lambda name: int(name.partition("/")[2])))
            wrong.append(f"{kind!r} cites {entry!r}, which does not exist; results of {tool!r}: {cited or 'none'}")
        elif proof.tool != tool:
            wrong.append(f"{kind!r} cites {entry!r}, a result of {proof.tool!r}; only {tool!r} proves it")
        elif proof.status != "done":
            wrong.append(f"{kind!r} cites {entry!r}, where {tool!r} {_ENDED[proof.status]}")
    return wrong


def proven(answer: Json, proofs: Mapping[str, Proof]) -> list[Json]:
    """The claims of a checked answer, with the journal's entries behind them."""
    claims = _listed(answer.get("claims")) if isinstance(answer, Mapping) else []
    return [
        {**claim, "tool": proofs[str(claim["entry"])].tool, "key": proofs[str(claim["entry"])].key} for claim in claims
    ]


def _listed(claims: Json) -> list[Mapping[str, Json]]:
    return [cast("Mapping[str, Json]", each) for each in claims] if isinstance(claims, list | tuple) else []


_ENDED = {"refused": "was refused", "failed": "failed"}
