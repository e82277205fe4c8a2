"""Runs as resources: `orchestrion://runs/ID`, and their steps on request."""

import re

from mcp_types import (
    ListResourcesResult,
    ReadResourceResult,
    Resource,
    ResourceTemplate,
    TextResourceContents,
)

from orchestrion.app import App
from orchestrion.core import Json, RequestStatus, Run, RunFilter, UserError, dump, iso

from ._answers import durable
from ._run_shapes import approval, entry_summary, run_whole
from ._runs import cursor, cursor_of, required

JSON = "application/json"
PAGE = 50
ENTRIES = 200
TEMPLATES = (
    ResourceTemplate(
        name="run",
        title="A run",
        uri_template="orchestrion://runs/{id}",
        description="Its status, what it was given, its output or problem, and what people are asked in it.",
        mime_type=JSON,
    ),
    ResourceTemplate(
        name="entries",
        title="The steps of a run",
        uri_template="orchestrion://runs/{id}/entries{?after}",
        description=f"In the order in which they began, {ENTRIES} at a time; `next` is the `after` of the next ones.",
        mime_type=JSON,
    ),
)
_URI = re.compile(
    r"orchestrion://runs/(?P<id>[A-Za-z0-9_-]{1,100})(?P<entries>/entries(?:\?after=(?P<after>\d{1,18}))?)?"
)


async def listed(app: App, after: str | None) -> ListResourcesResult:
    """Runs, the newest first. Raises: UserError `bad-cursor`."""
    before = cursor(after) if after is not None else None
    found = await app.journal.runs(RunFilter(before=before, limit=PAGE + 1, bare=True))
    more = cursor_of(found[PAGE - 1]) if len(found) > PAGE else None
    return ListResourcesResult(resources=[_resource(run) for run in found[:PAGE]], next_cursor=more)


def _resource(run: Run) -> Resource:
    return Resource(
        uri=f"orchestrion://runs/{run.id}",
        name=run.id,
        title=f"{run.namespace}/{run.workflow}",
        description=f"{run.status.value}, begun {iso(run.created_at)}",
        mime_type=JSON,
    )


async def read(app: App, uri: str) -> ReadResourceResult:
    """Raises: UserError `unknown-resource`, `unknown-run`."""
    found = _URI.fullmatch(uri)
    if found is None:
        raise UserError("unknown-resource", f"There is no resource {uri[:200]!r}.")
    run = await required(app, found["id"])
    content = await _entries(app, run, int(found["after"] or -1)) if found["entries"] else await _run(app, run)
    return ReadResourceResult(contents=[TextResourceContents(uri=uri, mime_type=JSON, text=dump(content))])


async def _run(app: App, run: Run) -> Json:
    asked = () if run.status.ended else await app.journal.requests(run_id=run.id, status=RequestStatus.OPEN)
    return {**run_whole(run), "waits_for": [approval(each) for each in asked]}


async def _entries(app: App, run: Run, after: int) -> Json:
    found = await durable(app).changes(run.id, after, limit=ENTRIES + 1)
    page = found[:ENTRIES]
    return {
        "run": run.id,
        "entries": [entry_summary(place, entry) for place, entry in page],
        "next": page[-1][0] if len(found) > ENTRIES else None,
    }
