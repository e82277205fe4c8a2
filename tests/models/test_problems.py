"""What a provider's library makes of our own refusals is taken back."""

from pydantic_ai.exceptions import ModelAPIError

from orchestrion.core import PolicyDenied
from orchestrion.models._problems import model_error


def test_a_refused_host_is_not_taken_for_a_network_fault() -> None:
    refused = PolicyDenied("egress-refused", "api.example.com is not allowed.")
    wrapped = ConnectionError("Connection error.")
    wrapped.__cause__ = refused
    raised = ModelAPIError("gpt", "Connection error.")
    raised.__cause__ = wrapped
    assert model_error("big", raised) is refused


def test_a_network_fault_stays_one() -> None:
    raised = ModelAPIError("gpt", "Connection error.")
    raised.__cause__ = ConnectionError("reset")
    assert model_error("big", raised).code == "model-unavailable"
