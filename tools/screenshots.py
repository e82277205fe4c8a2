"""The pictures of the README, taken anew from the console over a copy of the service desk.

Usage: .venv/bin/python tools/screenshots.py     (needs Chromium: apt-get install chromium)
"""

import asyncio
import re
import runpy
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from playwright.async_api import Page, ViewportSize, async_playwright

from orchestrion.testing import World, served

ROOT = Path(__file__).resolve().parents[1]
IMAGES = ROOT / "docs" / "images"
SIZE: ViewportSize = {"width": 1100, "height": 660}
TRUTH = "I was charged twice for one purchase, please refund one"
LEAD = "lea"


def desk(folder: Path) -> None:
    """A copy of the example whose messages have all been worked on."""
    example = ROOT / "examples" / "customer-service"
    shutil.copytree(example, folder, ignore=shutil.ignore_patterns("*.db*", ".orchestrion", "__pycache__"))
    build: Any = runpy.run_path(str(folder / "prepare.py"))["build"]
    build(folder / "data" / "bank.db")
    command = [sys.executable, "-m", "orchestrion", "run", "customer-triage", "--each", "messages.csv"]
    subprocess.run(command, cwd=folder, capture_output=True, check=False)


async def take(page: Page, name: str) -> None:
    await page.wait_for_timeout(1_000)
    await page.screenshot(path=IMAGES / f"{name}.png", animations="disabled")


async def pictures(page: Page, world: World) -> None:
    link = await world.server.sign_in_link(LEAD, by="screenshots", lasts_s=60)
    await page.goto(link)
    await page.get_by_role("button", name="Sign in").click()
    await page.get_by_text("Runs today").wait_for()
    await take(page, "overview")
    async with world.client("operator") as client:
        given = {"message": TRUTH, "customerId": "C-1002"}
        run = (await client.post("/api/v1/runs", json={"workflow": "customer-triage", "input": given})).json()["id"]
        await world.settled(run)
        approvals = (await client.get("/api/v1/approvals", params={"status": "open"})).json()["approvals"]
    await page.goto(f"{world.url}/runs/{run}?view=picture")
    await take(page, "run")
    refund = next(each["id"] for each in approvals if each["title"].endswith("refund"))
    await page.goto(f"{world.url}/approvals/{refund}")
    await take(page, "approvals")
    await page.goto(f"{world.url}/chat?with=teams/desk")
    await page.get_by_label("customer id").fill("C-1021")
    for said in ("I was charged twice for one purchase, please refund one", "My card is lost, please block it"):
        await page.get_by_role("textbox", name=re.compile("^Message to")).fill(said)
        await page.keyboard.press("Enter")
        await page.get_by_role("button", name="Good answer").last.wait_for()
    await take(page, "chat")


async def main() -> None:
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None:
        raise SystemExit("Chromium is not installed: apt-get install chromium")
    IMAGES.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="orchestrion-pictures-") as name:
        folder = Path(name) / "desk"
        desk(folder)
        async with served(folder) as world, async_playwright() as playwright:
            await world.server.accounts.ensure(LEAD, ["admin"], by="screenshots")
            browser = await playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
            await pictures(await browser.new_page(viewport=SIZE), world)
            await browser.close()
    for image in sorted(IMAGES.glob("*.png")):
        print(f"{image.relative_to(ROOT)}  {image.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    asyncio.run(main())
