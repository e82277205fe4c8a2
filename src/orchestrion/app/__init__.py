"""Wires the rooms; alone in knowing them all."""

from ._app import App, Rooms, conduct, open_app, open_rooms, require_input, require_role
from ._batch import Row, RowFile, open_rows
from ._journals import Mode, migrate_store, open_journal
from ._project import Checked, routers_of

__all__ = [
    "App",
    "Checked",
    "Mode",
    "Rooms",
    "Row",
    "RowFile",
    "conduct",
    "migrate_store",
    "open_app",
    "open_journal",
    "open_rooms",
    "open_rows",
    "require_input",
    "require_role",
    "routers_of",
]
