"""`retrieve`: passages of the project's documents, with their sources."""

from collections.abc import Mapping
from typing import cast

from anyio import to_thread

from orchestrion.core import Datum, Declaration, Invocation, Json, LeafContext, Nature, Outcome
from orchestrion.knowledge import Knowledge, Passage

from ._naming import naming
from ._schema import arguments_of

_DECLARATION = Declaration(
    name="retrieve",
    version="1.0.0",
    title="Find passages in documents",
    description=(
        "Gives the passages of a knowledge base - documents in the project's folder `knowledge` - that fit a question best, each "
        "with its source to cite. By the words they share with it, and where the base says so by meaning. What has changed in "
        "the folder is read first. No language model is asked."
    ),
    input_schema={
        "type": "object",
        "required": ["query"],
        "additionalProperties": False,
        "properties": {
            "knowledge": {
                "type": "string",
                "minLength": 1,
                "default": "default",
                "description": "A folder in `knowledge`; `default` is the files that stand in it directly.",
            },
            "query": {"type": "string", "maxLength": 4000, "description": "The question, or some words."},
            "k": {
                "type": "integer",
                "minimum": 1,
                "maximum": 50,
                "default": 5,
                "description": "How many passages there may be.",
            },
        },
    },
    output_schema={
        "type": "object",
        "required": ["passages", "index"],
        "properties": {
            "passages": {
                "type": "array",
                "description": "The best first; none when nothing fits.",
                "items": {
                    "type": "object",
                    "required": ["id", "text", "cite", "source", "score"],
                    "properties": {
                        "id": {"type": "string"},
                        "text": {"type": "string"},
                        "cite": {"type": "string"},
                        "source": {
                            "type": "object",
                            "required": ["file", "heading", "page", "row", "lines"],
                            "properties": {
                                "file": {"type": "string"},
                                "heading": {"type": ["string", "null"]},
                                "page": {"type": ["integer", "null"]},
                                "row": {"type": ["integer", "null"]},
                                "lines": {"type": ["array", "null"], "items": {"type": "integer"}},
                            },
                        },
                        "score": {"type": "number"},
                    },
                },
            },
            "index": {"type": "string", "description": "Digest of the documents that were asked."},
        },
    },
    effect="read",
    idempotent=True,
)


class Retrieve:
    """A leaf that reads the project's documents."""

    def __init__(self, knowledge: Knowledge) -> None:
        self._knowledge = knowledge
        self._declaration = naming(_DECLARATION, "knowledge", knowledge.bases or ["default"])

    @property
    def declaration(self) -> Declaration:
        return self._declaration

    def nature(self, arguments: Mapping[str, Json]) -> Nature:
        return Nature(effect="read", idempotent=True, resource=("Function", "retrieve"))

    async def perform(self, invocation: Invocation, context: LeafContext) -> Outcome:
        """Raises: UserError `unknown-knowledge`, and as `Knowledge.search` does."""
        arguments = arguments_of(_DECLARATION, invocation.arguments.value)
        return await to_thread.run_sync(self._retrieve, arguments)

    def _retrieve(self, arguments: Mapping[str, Json]) -> Outcome:
        base = cast("str", arguments.get("knowledge", "default"))
        found = self._knowledge.search(base, cast("str", arguments["query"]), cast("int", arguments.get("k", 5)))
        passages: list[Json] = [_told(passage, score) for passage, score in found.passages]
        why: dict[str, Json] = {
            "answered_by": "words and meaning" if found.by_meaning else "words",
            "knowledge": base,
            "index": found.digest,
            "passages": [passage.cite for passage, _ in found.passages],
            "unreadable_files": found.problems,
        }
        output = Datum(
            {"passages": passages, "index": found.digest}, {"/passages": found.labels} if found.labels else {}
        )
        return Outcome(output=output, model=f"knowledge:{base}@{found.digest[:12]}", why=why)


def _told(passage: Passage, score: float) -> Json:
    return {
        "id": passage.id,
        "text": passage.text,
        "cite": passage.cite,
        "source": passage.source(),
        "score": score,
    }
