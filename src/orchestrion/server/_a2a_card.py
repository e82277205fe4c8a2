"""Agent cards: what the project offers other agents, and where."""

from collections.abc import Mapping, Sequence
from typing import cast

from a2a.server.request_handlers.response_helpers import agent_card_to_dict
from a2a.types.a2a_pb2 import (
    AgentCapabilities,
    AgentCard,
    AgentExtension,
    AgentInterface,
    AgentSkill,
    HTTPAuthSecurityScheme,
    SecurityRequirement,
    SecurityScheme,
    StringList,
)
from a2a.utils.constants import TransportProtocol

from orchestrion import __version__
from orchestrion.app import Partner
from orchestrion.core import Json
from orchestrion.functions import MESSAGE_ONCE
from orchestrion.project import Project

MODES = ("text/plain", "application/json")
_VERSIONS = ("1.0", "0.3")


def card_of(project: Project, offered: Sequence[Partner], address: str, *, alone: bool) -> Json:
    """The card of a project, or of a partner `alone`, as both revisions of the protocol want it."""
    if alone:
        (whom,) = offered
        name, description = whom.name, whom.description or f"The {whom.kind} {whom.name} of {project.name}."
    else:
        name, description = (
            project.name,
            f"What {project.name} offers: name a skill as `skill` in a message's metadata.",
        )
    card = AgentCard(
        name=name,
        description=description,
        version=__version__,
        supported_interfaces=[
            AgentInterface(url=address, protocol_binding=TransportProtocol.JSONRPC.value, protocol_version=version)
            for version in _VERSIONS
        ],
        capabilities=AgentCapabilities(
            streaming=True,
            push_notifications=False,
            extended_agent_card=False,
            extensions=[
                AgentExtension(
                    uri=MESSAGE_ONCE, description="A message with an id that was seen before starts nothing."
                )
            ],
        ),
        security_schemes={"token": SecurityScheme(http_auth_security_scheme=HTTPAuthSecurityScheme(scheme="Bearer"))},
        security_requirements=[SecurityRequirement(schemes={"token": StringList()})],
        default_input_modes=MODES,
        default_output_modes=MODES,
        skills=[_skill(each) for each in offered],
    )
    return cast("Json", agent_card_to_dict(card))


def _skill(whom: Partner) -> AgentSkill:
    fields = whom.input.get("properties")
    names = ", ".join(fields) if isinstance(fields, Mapping) else ""
    taken = [f"A message's text becomes the field `{whom.text}`."] if whom.text is not None else []
    taken += [f"Data may have the fields: {names}."] if names else []
    return AgentSkill(
        id=whom.name,
        name=whom.name,
        description=" ".join([whom.description or f"Runs the {whom.kind} {whom.name}.", *taken]),
        tags=[whom.kind],
        input_modes=MODES if whom.text is not None else MODES[1:],
    )
