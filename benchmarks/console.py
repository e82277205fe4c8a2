"""The console with much to show, in a real browser: how long its longest task holds the page up, and how soon its first page is there.

Run: make bench NAME=console [QUICK=1]. Needs Chromium (`apt-get install chromium`). Prints what was measured and one line of JSON.
"""

import asyncio
import gzip
import os
import shutil
import tempfile
from pathlib import Path
from typing import Any

import httpx
from playwright.async_api import Browser, Page, async_playwright

from orchestrion.core import dump
from orchestrion.testing import World, served

QUICK = bool(os.environ.get("QUICK"))
ITEMS, LIVE = (1_000, 50) if QUICK else (6_667, 200)
BIG = """
document: { dsl: '1.0.3', namespace: bench, name: big, version: '1.0.0' }
do:
  - make: { set: { items: '${ [range(ITEMS)] }' } }
  - each:
      for: { each: item, in: '${ .items }' }
      do:
        - first: { set: { n: '${ $item }' } }
        - second: { set: { n: '${ .n + 1 }' } }
        - third: { set: { n: '${ .n * 2 }' } }
  - last: { set: { done: true } }
"""
WAITING = """
document: { dsl: '1.0.3', namespace: bench, name: live, version: '1.0.0' }
do:
  - begin: { wait: { milliseconds: 1500 } }
  - middle: { set: { n: 1 } }
  - last: { wait: { milliseconds: 1000 } }
"""
OBSERVE = """
window.longest = 0;
new PerformanceObserver((list) => {
  for (const each of list.getEntries()) window.longest = Math.max(window.longest, each.duration);
}).observe({ type: "longtask", buffered: true });
"""
FIRST_PAINT = "performance.getEntriesByName('first-contentful-paint')[0].startTime"
SETTLING_MS = 2_000
"""The page is given so long to do whatever an action makes it do."""
BUILT = Path(__file__).resolve().parents[1] / "src" / "orchestrion" / "server" / "console"


async def signed_in(browser: Browser, world: World) -> Page:
    page = await (await browser.new_context(viewport={"width": 1280, "height": 860})).new_page()
    await page.add_init_script(OBSERVE)
    await page.goto(await world.server.sign_in_link("admin", by="bench", lasts_s=60))
    await page.get_by_role("button", name="Sign in").click()
    await page.get_by_role("navigation", name="Pages").wait_for()
    return page


async def longest(page: Page) -> float:
    """Milliseconds of the longest task since this was asked last, tasks of 50 ms and less left out."""
    await page.wait_for_timeout(SETTLING_MS)
    found = await page.evaluate("window.longest")
    await page.evaluate("window.longest = 0")
    return round(found)


async def first_page(page: Page, world: World) -> float:
    await page.goto(f"{world.url}/")
    await page.get_by_text("Runs today").wait_for()
    return round(await page.evaluate(FIRST_PAINT))


async def large_run(page: Page, world: World, client: httpx.AsyncClient) -> dict[str, float]:
    run = (await client.post("/api/v1/runs", json={"workflow": "big"})).json()["id"]
    assert await world.settled(run) == "completed"
    await page.goto(f"{world.url}/runs/{run}")
    await page.get_by_role("button", name="Steps of each").wait_for()
    found = {"shown_ms": await longest(page)}
    await page.get_by_role("button", name="Steps of each").click()
    found["opened_ms"] = await longest(page)
    for _ in range(20):
        await page.keyboard.press("j")
    found["moved_ms"] = await longest(page)
    await page.mouse.wheel(0, 100_000)
    found["scrolled_ms"] = await longest(page)
    await page.get_by_role("button", name="Picture").click()
    found["picture_ms"] = await longest(page)
    return found


async def live_runs(page: Page, world: World, client: httpx.AsyncClient) -> dict[str, float]:
    found: dict[str, float] = {}
    for name, path in (("live_overview_ms", "/"), ("live_runs_ms", "/runs")):
        await page.goto(world.url + path)
        await longest(page)
        started = await asyncio.gather(
            *(client.post("/api/v1/runs", json={"workflow": "live", "input": {}}) for _ in range(LIVE))
        )
        await asyncio.gather(*(world.settled(each.json()["id"]) for each in started))
        found[name] = await longest(page)
    return found


def javascript_kb() -> float:
    """What the first page loads, gzipped; the picture of a run and other lazy parts are left out."""
    index = (BUILT / "index.html").read_text()
    return round(
        sum(len(gzip.compress(each.read_bytes())) for each in BUILT.glob("assets/*.js") if each.name in index) / 1000, 1
    )


async def main() -> None:
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None:
        raise SystemExit("Chromium is not installed: apt-get install chromium")
    with tempfile.TemporaryDirectory(prefix="orchestrion-console-") as name:
        folder = Path(name) / "project"
        (folder / "workflows").mkdir(parents=True)
        (folder / "orchestrion.yaml").write_text("name: bench\n")
        (folder / "workflows" / "big.yaml").write_text(BIG.replace("ITEMS", str(ITEMS)))
        (folder / "workflows" / "live.yaml").write_text(WAITING)
        async with served(folder) as world, world.client() as client, async_playwright() as playwright:
            browser = await playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
            page = await signed_in(browser, world)
            figures: dict[str, Any] = {
                "entries": 3 * ITEMS,
                "live": LIVE,
                **await large_run(page, world, client),
                **await live_runs(page, world, client),
                "first_paint_ms": await first_page(page, world),
                "javascript_kb": javascript_kb(),
            }
            await browser.close()
    for what, figure in figures.items():
        print(f"{what:20}{figure}")
    print(dump(figures))


asyncio.run(main())
