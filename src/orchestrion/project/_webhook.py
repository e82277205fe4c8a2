"""Webhooks, as settings say them."""

from typing import Annotated

from pydantic import BeforeValidator, Field

from ._setting import SecretReference, Setting, only_by_reference


class Webhook(Setting):
    """What another system may tell at `/hooks/NAME`. Each notification is an event of the source `/webhooks/NAME`."""

    type: str = Field(
        pattern=r"^[!-~]+$", max_length=300, description="Type of the events, which workflows listen for or begin by."
    )
    secret: Annotated[SecretReference, BeforeValidator(only_by_reference, json_schema_input_type=SecretReference)] = (
        Field(
            description="What the sender signs with, as {secret: NAME}: `whsec_` and base64 of Standard Webhooks, or plain text beside `header`."
        )
    )
    header: str | None = Field(
        default=None,
        pattern=r"^[A-Za-z0-9-]+$",
        max_length=100,
        description="Header that holds the HMAC-SHA256 of the body, such as GitHub's `X-Hub-Signature-256`. Without it, senders sign as Standard Webhooks says.",
    )
