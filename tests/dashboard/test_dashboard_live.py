"""The stream of a live page: what comes when something changed, when nothing did, and when it ends."""

import asyncio
import json
import time
from collections.abc import Callable

import aiohttp
import pytest
from dashboard_door import FakeDoor, FakeKey, status, summary
from dashboard_server import served
from dashboard_visitor import Visitor

from imagequeue.dashboard import handlers
from imagequeue.dashboard.memory import Memory

Visit = Callable[[FakeDoor], Visitor]


async def told(answer: aiohttp.ClientResponse) -> tuple[str, str]:
    """Return the next event: its name, empty for a page, and its data."""
    name = data = ""
    async for line in answer.content:
        text = line.decode().rstrip("\n")
        if not text:
            return name, data
        field, _, value = text.partition(": ")
        name, data = (value, data) if field == "event" else (name, value)
    return "end", ""


def test_a_page_comes_when_it_changed_and_a_word_when_it_did_not(
    door: FakeDoor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(handlers, "MONEY_SECONDS", 4.0)  # longer than from one look to the next
    door.status, door.summary = status(), summary("main")

    async def look(address: str) -> None:
        async with (
            aiohttp.ClientSession(read_bufsize=2**20) as session,
            session.get(f"{address}/dashboard/live", params={"page": "/dashboard/ledger?by=model"}) as answer,
        ):
            assert answer.content_type == "text/event-stream"
            assert answer.headers["Content-Security-Policy"].startswith("default-src 'none'")
            name, data = await told(answer)
            assert name == ""
            assert json.loads(data)["ok"] is True
            assert "By model" in json.loads(data)["page"]
            assert await told(answer) == ("same", "")
            door.broken = 503
            while (event := await told(answer))[0] == "same":
                pass
            assert json.loads(event[1])["ok"] is False

    with served(door) as address:
        asyncio.run(look(address))


def test_a_stream_ends_when_the_door_closes(door: FakeDoor) -> None:
    door.status = status()

    async def look(address: str) -> float:
        async with (
            aiohttp.ClientSession(read_bufsize=2**20) as session,
            session.get(f"{address}/dashboard/live", params={"page": "/dashboard/pools"}) as answer,
        ):
            await told(answer)
            door.closing = True
            began = time.monotonic()
            while (await told(answer))[0] != "end":
                pass
            return time.monotonic() - began

    with served(door) as address:
        assert asyncio.run(look(address)) < 10


def test_a_stream_ends_when_its_key_opens_nothing_any_more(door: FakeDoor, visit: Visit) -> None:
    door.keys, door.status = {"iq_key": FakeKey()}, status()
    visitor = visit(door)
    assert visitor.get("/dashboard/live?page=/dashboard/").status_code == 303


@pytest.mark.parametrize(
    "page",
    ["", "/dashboard/settings", "/v1/jobs", "/dashboard/jobs/", "/dashboard/jobs/a/b", "//evil", "/dashboard/live"],
)
def test_only_live_pages_are_sent(door: FakeDoor, visit: Visit, page: str) -> None:
    assert visit(door).get(f"/dashboard/live?page={page}").status_code == 404


def test_many_who_ask_at_once_share_one_reading_and_its_failure() -> None:
    memory: Memory[str] = Memory()
    made: list[str] = []

    async def make() -> str:
        made.append("made")
        await asyncio.sleep(0)
        if len(made) == 2:
            raise ValueError("away")
        return f"thing {len(made)}"

    async def play() -> None:
        assert await asyncio.gather(*(memory.shared("a", 60, make) for _ in range(10))) == ["thing 1"] * 10
        assert await memory.shared("a", 60, make) == "thing 1"
        memory.clear()
        failed = await asyncio.gather(*(memory.shared("a", 60, make) for _ in range(3)), return_exceptions=True)
        assert [str(error) for error in failed] == ["away"] * 3
        assert await memory.shared("a", 60, make) == "thing 3"

    asyncio.run(play())
    assert len(made) == 3
