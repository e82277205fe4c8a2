"""The one way out: HTTP clients and connections that reach only what the project allows, and only inside the engine's gate."""

from ._egress import Egress
from ._network import Resolve
from ._transport import response_too_big

__all__ = ["Egress", "Resolve", "response_too_big"]
