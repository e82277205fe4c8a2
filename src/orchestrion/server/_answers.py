"""JSON out, and the journal behind it."""

from collections.abc import Mapping

from starlette.responses import Response

from orchestrion.app import App
from orchestrion.core import Json, UserError, dump_bytes
from orchestrion.journal import DurableJournal


class JsonAnswer(Response):
    """An answer in JSON, as the rest of the platform writes it."""

    media_type = "application/json"

    def __init__(self, content: Json, *, status_code: int = 200, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(dump_bytes(content), status_code=status_code, headers=dict(headers or {}))


def durable(app: App) -> DurableJournal:
    """Raises: UserError `not-kept` where nothing is kept."""
    if not isinstance(app.journal, DurableJournal):
        raise UserError("not-kept", "A server needs a store: nothing is kept here.")
    return app.journal
