"""What models have cost, by run, agent, user, workflow or model: added up from the record."""

import json
from collections.abc import Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any, Literal

from orchestrion.core import Json, SystemClock, UserError
from orchestrion.journal import DurableJournal
from orchestrion.models import InLine, in_line
from orchestrion.project import Project
from orchestrion.store import Connection

from ._journals import open_journal

Grouping = Literal["run", "agent", "user", "workflow", "model"]

_ASKED = """
select runs.id, entries.subject, runs.subject, runs.namespace, runs.workflow, entries.model, entries.cost, entries.why
from entries join runs on runs.id = entries.run_id
where entries.function = 'model:1.0.0' and entries.cost is not null and runs.created_at >= ?
"""


@dataclass(slots=True, kw_only=True)
class Spent:
    """What one run, agent, user, workflow or model has used."""

    name: str
    requests: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    usd_micros: int = 0
    unpriced: int = 0
    """Requests whose price is not known: they count as nothing in `usd_micros`."""

    def to_json(self) -> dict[str, Json]:
        return {
            "name": self.name,
            "requests": self.requests,
            "input_tokens": self.input_tokens,
            "output_tokens": self.output_tokens,
            "usd": self.usd_micros / 1_000_000,
            "unpriced": self.unpriced,
        }


async def costs(project: Project, by: Grouping, *, since: float) -> list[Spent]:
    """Sums over the runs created since then, the dearest first. Answers of rules cost nothing and are left out."""
    found: dict[str, Spent] = {}

    def add(connection: Connection) -> None:
        for run_id, agent, user, namespace, workflow, model, cost, why in connection.execute(_ASKED, (since,)):
            told = _object(why)
            if told.get("answered_by") == "rules":
                continue
            names: Mapping[str, str] = {
                "run": run_id,
                "agent": agent,
                "user": user or "nobody",
                "workflow": f"{namespace}/{workflow}",
                "model": model or "unknown",
            }
            spent = found.setdefault(names[by], Spent(name=names[by]))
            used = _object(cost)
            spent.requests += 1
            spent.input_tokens += used["input_tokens"]
            spent.output_tokens += used["output_tokens"]
            spent.usd_micros += used["usd_micros"]
            spent.unpriced += told.get("price_known") is False

    async with AsyncExitStack() as stack:
        journal = await _look(stack, project)
        if journal is not None:
            await journal.look(add)
    return sorted(found.values(), key=lambda spent: (-spent.usd_micros, -spent.input_tokens, spent.name))


async def waiting_for_models(project: Project) -> list[InLine]:
    """The requests that wait for a free slot of a model, first come first."""
    async with AsyncExitStack() as stack:
        journal = await _look(stack, project)
        now = SystemClock().now()
        return [] if journal is None else await journal.look(lambda connection: in_line(connection, now))


async def _look(stack: AsyncExitStack, project: Project) -> DurableJournal | None:
    """The project's journal; None where nothing has run yet."""
    try:
        journal = await stack.enter_async_context(open_journal(project, mode="join", clock=SystemClock()))
    except UserError as error:
        if error.code in {"store-missing", "store-folder-missing"}:
            return None
        raise
    return journal if isinstance(journal, DurableJournal) else None


def _object(text: str | None) -> dict[str, Any]:
    return json.loads(text) if text else {}
