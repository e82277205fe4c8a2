"""A model's card: what is known of the model file beside it."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from orchestrion.core import UserError

from ._predictor_file import PredictorSource, Value


class Card(BaseModel):
    """Written beside a model by `orchestrion predictor train`; for a model made elsewhere, by hand if at all."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    model: str
    """SHA-256 of the model's file."""
    trained_on: Mapping[str, Any] = {}
    """File, digest, rows, and how many carried the second label."""
    made_with: Mapping[str, str] = {}
    """Libraries and their versions."""
    usual: Mapping[str, Value] = {}
    """Feature → the median of the training rows, or their most frequent value."""
    threshold: float | None = None
    measures: Mapping[str, float] = {}
    """On rows held back in training."""


def file_digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def read_card(source: PredictorSource, digest: str) -> Card:
    """The card of a model's file with this digest; an empty one when there is none.

    Raises: UserError `predictor-card`.
    """
    path = source.card
    try:
        card = Card.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        return Card(model=digest)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(str(step) for step in first["loc"])
        raise UserError("predictor-card", f"{path.name} is no card of a model: {place}: {first['msg']}.") from None
    if card.model != digest:
        raise UserError(
            "predictor-card",
            f"{path.name} describes another file than {source.model.name}: one of them was exchanged.",
            hint="Train the predictor again, or put the two files that belong together side by side.",
        )
    return card


def card_text(card: Card) -> str:
    return json.dumps(card.model_dump(mode="json"), indent=2) + "\n"
