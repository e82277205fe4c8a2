"""Agents and teams by themselves: a workflow of one call for each, so that whoever talks to them starts a run like any other."""

import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Literal

from orchestrion.agents import AgentDefinition, TeamDefinition, team_tree
from orchestrion.core import Json, UserError, dump
from orchestrion.functions import HISTORY, SESSION
from orchestrion.spec import Document, read

_UNFIT = re.compile(r"[^a-z0-9]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Talk:
    """An agent or a team as a workflow: `agents/NAME` or `teams/NAME`."""

    document: Document
    kind: Literal["agent", "team"]
    input: Mapping[str, Json]
    """JSON Schema of what it is given: `input` of the run's input."""
    output: Mapping[str, Json] | None
    """JSON Schema of what it gives; None where that depends."""


def talks_of(agents: Mapping[str, AgentDefinition], teams: Mapping[str, TeamDefinition]) -> Iterator[Talk]:
    """Those that can be a workflow: of two whose names differ in case or underscores only, the first."""
    known = set[str]()
    for name, agent in agents.items():
        talk = _talk("agent", name, agent.description, agent.input, agent.answer_fields)
        if talk is not None and talk.document.id not in known:
            known.add(talk.document.id)
            yield talk
    for name, team in teams.items():
        with suppress(UserError):  # a team of members that are not there is a finding of its file
            lead = team_tree(team, agents, teams).agent
            talk = _talk("team", name, team.description, lead.input, None)
            if talk is not None and talk.document.id not in known:
                known.add(talk.document.id)
                yield talk


def _talk(
    kind: Literal["agent", "team"],
    name: str,
    description: str,
    given: Mapping[str, Json],
    output: Mapping[str, Json] | None,
) -> Talk | None:
    schema: Json = {
        "type": "object",
        "required": ["input"],
        "additionalProperties": False,
        # with an `$id` of its own, what the schema refers to is looked for in it
        "properties": {"input": {"$id": f"urn:input:{kind}:{name}", **given}, "session": SESSION, "history": HISTORY},
    }
    text = f"""\
document:
  dsl: '1.0.3'
  namespace: {kind}s
  name: {_UNFIT.sub("-", name.lower()).strip("-")}
  version: '1.0.0'
  summary: {dump(description or f"Talks with the {kind} {name}.")}
  metadata: {{ labels: {{ /input: [untrusted], /history: [untrusted] }} }}
input: {{ schema: {{ document: {dump(schema)} }} }}
do:
  - answer:
      call: {kind}:1.0.0@default
      with: {{ {kind}: {dump(name)}, input: '${{ .input }}', session: '${{ .session }}', history: '${{ .history }}' }}
"""
    document = read(text, file=f"{kind}s/{name}").document
    return Talk(document=document, kind=kind, input=given, output=output) if document is not None else None
