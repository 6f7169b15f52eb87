"""The page in a real Chromium: nothing hostile runs or leaves, it stays live, it can be used by keys and read aloud."""

import asyncio
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import uvicorn
from dashboard_chromium import Browser, browser, chromium_binary
from dashboard_door import FakeDoor, FakeKey, job, status, summary
from dashboard_payloads import PAYLOADS

PAGES = ("/dashboard/", "/dashboard/jobs", "/dashboard/images", "/dashboard/pools", "/dashboard/ledger")
CHROMIUM = chromium_binary()

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine; apt-get install chromium brings one"),
]

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


@contextmanager
def served(door: FakeDoor) -> Iterator[str]:
    """Give the address of a server with the page, on a port of its own."""
    listener = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(door.app(), log_config=None, lifespan="off", ws="none"))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join(20)
        listener.close()


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


def test_forty_hostile_texts_in_every_field_run_nothing_and_reach_nobody(door: FakeDoor, tmp_path: Path) -> None:
    hostile(door)

    async def look() -> None:
        async with browser(str(CHROMIUM), tmp_path / "profile") as page:
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


def test_the_page_stays_live_says_when_it_is_not_and_comes_back(door: FakeDoor, tmp_path: Path) -> None:
    door.status, door.summary = status(), summary("main")

    async def look() -> None:
        async with browser(str(CHROMIUM), tmp_path / "profile") as page:
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


def test_a_person_logs_in_retries_what_failed_and_logs_out(door: FakeDoor, tmp_path: Path) -> None:
    door.keys = {"iq_key": FakeKey()}
    door.status, door.jobs = status(), [job("one", state="failed"), job("two", state="failed")]

    async def look() -> None:
        async with browser(str(CHROMIUM), tmp_path / "profile") as page:
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


@pytest.mark.parametrize(("width", "dark"), [(1280, False), (1280, True), (390, False)])
def test_everything_has_a_name_enough_contrast_and_room(
    door: FakeDoor,
    tmp_path: Path,
    width: int,
    dark: bool,  # noqa: FBT001 - a parameter of the test
) -> None:
    suspended = {**status()["pools"][0], "suspended": "401 invalid_api_key"}
    door.status = status(pools=[*status()["pools"], suspended], held_tenants=[{"tenant": "a", "detail": "cap"}])
    door.jobs = [job("one", "A very long prompt " * 200, "failed"), job("two", "منارة عند الغروب"), job("three")]
    door.summary, door.following = summary("main", "other"), "more"

    async def look() -> None:
        async with browser(str(CHROMIUM), tmp_path / "profile") as page:
            await page.size(width, 800, dark=dark)
            for path in (*PAGES, "/dashboard/settings", "/dashboard/jobs/one", "/dashboard/jobs/none"):
                await page.open(f"{address}{path}")
                assert await page.evaluate(UNNAMED) == [], path
                assert await page.evaluate(CONTRAST) == [], path
                assert await page.evaluate("document.querySelectorAll('h1').length") == 1
                assert await page.evaluate("document.documentElement.lang") == "en"
                assert await page.evaluate("document.documentElement.scrollWidth <= innerWidth"), path

    with served(door) as address:
        asyncio.run(look())


def test_the_first_key_leads_past_the_navigation(door: FakeDoor, tmp_path: Path) -> None:
    door.status = status()

    async def look() -> None:
        async with browser(str(CHROMIUM), tmp_path / "profile") as page:
            await page.open(f"{address}/dashboard/")
            for kind in ("keyDown", "keyUp"):
                await page.send("Input.dispatchKeyEvent", type=kind, key="Tab", code="Tab", windowsVirtualKeyCode=9)
            assert await page.evaluate("document.activeElement.textContent") == "Skip to the content"
            assert await page.evaluate("document.activeElement.getBoundingClientRect().left >= 0")

    with served(door) as address:
        asyncio.run(look())
