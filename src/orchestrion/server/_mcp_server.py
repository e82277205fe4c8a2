"""The MCP server: agents, teams and workflows as tools, runs as resources.

Every request stands for itself: no session is kept between two of them, so that a client notices nothing when the server is
started anew. A client that turns away, for it cannot wait any longer or because its line broke, ends nothing: clients do so after
a minute by themselves, and a run half done is worse than one that nobody waits for. Whoever wants it stopped says so: `run-cancel`.

Source: Model Context Protocol, revisions 2025-03-26 to 2026-07-28, Streamable HTTP.
"""

import logging
from typing import Any

from mcp.server import Server, ServerRequestContext
from mcp.server.streamable_http_manager import StreamableHTTPSessionManager
from mcp.shared.exceptions import MCPError
from mcp_types import (
    INTERNAL_ERROR,
    INVALID_PARAMS,
    CallToolRequestParams,
    CallToolResult,
    ListResourcesResult,
    ListResourceTemplatesResult,
    ListToolsResult,
    PaginatedRequestParams,
    ReadResourceRequestParams,
    ReadResourceResult,
)

from orchestrion import __version__
from orchestrion.app import App, Partner, Settled, partners, start_talk
from orchestrion.core import OrchestrionError, UserError
from orchestrion.governance import Person

from ._accounts import Recognised
from ._guard import Limits
from ._identity import Door
from ._live import Live
from ._mcp_resources import TEMPLATES, listed, read
from ._mcp_tools import CANCEL, STATUS, failed, given_of, run_given, settled_result, status_result, tool_name, tool_of
from ._runs import required
from ._waiting import stopped, waited

_LIBRARY_LOGS = ("mcp.server", "sse_starlette")
"""They write what clients sent; what matters of it is answered too."""
_INSTRUCTIONS = """\
Each tool is an agent, a team or a workflow of {name}. Calling one starts a run and answers with its output. A run that waits for a
person, or takes longer than {seconds:g} seconds, goes on by itself: the answer names it, and `run-status` waits for it again. Do not
call the tool a second time for the same purpose: that starts another run. Cancelling a call does not stop its run: `run-cancel` does."""

Context = ServerRequestContext[Any, Any]
Page = PaginatedRequestParams | None


def session_manager(app: App, door: Door, live: Live, limits: Limits) -> StreamableHTTPSessionManager:
    """What answers requests that the door has let in. It checks neither host nor origin: the guard has."""
    for name in _LIBRARY_LOGS:
        logging.getLogger(name).setLevel(logging.CRITICAL)
    answers = _Answers(app, door, live, limits)
    server = Server(
        app.project.name,
        version=__version__,
        instructions=_INSTRUCTIONS.format(name=app.project.name, seconds=limits.tool_s),
        get_tool_input_schema=answers.input_schema,
        on_list_tools=answers.tools,
        on_call_tool=answers.call,
        on_list_resources=answers.resources,
        on_list_resource_templates=answers.templates,
        on_read_resource=answers.read,
    )
    return StreamableHTTPSessionManager(server, stateless=True, max_request_body_size=limits.body_bytes)


class _Answers:
    def __init__(self, app: App, door: Door, live: Live, limits: Limits) -> None:
        self._app = app
        self._door = door
        self._live = live
        self._limits = limits

    # --- tools ---

    async def tools(self, context: Context, _: Page) -> ListToolsResult:
        """Those that whoever asks may call."""
        person = _person(context)
        found = [tool_of(each) for each in partners(self._app).values()] if self._may(person, "startRun") else []
        found += [
            tool for tool, operation in ((STATUS, "showRun"), (CANCEL, "cancelRun")) if self._may(person, operation)
        ]
        return ListToolsResult(tools=found)

    def input_schema(self, name: str) -> dict[str, Any] | None:
        for tool in (STATUS, CANCEL):
            if tool.name == name:
                return tool.input_schema
        whom = self._named(name)
        return tool_of(whom).input_schema if whom is not None else None

    async def call(self, context: Context, params: CallToolRequestParams) -> CallToolResult:
        """What went wrong in it is said in the result, for whoever called it to do better."""
        arguments = params.arguments or {}
        whom = self._named(params.name)
        try:
            self._live.require_room()
            match params.name:
                case STATUS.name:
                    self._require(context, "showRun")
                    return status_result(await self._wait(context, run_given(STATUS, arguments)))
                case CANCEL.name:
                    self._require(context, "cancelRun")
                    return await self._cancel(context, run_given(CANCEL, arguments))
                case _ if whom is not None:
                    self._require(context, "startRun")
                    run = await start_talk(self._app, whom, given_of(whom, arguments), subject=_person(context).name)
                    return settled_result(whom, await self._wait(context, run.id))
                case _:
                    raise MCPError(INVALID_PARAMS, f"There is no tool {params.name[:200]!r}.")
        except OrchestrionError as error:
            return failed(error)

    async def _wait(self, context: Context, run_id: str) -> Settled:
        async def tell(steps: int, task: str) -> None:
            await context.session.report_progress(steps, message=f"Step {steps}: {task}")

        within_s, closing = self._limits.tool_s, self._live.closing
        with self._live.counted():
            return await waited(self._app, run_id, within_s=within_s, closing=closing, tell=tell)

    async def _cancel(self, context: Context, run_id: str) -> CallToolResult:
        await required(self._app, run_id)
        return status_result(Settled(run=await stopped(self._app, run_id, _person(context).name)))

    def _named(self, tool: str) -> Partner | None:
        return next((each for each in partners(self._app).values() if tool_name(each) == tool), None)

    # --- resources ---

    async def resources(self, context: Context, params: Page) -> ListResourcesResult:
        self._require(context, "listRuns")
        try:
            return await listed(self._app, params.cursor if params is not None else None)
        except UserError as error:
            raise MCPError(INVALID_PARAMS, error.message) from None

    async def templates(self, _context: Context, _: Page) -> ListResourceTemplatesResult:
        return ListResourceTemplatesResult(resource_templates=list(TEMPLATES))

    async def read(self, context: Context, params: ReadResourceRequestParams) -> ReadResourceResult:
        try:
            for operation in ("showRun", "listEntries"):
                self._require(context, operation)
            return await read(self._app, params.uri)
        except UserError as error:
            raise MCPError(INVALID_PARAMS, error.message, {"uri": params.uri[:200]}) from None
        except OrchestrionError as error:
            raise MCPError(INTERNAL_ERROR, error.message) from None

    # --- rights ---

    def _may(self, person: Person, operation: str) -> bool:
        try:
            self._door.require(person, operation)
        except OrchestrionError:
            return False
        return True

    def _require(self, context: Context, operation: str) -> None:
        """Raises: PolicyDenied `not-permitted`."""
        self._door.require(_person(context), operation)


def _person(context: Context) -> Person:
    """Whom the route has recognised."""
    assert context.request is not None
    recognised: Recognised = context.request.state.recognised
    return recognised.person
