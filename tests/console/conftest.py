"""A browser before a real server, over a copy of the bank's service desk with a little history."""

import asyncio
import re
import runpy
import shutil
import sqlite3
from collections.abc import AsyncGenerator, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Browser, ConsoleMessage, Page, async_playwright, expect

from orchestrion.testing import World, served

ROOT = Path(__file__).resolve().parents[2]
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
HOSTILE = "<img src=x onerror=alert(1)> \u202egnihton </script> {{7*7}} stop"
LEAD = "lea"
"""May approve refunds, as the project says."""
TWICE = {"message": "I was charged twice", "customerId": "C-1186"}


@dataclass(frozen=True, kw_only=True)
class Desk:
    """A served copy of the service desk, and the runs it begins with."""

    world: World
    folder: Path
    faulted: str
    asked: str
    """Waits for an approval of a refund."""
    handed: str
    """Waits for a person's answer to a hostile message."""

    async def start(self, message: Mapping[str, str]) -> str:
        async with self.world.client("operator") as client:
            answer = await client.post("/api/v1/runs", json={"workflow": "customer-triage", "input": dict(message)})
        return answer.json()["id"]

    async def approval_of(self, run: str) -> str:
        await self.world.settled(run)
        async with self.world.client("viewer") as client:
            found = (await client.get("/api/v1/approvals", params={"run": run, "status": "open"})).json()
        return found["approvals"][0]["id"]

    def change_bank(self, statement: str) -> None:
        with closing(sqlite3.connect(self.folder / "data" / "bank.db", timeout=10)) as bank, bank:
            bank.execute(statement)

    def refunds(self) -> int:
        with closing(sqlite3.connect(self.folder / "data" / "bank.db", timeout=10)) as bank:
            return bank.execute("select count(*) from refunds").fetchone()[0]


@pytest.fixture(scope="module")
async def desk(tmp_path_factory: pytest.TempPathFactory) -> AsyncGenerator[Desk]:
    folder = tmp_path_factory.mktemp("desk") / "desk"
    shutil.copytree(
        ROOT / "examples" / "customer-service", folder, ignore=shutil.ignore_patterns("*.db*", ".orchestrion")
    )
    build: Any = runpy.run_path(str(folder / "prepare.py"))["build"]
    build(folder / "data" / "bank.db")
    async with served(folder) as world:
        await world.server.accounts.ensure(LEAD, ["approver", "operator"], by="test")
        desk = Desk(world=world, folder=folder, faulted="", asked="", handed="")
        desk.change_bank("alter table replies rename to elsewhere")
        faulted = await desk.start({**TWICE, "customerId": "C-1043"})
        assert await world.settled(faulted) == "faulted"
        desk.change_bank("alter table elsewhere rename to replies")
        asked, handed = await desk.start(TWICE), await desk.start({"message": HOSTILE, "customerId": "C-1019"})
        assert await asyncio.gather(world.settled(asked), world.settled(handed)) == ["waiting", "waiting"]
        yield Desk(world=world, folder=folder, faulted=faulted, asked=asked, handed=handed)


expect.set_options(timeout=15_000)


@pytest.fixture(scope="module")
async def browser() -> AsyncGenerator[Browser]:
    if CHROMIUM is None:
        pytest.skip("Chromium is not installed: apt-get install chromium")
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        await browser.close()


@dataclass(kw_only=True)
class Visit:
    """A person with a browser; what the page complains about is a failure."""

    page: Page
    desk: Desk
    complaints: list[str] = field(default_factory=list[str])

    async def open(self, path: str) -> None:
        await self.page.goto(self.desk.world.url + path)
        await self.page.locator("main h1, main h2").first.wait_for(state="attached")

    async def sign_in(self, name: str = "admin") -> None:
        link = await self.desk.world.server.sign_in_link(name, by="test", lasts_s=60)
        await self.page.goto(link)
        await self.page.get_by_role("button", name="Sign in").click()
        await self.page.get_by_role("navigation", name="Pages").wait_for()


@pytest.fixture
async def visit(desk: Desk, browser: Browser) -> AsyncGenerator[Visit]:
    context = await browser.new_context(viewport={"width": 1280, "height": 860})
    context.set_default_timeout(15_000)
    page = await context.new_page()
    visit = Visit(page=page, desk=desk)

    def complain(message: ConsoleMessage) -> None:
        if message.type in {"error", "warning"} and not re.search(r"status of 401", message.text):
            visit.complaints.append(message.text)

    page.on("console", complain)
    page.on("pageerror", lambda error: visit.complaints.append(str(error)))
    page.on("dialog", lambda dialog: visit.complaints.append(f"a dialog: {dialog.message}"))
    yield visit
    await context.close()
    assert visit.complaints == []
