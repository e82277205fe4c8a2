"""Playbook files: text in, a playbook and findings out."""

from collections.abc import Sequence
from dataclasses import dataclass

from orchestrion.core import Json
from orchestrion.spec import Finding, Source, editor_schema, finding_at, parse_yaml, to_json

from ._playbook import Flaw, Playbook, Surroundings, parse_playbook
from ._playbook_check import check_playbook

BAD_PLAYBOOK = "bad-playbook"


@dataclass(frozen=True, slots=True, kw_only=True)
class PlaybookFile:
    """A playbook and the text it was read from, so that what does not fit an agent can be shown at its place."""

    playbook: Playbook
    source: Source

    def check(self, around: Surroundings) -> list[Finding]:
        """Everything that cannot work for an agent with these surroundings."""
        return findings_of(self.source, check_playbook(self.playbook, around), BAD_PLAYBOOK)


def read_playbook(text: str | bytes, *, file: str, name: str) -> tuple[PlaybookFile | None, list[Finding]]:
    """A playbook of a file, and what is wrong with it. What depends on the agent that uses it is checked by `check`."""
    source, findings = parse_yaml(text, file=file)
    if source is None:
        return None, findings
    parsed = parse_playbook(to_json(source.root), name=name)
    if not isinstance(parsed, Playbook):
        return None, [*findings, *findings_of(source, parsed, BAD_PLAYBOOK)]
    flaws = findings_of(source, check_playbook(parsed, None), BAD_PLAYBOOK)
    return PlaybookFile(playbook=parsed, source=source), [*findings, *flaws]


def findings_of(source: Source, flaws: Sequence[Flaw], code: str) -> list[Finding]:
    """Flaws at their lines."""
    return [
        finding_at(source, each.pointer, code, each.message, hint=each.hint, key=each.key, severity=each.severity)
        for each in flaws
    ]


def playbook_schema() -> dict[str, Json]:
    """JSON Schema of a playbook file, for editors."""
    return editor_schema(Playbook)
