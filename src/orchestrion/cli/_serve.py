"""`orchestrion dev` and `orchestrion serve`: the server, beside the engine that it is the door of."""

import asyncio
import logging
import re
import signal
import sys
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path

from orchestrion.app import App, PutAway, open_app
from orchestrion.core import Fenced, Json, OrchestrionError, Run, dump, iso
from orchestrion.engine import Fired
from orchestrion.project import Project
from orchestrion.server import LINK_S, Place, Serving, serving

from ._first_run import begin_in
from ._terminal import COMPLETED, err, execute, user_name
from ._work import Spoken, Voice, Working

log = logging.getLogger("orchestrion.server")
_RUN = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[78][0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")


def dev(
    host: str | None, port: int | None, url: str | None, *, project: Path, user: str | None, example: str | None
) -> None:
    async def work() -> int:
        begin_in(project, example)

        async def ready(server: Serving) -> None:
            name = user_name(user)
            await server.accounts.ensure(name, ["admin"], by=name)
            link = await server.sign_in_link(name, by=name, lasts_s=LINK_S)
            err.print(f"{server.place.url}  sign in, once: {link}", markup=False, soft_wrap=True)

        with _place(project, host, port, url) as place:
            async with open_app(project) as app:
                await _serve(app, place, Spoken(), ready)
        return COMPLETED

    execute(work, as_json=False)


def serve(host: str | None, port: int | None, url: str | None, *, project: Path) -> None:
    async def work() -> int:
        _log_in_json()
        while True:
            try:
                return await _served(project, host, port, url)
            except OrchestrionError as error:
                if not isinstance(error, Fenced) and error.code != "no-longer-leading":
                    raise
                log.warning("%s", error)

    execute(work, as_json=True)


async def _served(project: Path, host: str | None, port: int | None, url: str | None) -> int:
    async def ready(server: Serving) -> None:
        log.info("Ready at %s", server.place.url)
        if not await server.accounts.any():
            log.warning("Nobody can sign in yet: orchestrion users add NAME --role admin")

    async with open_app(project, stand_by=lambda reason: log.info("%s This one stands by.", reason.message)) as app:
        with _place(project, host, port, url) as place:
            await _serve(app, place, Logged(), ready)
    log.info("Stopped")
    return COMPLETED


def _place(project: Path, host: str | None, port: int | None, url: str | None) -> "Place":
    """As told, else as the project says. Raises: UserError `port-in-use`, `not-loopback`, `cannot-listen`."""
    settings = Project.load(project).settings.server
    return Place.bind(host or settings.host, settings.port if port is None else port, url or settings.url)


async def _serve(app: App, place: Place, voice: Voice, ready: Callable[[Serving], Awaitable[None]]) -> None:
    """Until SIGINT or SIGTERM, then in order: no new requests, answers under way, runs in memory. A second one ends it at once."""
    asked = asyncio.Event()
    loop = asyncio.get_running_loop()

    def stop() -> None:
        asked.set()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.remove_signal_handler(number)

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop)
    async with serving(app, place) as server:
        working = asyncio.ensure_future(Working(app, voice).go())
        stopping = asyncio.ensure_future(asked.wait())
        try:
            await ready(server)
            done, _ = await asyncio.wait([working, stopping, server.running], return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            stopping.cancel()
            working.cancel()
            with suppress(asyncio.CancelledError, OrchestrionError):
                await working


class Logged:
    """Tells logs what a process at work does."""

    def fired(self, fired: Fired) -> None:
        for run in fired.runs:
            log.info("%s was fired by its schedule", fired.planned.workflow, extra={"run": run.id})

    def moved(self, away: PutAway) -> None:
        log.info("%s/%s %s", away.folder, away.file.name, away.reason or "is done")

    def rests(self, run: Run) -> None:
        """The server logs how every run changes, those that nobody here waits for included."""


class _Json(logging.Formatter):
    """One object a line; `run` is the run that it is about."""

    def format(self, record: logging.LogRecord) -> str:
        message = record.getMessage()
        line: dict[str, Json] = {
            "at": iso(record.created),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": message,
        }
        run = getattr(record, "run", None) or ((found := _RUN.search(message)) and found[0])
        if run:
            line["run"] = str(run)
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return dump(line)


def _log_in_json() -> None:
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Json())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.INFO)
    logging.getLogger("uvicorn").setLevel(logging.WARNING)
    logging.getLogger("httpx").setLevel(logging.WARNING)
