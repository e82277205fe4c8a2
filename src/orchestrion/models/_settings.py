"""What a project says about a model, a router and the patience with either."""

from datetime import date
from decimal import Decimal

from pydantic import BaseModel, ConfigDict, Field


class Price(BaseModel):
    """US dollars per million tokens."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    input: Decimal = Field(ge=0)
    output: Decimal = Field(ge=0)


class ModelLimits(BaseModel):
    """How much of a model all processes on a store may use together."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    concurrency: int | None = Field(default=None, ge=1)
    requests_per_minute: int | None = Field(default=None, ge=1)
    wait_s: float = Field(default=60.0, ge=0)
    """How long a request waits for its turn."""


class ModelSettings(BaseModel):
    """A model under a name of the project's own."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    provider: str = Field(min_length=1)
    """`playbook:NAME`, `local:FILE.gguf`, or a provider string of pydantic-ai such as `openai:gpt-…`. With `base_url`, what follows the colon (or
    all of it) is the model's name there."""
    base_url: str | None = None
    """Of an OpenAI-compatible API, such as `http://127.0.0.1:11434/v1`."""
    key: str | None = None
    """The name of the secret that holds the API key. Without it the provider's usual environment variable is read."""
    fallback: tuple[str, ...] = ()
    """Models to ask when this one fails, in order."""
    timeout_s: float = Field(default=60.0, gt=0)
    """How long one attempt may take."""
    region: str | None = None
    """Where it computes. Policies see it."""
    price: Price | None = None
    limits: ModelLimits | None = None
    retires: date | None = None
    """The day (UTC) from which it is not asked any more."""


class RouterSettings(BaseModel):
    """How a router is trained. Part of the digest that its cached file is named by."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    text: str = "text"
    """The column of the examples file that holds the message."""
    label: str = "label"
    """The column that holds the label."""
    target_precision: float = Field(default=0.95, gt=0, le=1)
    """The share of answered messages that should be answered rightly; the threshold is chosen for it."""
    strangers: float = Field(default=0.05, ge=0, lt=1)
    """The share of messages that is expected to belong to no label; the threshold is chosen as if so many did."""
    threshold: float | None = Field(default=None, ge=0, le=1)
    """The confidence below which the router abstains, in place of one chosen by `target_precision`."""
    nearest: int = Field(default=3, ge=0, le=20)
    """How many examples are named as evidence."""
    embeddings: bool = False
    """Whether meanings count beside words. Takes the extra `embeddings`."""
    seed: int = 0
