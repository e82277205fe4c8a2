"""The store of our programs."""

from pathlib import Path

from _workload import Settings

from orchestrion.core import SystemClock
from orchestrion.store import Store


def open_store(where: Settings, clock: SystemClock) -> Store:
    """A file of its own, or the database it was given."""
    folder = Path(where["folder"])
    place = where["database"] or folder / "orchestrion.db"
    return Store.open(place, mode="own", clock=clock, blobs=str(folder / "blobs"))


def durability(store: Store, *, on_file: bool) -> str:
    """As a connection like the writer's says."""
    connection = store.connect(writes=True)
    asked = ("pragma journal_mode", "pragma synchronous") if on_file else ("show fsync", "show synchronous_commit")
    found = [connection.execute(question).fetchall()[0][0] for question in asked]
    connection.close()
    assert found == (["wal", 2] if on_file else ["on", "on"]), found
    return "WAL, synchronous=FULL" if on_file else "fsync and synchronous_commit on"
