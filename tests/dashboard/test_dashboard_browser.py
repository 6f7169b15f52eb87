"""The page in a real Chromium: nothing hostile runs or leaves, it stays live, it can be used by keys and read aloud."""

import asyncio
import json
import os
from pathlib import Path

import pytest
from dashboard_chromium import Browser, browser, chromium_binary
from dashboard_door import FakeDoor, FakeKey, books, job, status, summary
from dashboard_payloads import PAYLOADS
from dashboard_scene import clear_scene, set_scene
from dashboard_server import served

PAGES = (
    "/dashboard/", "/dashboard/jobs", "/dashboard/jobs?status=failed", "/dashboard/images", "/dashboard/pools",
    "/dashboard/ledger", "/dashboard/plan", "/dashboard/plan?images_per_day=100000",
)  # fmt: skip
AXE = Path(__file__).parents[1] / "node" / "node_modules" / "axe-core" / "axe.min.js"
EVERYTHING = {"resultTypes": ["violations"]}
COLOURS = EVERYTHING | {"runOnly": ["color-contrast", "link-in-text-block"]}
SERIOUS = """
axe.run(document, %s).then((found) => found.violations
  .filter((one) => one.impact === "serious" || one.impact === "critical")
  .map((one) => `${one.id}: ${one.nodes.map((node) => node.html.slice(0, 200)).join(" | ")}`))
"""

pytestmark = pytest.mark.browser


@pytest.fixture
def chromium() -> str:
    """Return the browser's program; without one, tests skip on a laptop and fail in CI."""
    return needed(chromium_binary(), "no Chromium on this machine; apt-get install chromium brings one")


def needed(found: str | None, reason: str) -> str:
    """Return what was found, or say why the test cannot run."""
    if found is not None:
        return found
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(reason)


ALL = (
    *PAGES, "/dashboard/settings", "/dashboard/jobs/one", "/dashboard/jobs/two", "/dashboard/jobs/none",
    "/dashboard/jobs/four",
)  # fmt: skip
LISTS = (
    ("/v1/ledger/caps", "caps"), ("/v1/ledger/doubts", "doubts"), ("/v1/ledger/reconciliation", "days"),
    ("/v1/ledger/credits", "credits"), ("/v1/webhooks", "endpoints"), ("/v1/jobs/webhooks", "webhooks"),
    ("/v1/advice", "findings"),
)  # fmt: skip
UNNAMED = """
[...document.querySelectorAll("input:not([type=hidden]), select, button, a, img, meter, svg")].filter((one) => {
  const name = one.getAttribute("aria-label") || one.alt || (one.labels && one.labels.length && "label")
    || one.querySelector("img")?.alt || one.textContent.trim();
  return !name;
}).map((one) => one.outerHTML)
"""
UNTOUCHED = "document.scripts.length === 1 && getComputedStyle(document.body).display === 'block'"
CONTRAST = """
(() => {
  const light = (rgb) => {
    const [r, g, b] = rgb.map((part) => part / 255).map((c) => c <= 0.03928 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4);
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const parts = (colour) => colour.match(/[0-9.]+/g).map(Number);
  const behind = (node) => {
    for (let one = node; one; one = one.parentElement) {
      const colour = parts(getComputedStyle(one).backgroundColor);
      if (colour.length === 3 || colour[3] > 0) return colour.slice(0, 3);
    }
    return [255, 255, 255];
  };
  const low = [];
  for (const node of document.querySelectorAll("body *")) {
    const own = [...node.childNodes].some((child) => child.nodeType === 3 && child.textContent.trim());
    if (!own || !node.checkVisibility() || node.closest("option")) continue;
    const [a, b] = [light(parts(getComputedStyle(node).color).slice(0, 3)), light(behind(node))].sort((x, y) => y - x);
    if ((a + 0.05) / (b + 0.05) < 4.5) low.push(node.outerHTML.slice(0, 200));
  }
  return low;
})()
"""


def check_harmless(page: Browser, address: str) -> None:
    """Assert that nothing ran, nothing was asked of another origin, and the content policy had nothing to refuse."""
    assert page.dialogs == []
    assert [url for url in page.requests if not url.startswith(f"{address}/dashboard")] == []
    assert page.reports == []


def hostile(door: FakeDoor) -> None:
    """Fill every field that somebody else can write."""
    states = [status(payload) for payload in PAYLOADS]
    door.status = status(
        pools=[{**state["pools"][0], "suspended": payload} for state, payload in zip(states, PAYLOADS, strict=True)],
        queues=[state["queues"][0] for state in states],
        workers=[{**state["workers"][0], "note": payload} for state, payload in zip(states, PAYLOADS, strict=True)],
        held_tenants=[{"tenant": payload, "reason": payload, "detail": payload} for payload in PAYLOADS],
    )
    door.jobs = [job(f"job-{place}", payload) for place, payload in enumerate(PAYLOADS)]
    door.summary = summary(*PAYLOADS)
    every = [books(payload) for payload in PAYLOADS]
    door.more = every[0]
    for path, key in LISTS:
        door.more[path][key] = [row for one in every for row in one[path][key]]
    door.more["/v1/plan"] |= {"advice": list(PAYLOADS), "models": [one["/v1/plan"]["models"][0] for one in every]}


def test_forty_hostile_texts_in_every_field_run_nothing_and_reach_nobody(
    door: FakeDoor, tmp_path: Path, chromium: str
) -> None:
    hostile(door)

    async def look() -> None:
        async with browser(chromium, tmp_path / "profile") as page:
            for path in [*PAGES, *(f"/dashboard/jobs/job-{place}" for place in range(len(PAYLOADS)))]:
                await page.open(f"{address}{path}")
                assert await page.evaluate(UNTOUCHED), path
            await page.open(f"{address}/dashboard/")
            await page.until("document.querySelector('#live-state').textContent === 'Live'")
            door.status["totals"]["queued"] = 4_711
            await page.until("document.querySelector('#live-tiles').textContent.includes('4,711')")
            check_harmless(page, address)

    with served(door) as address:
        asyncio.run(look())


def test_the_page_stays_live_says_when_it_is_not_and_comes_back(door: FakeDoor, tmp_path: Path, chromium: str) -> None:
    door.status, door.summary = status(), summary("main")

    async def look() -> None:
        async with browser(chromium, tmp_path / "profile") as page:
            await page.open(f"{address}/dashboard/")
            door.broken = 503
            await page.until("document.querySelector('#content').textContent.includes('cannot show jobs')")
            await page.until("document.querySelector('#live-state').textContent.startsWith('Not live')")
            door.broken = 0
            await page.until("document.querySelector('#live-queues') !== null")
            await page.until("document.querySelector('#live-state').textContent === 'Live'")
            assert page.dialogs == []

    with served(door) as address:
        asyncio.run(look())


def test_a_person_logs_in_retries_what_failed_and_logs_out(door: FakeDoor, tmp_path: Path, chromium: str) -> None:
    door.keys = {"iq_key": FakeKey()}
    door.status, door.jobs = status(), [job("one", state="failed"), job("two", state="failed")]

    async def look() -> None:
        async with browser(chromium, tmp_path / "profile") as page:
            await page.open(f"{address}/dashboard/jobs")
            await page.evaluate("document.querySelector('[name=key]').value = 'iq_key'")
            await page.click("main button")
            assert await page.evaluate("location.pathname") == "/dashboard/jobs"
            assert await page.evaluate("document.cookie") == ""
            await page.evaluate("document.querySelector('[data-all]').click()")
            await page.click("button[value=retry]")
            assert "Retry: 2 jobs done" in await page.evaluate("document.body.innerText")
            await page.click(".logout button")
            assert await page.evaluate("location.pathname") == "/dashboard/login"
            check_harmless(page, address)

    with served(door) as address:
        asyncio.run(look())
    acts = [(path, body) for method, path, _, body in door.asked if method == "POST"]
    assert acts == [("/v1/jobs/one/retry", "{}"), ("/v1/jobs/two/retry", "{}")]


@pytest.mark.parametrize(("width", "dark"), [(1280, False), (1280, True), (360, False)])
def test_everything_has_a_name_enough_contrast_and_room(
    door: FakeDoor,
    tmp_path: Path,
    chromium: str,
    width: int,
    dark: bool,  # noqa: FBT001 - a parameter of the test
) -> None:
    set_scene(door)

    async def look() -> None:
        async with browser(chromium, tmp_path / "profile") as page:
            await page.size(width, 800, dark=dark)
            for path in ALL:
                await page.open(f"{address}{path}")
                assert await page.evaluate(UNNAMED) == [], path
                assert await page.evaluate(CONTRAST) == [], path
                assert await page.evaluate("document.querySelectorAll('h1').length") == 1
                assert await page.evaluate("document.documentElement.lang") == "en"
                assert await page.evaluate("document.documentElement.scrollWidth <= innerWidth"), path

    with served(door) as address:
        asyncio.run(look())


@pytest.mark.parametrize("dark", [False, True])
def test_axe_finds_nothing_serious_on_any_page(
    door: FakeDoor,
    tmp_path: Path,
    chromium: str,
    dark: bool,  # noqa: FBT001 - a parameter of the test
) -> None:
    """Twice: with everything there is, and with nothing; and what is told when the door or the ledger is away.

    In the dark only colours differ, so only the rules about colours are asked once more.
    """
    axe = Path(needed(str(AXE) if AXE.exists() else None, "no axe-core; npm ci --prefix tests/node brings it"))
    source = axe.read_text()
    serious = SERIOUS % json.dumps(COLOURS if dark else EVERYTHING)

    async def check(page: Browser, path: str) -> None:
        await page.open(f"{address}{path}")
        await page.send("Runtime.evaluate", expression=source)
        assert await page.evaluate(serious) == [], path

    async def look() -> None:
        async with browser(chromium, tmp_path / "profile") as page:
            await page.send("Page.setBypassCSP", enabled=True)  # for the checker only; no page gets it otherwise
            await page.size(1280, 800, dark=dark)
            set_scene(door)
            for path in ALL:
                await check(page, path)
            clear_scene(door)
            for path in PAGES:
                await check(page, path)
            door.ledger_broken = 503
            await check(page, "/dashboard/ledger")
            door.broken = 503
            await check(page, "/dashboard/")
            door.broken, door.ledger_broken, door.keys = 0, 0, {"iq_key": FakeKey()}
            await check(page, "/dashboard/login")

    with served(door) as address:
        asyncio.run(look())


def test_the_first_key_leads_past_the_navigation(door: FakeDoor, tmp_path: Path, chromium: str) -> None:
    door.status = status()

    async def look() -> None:
        async with browser(chromium, tmp_path / "profile") as page:
            await page.open(f"{address}/dashboard/")
            for kind in ("keyDown", "keyUp"):
                await page.send("Input.dispatchKeyEvent", type=kind, key="Tab", code="Tab", windowsVirtualKeyCode=9)
            assert await page.evaluate("document.activeElement.textContent") == "Skip to the content"
            assert await page.evaluate("document.activeElement.getBoundingClientRect().left >= 0")

    with served(door) as address:
        asyncio.run(look())
