"""What people do in the console, in a real browser against a real server."""

import gzip
import re
from typing import Literal

import pytest
from playwright.async_api import ViewportSize, expect

from .conftest import HOSTILE, LEAD, ROOT, TWICE, Desk, Visit

pytestmark = [pytest.mark.anyio, pytest.mark.soak]
AXE = ROOT / "console" / "node_modules" / "axe-core" / "axe.min.js"
PHONE: ViewportSize = {"width": 390, "height": 844}
BOTH: tuple[Literal["light", "dark"], ...] = ("light", "dark")


async def test_a_link_signs_in_and_the_page_without_one_says_how_to_get_it(visit: Visit) -> None:
    await visit.open("/")
    await expect(visit.page.get_by_role("heading", name="You are signed out")).to_be_visible()
    await expect(visit.page.get_by_text("orchestrion users link NAME")).to_be_visible()
    await visit.sign_in()
    await expect(visit.page.get_by_role("link", name=re.compile("^Faulted today"))).to_be_visible()
    await visit.page.get_by_role("button", name="admin").click()
    await visit.page.get_by_role("button", name="Sign out").click()
    await expect(visit.page.get_by_role("heading", name="You are signed out")).to_be_visible()


async def test_why_a_run_failed_is_found_from_the_overview(desk: Desk, visit: Visit) -> None:
    await visit.sign_in()
    await visit.page.get_by_role("link", name=re.compile("at keepReply")).click()
    await expect(visit.page).to_have_url(re.compile(desk.faulted))
    await expect(visit.page.get_by_role("alert").first).to_contain_text("no such table: replies")
    details = visit.page.get_by_role("region", name="Details")
    await expect(details).to_contain_text("insert into replies")
    await expect(details).to_contain_text("Allowed by policy workflow-steps")
    await visit.page.get_by_role("button", name="Picture").click()
    await expect(visit.page.get_by_label("keepReply, failed")).to_be_visible()
    await expect(visit.page.get_by_label("askPerson, not reached")).to_be_visible()
    await visit.page.get_by_label("checkReply, completed").click()
    await expect(details).to_contain_text("/do/8/checkReply#1")
    await expect(visit.page).to_have_url(re.compile(r"step=\d+"))
    await visit.page.reload()
    await expect(details).to_contain_text("/do/8/checkReply#1")


async def test_a_refund_is_approved_on_a_phone(desk: Desk, visit: Visit) -> None:
    await visit.page.set_viewport_size(PHONE)
    await visit.sign_in(LEAD)
    run = await desk.start({**TWICE, "customerId": "C-1136"})
    approval = await desk.approval_of(run)
    before = desk.refunds()
    await visit.page.get_by_role("navigation").get_by_role("link", name=re.compile("Approvals")).click()
    await visit.page.locator(f"a[href='/approvals/{approval}']").click()
    await expect(visit.page.get_by_text("Refunds above 100.00 euros")).to_be_visible()
    await expect(visit.page.get_by_text("refund-above-100-needs-approval")).to_be_visible()
    await expect(visit.page.get_by_text("bound to input.customerId")).to_be_visible()
    assert await visit.page.evaluate("document.documentElement.scrollWidth") == 390
    await visit.page.get_by_role("button", name="Approve").click()
    await expect(visit.page.get_by_role("status")).to_have_text("Approved: billing asks to refund")
    assert await desk.world.settled(run) == "completed"
    assert desk.refunds() == before + 1


async def test_the_inbox_is_cleared_by_keyboard_and_shows_new_ones_at_once(desk: Desk, visit: Visit) -> None:
    await visit.sign_in(LEAD)
    await visit.open("/approvals")
    run = await desk.start({**TWICE, "customerId": "C-1176"})
    approval = await desk.approval_of(run)
    await expect(visit.page.locator(f"a[href='/approvals/{approval}']")).to_be_visible()
    for _ in range(10):
        await visit.page.keyboard.press("j")
        await visit.page.wait_for_url(re.compile("/approvals/."))
        if visit.page.url.endswith(approval):
            break
    await visit.page.get_by_role("article").wait_for()
    await visit.page.keyboard.press("r")
    await visit.page.keyboard.type("Booked on two days: these are two purchases")
    await visit.page.keyboard.press("Control+Enter")
    await expect(visit.page.get_by_role("status")).to_have_text("Rejected: billing asks to refund")
    async with desk.world.client("viewer") as client:
        decided = (await client.get(f"/api/v1/approvals/{approval}")).json()
    assert decided["answer"]["verdict"] == "rejected"
    assert "two purchases" in decided["answer"]["reason"]


async def test_a_form_is_answered_and_a_run_moves_while_it_is_watched(desk: Desk, visit: Visit) -> None:
    run = await desk.start({"message": "hello", "customerId": "C-1019"})
    approval = await desk.approval_of(run)
    await visit.sign_in(LEAD)
    watched = await visit.page.context.new_page()
    await watched.goto(f"{desk.world.url}/runs/{run}")
    await expect(watched.locator("header").get_by_text("Waiting")).to_be_visible()
    await visit.open(f"/approvals/{approval}")
    await visit.page.get_by_label("reply").fill("How may we help you?")
    await visit.page.get_by_role("button", name="Send the answer").click()
    await expect(watched.locator("main header").get_by_text("Completed")).to_be_visible()
    await expect(watched.get_by_role("button", name=re.compile("keepReply"))).to_be_visible()


async def test_hostile_text_is_only_text(desk: Desk, visit: Visit) -> None:
    await visit.sign_in()
    await visit.open(f"/approvals/{await desk.approval_of(desk.handed)}")
    await expect(visit.page.get_by_role("article").get_by_text(HOSTILE)).to_be_visible()
    await visit.open(f"/runs/{desk.handed}")
    await expect(visit.page.get_by_role("region", name="Details").get_by_text(HOSTILE)).to_be_visible()


async def test_filters_stand_in_the_address_and_the_palette_goes_anywhere(desk: Desk, visit: Visit) -> None:
    await visit.sign_in()
    await visit.open("/runs")
    await visit.page.get_by_role("button", name="Faulted").click()
    await expect(visit.page.locator("tbody tr")).to_have_count(1)
    await visit.page.reload()
    await expect(visit.page.get_by_role("button", name="Faulted")).to_have_attribute("aria-pressed", "true")
    await expect(visit.page.locator("tbody tr")).to_have_count(1)
    await visit.page.keyboard.press("Control+k")
    await visit.page.keyboard.type(desk.asked)
    await visit.page.keyboard.press("Enter")
    await expect(visit.page).to_have_url(re.compile(f"/runs/{desk.asked}"))
    await expect(visit.page.get_by_role("link", name="billing asks to refund")).to_be_visible()


async def test_who_may_only_look_is_offered_nothing_to_do(desk: Desk, visit: Visit) -> None:
    await visit.sign_in("viewer")
    await visit.open(f"/approvals/{await desk.approval_of(desk.asked)}")
    await expect(visit.page.get_by_text("answering takes the role approver")).to_be_visible()
    await expect(visit.page.get_by_role("button", name="Approve")).to_have_count(0)
    await visit.open(f"/runs/{desk.faulted}")
    await expect(visit.page.get_by_role("button", name="Retry")).to_have_count(0)


@pytest.mark.skipif(not AXE.is_file(), reason="axe-core is not installed: `make console` installs it")
async def test_every_page_is_accessible_in_light_and_dark(desk: Desk, visit: Visit) -> None:
    await visit.open("/")
    found = await _violations(visit, "signed out")
    await visit.sign_in()
    pages = {
        "overview": "/",
        "runs": "/runs",
        "run": f"/runs/{desk.faulted}",
        "picture": f"/runs/{desk.faulted}?view=picture",
        "waiting run": f"/runs/{desk.asked}",
        "approvals": "/approvals",
        "approval": f"/approvals/{await desk.approval_of(desk.asked)}",
        "form": f"/approvals/{await desk.approval_of(desk.handed)}",
    }
    for name, path in pages.items():
        await visit.open(path)
        found += await _violations(visit, name)
    await visit.page.keyboard.press("Control+k")
    await visit.page.get_by_role("listbox").wait_for()
    found += await _violations(visit, "palette")
    await visit.page.set_viewport_size(PHONE)
    for name in ("overview", "run", "approval", "form"):
        await visit.open(pages[name])
        found += await _violations(visit, f"{name} on a phone", "dark")
    assert found == [], "\n".join(found)


async def _violations(visit: Visit, name: str, *only: Literal["light", "dark"]) -> list[str]:
    found: list[str] = []
    await visit.page.evaluate(AXE.read_text())
    for number, colours in enumerate(only or BOTH):
        await visit.page.emulate_media(color_scheme=colours)
        await expect(visit.page.locator("html")).to_have_attribute("data-theme", colours)
        # colours change nothing but contrasts
        rules = {"runOnly": ["color-contrast"]} if number else {}
        result = await visit.page.evaluate(
            "rules => axe.run(document, { resultTypes: ['violations'], ...rules })", rules
        )
        found += [
            f"{name} {colours}: {each['id']}: {node['target']} {node.get('failureSummary', '')}"
            for each in result["violations"]
            for node in each["nodes"]
        ]
    return found


def test_what_is_loaded_first_is_small() -> None:
    built = ROOT / "src" / "orchestrion" / "server" / "console"
    if not (built / "index.html").is_file():
        pytest.skip("The console is not built: `make console` builds it")
    first = re.findall(r'(?:src|href)="/(assets/[^"]+\.js)"', (built / "index.html").read_text())
    assert first
    assert sum(len(gzip.compress((built / name).read_bytes())) for name in first) <= 260_000


async def test_what_agents_said_to_each_other_is_a_conversation(desk: Desk, visit: Visit) -> None:
    await visit.sign_in(LEAD)
    message = {"message": "My card is lost, please block it", "customerId": "C-1021"}
    async with desk.world.client("operator") as client:
        given = {"workflow": "customer-team", "input": message}
        run = (await client.post("/api/v1/runs", json=given)).json()["id"]
    assert await desk.world.settled(run) == "completed"
    await visit.open(f"/runs/{run}")
    await visit.page.get_by_role("button", name="Conversation").click()
    await expect(visit.page).to_have_url(re.compile("view=conversation"))
    happened = visit.page.get_by_role("list", name="What happened")
    await expect(happened).to_contain_text("triage hands over to service-lead")
    await expect(happened).to_contain_text("technical query")
    await visit.page.get_by_role("button", name="Good answer").click()
    await expect(visit.page.get_by_role("button", name="Good answer")).to_have_attribute("aria-pressed", "true")


async def test_a_run_is_done_again_from_one_of_its_tasks(desk: Desk, visit: Visit) -> None:
    await visit.sign_in(LEAD)
    await visit.open(f"/runs/{desk.faulted}")
    details = visit.page.get_by_role("region", name="Details")
    await details.get_by_role("button", name="Rerun from keepReply").click()
    await expect(visit.page).not_to_have_url(re.compile(desk.faulted))
    await expect(visit.page.get_by_text("copy of")).to_be_visible()
    again = visit.page.url.rpartition("/")[2].partition("?")[0]
    assert await desk.world.settled(again) == "completed"
