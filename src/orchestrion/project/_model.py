"""What a project says about a model."""

from collections.abc import Sequence
from datetime import date
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field
from pydantic_core import PydanticCustomError

from ._setting import SecretReference, Setting, only_by_reference


def _day(value: object) -> object:
    try:
        return date.fromisoformat(value) if isinstance(value, str) else value
    except ValueError:
        raise PydanticCustomError("bad-day", "This is not a day", {"hint": "For example: 2026-12-31"}) from None


class Price(Setting):
    """What a model costs, in US dollars per million tokens."""

    input: float = Field(ge=0, description="US dollars per million tokens it is given.")
    output: float = Field(ge=0, description="US dollars per million tokens it answers.")


class ModelLimits(Setting):
    """How much of a model all processes of this store may use together."""

    concurrency: int | None = Field(default=None, ge=1, description="Requests at the same time.")
    requests_per_minute: int | None = Field(default=None, ge=1, description="Requests begun within any 60 seconds.")
    wait_s: float = Field(
        default=60.0,
        alias="wait",
        ge=0,
        description="Seconds a request waits for its turn; after that the model has failed, and its fallback is asked.",
    )


class Model(Setting):
    """A model under a name of the project's own."""

    provider: str = Field(
        min_length=1,
        description="`playbook` or `playbook:NAME`, or a provider and its model such as `openai:gpt-5.2` or `ollama:qwen3`.",
    )
    base_url: str | None = Field(
        default=None,
        pattern=r"^https?://",
        description="Address of an OpenAI-compatible API, when it is not the provider's own.",
    )
    key: Annotated[
        SecretReference | None, BeforeValidator(only_by_reference, json_schema_input_type=SecretReference)
    ] = Field(
        default=None,
        description="The API key, as {secret: NAME}. Without it the provider's usual environment variable is read.",
    )
    fallback: Sequence[str] = Field(default=(), description="Models to ask in this order when this one fails.")
    timeout_s: float = Field(default=60.0, alias="timeout", gt=0, description="Seconds one attempt may take.")
    region: str | None = Field(
        default=None,
        min_length=1,
        description="Where it computes, such as `eu`. Policies see it as `context.arguments.region`.",
    )
    price: Price | None = Field(
        default=None,
        description="What it costs, in place of the public price list. Without either, its cost is unknown.",
    )
    limits: ModelLimits | None = Field(default=None, description="How much of it may be used at once.")
    retires: Annotated[date | None, BeforeValidator(_day, json_schema_input_type=str)] = Field(
        default=None,
        description="The day (UTC) from which it is not asked any more; its fallback is, or else the project is refused.",
    )
    successors: Sequence[str] = Field(
        default=(),
        description="Models that may take its place when it retires; the first that the project's evaluations pass does.",
    )
    succession: Literal["propose", "canary"] = Field(
        default="propose",
        description="What follows when a successor has passed: a proposal to a person, or a trial on a part of the new runs.",
    )
