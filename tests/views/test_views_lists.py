"""Lists go through all places, newest first, in bounded pages that lose and repeat nothing while jobs move on."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st
from views_stage import Stage, on_stage

from imagequeue.config.errors import JobRefused
from imagequeue.config.settings import Settings
from imagequeue.queue.listing import JobQuery, decode_cursor, encode_cursor
from imagequeue.queue.shelves import PLACES, Shelf


async def all_pages(stage: Stage, **query: object) -> list[str]:
    """Return the ids of all pages."""
    found: list[str] = []
    after: str | None = None
    for _ in range(1000):
        page = await stage.client.list_jobs(JobQuery(after=after, **query))  # type: ignore[arg-type]  # as the test says
        found += [view.id for view in page.jobs]
        after = page.next
        if after is None:
            return found
    raise AssertionError("the pages do not end")


async def fill(stage: Stage) -> dict[str, list[str]]:
    """Put jobs in every state; return their ids by status, in the order of their enqueueing."""
    ids = await stage.put(14)
    claims = await stage.claim(14)
    assert [claim.id for claim in claims] == ids
    for claim in claims[:3]:
        await stage.finish(claim)
    for claim in claims[3:5]:
        await stage.fail(claim)
    await stage.fail(claims[5], "expired")
    await stage.park(claims[6])
    await stage.give_back(claims[7], 60_000_000, {"reason": "backoff", "until": None, "detail": ""})
    queued = await stage.put(9, priority="low", tenant="shop", tags={"campaign": "spring"})
    await stage.client.cancel(queued[4])
    return {
        "succeeded": ids[:3],
        "failed": ids[3:5],
        "expired": ids[5:6],
        "waiting": ids[6:8],
        "running": ids[8:],
        "cancelled": [queued[4]],
        "queued": queued[:4] + queued[5:],
    }


@pytest.mark.parametrize("limit", [1, 4, 1000])
def test_pages_of_any_size_show_every_job_once(settings: Settings, limit: int) -> None:
    async def play(stage: Stage) -> None:
        jobs = await fill(stage)
        found = await all_pages(stage, limit=limit)
        assert sorted(found) == sorted(job_id for ids in jobs.values() for job_id in ids)
        for status, ids in jobs.items():
            assert sorted(await all_pages(stage, statuses=(status,), limit=limit)) == sorted(ids)

    on_stage(settings, play)


def test_filters_hold_together(settings: Settings) -> None:
    async def play(stage: Stage) -> None:
        jobs = await fill(stage)
        shop = sorted(jobs["queued"] + jobs["cancelled"])
        assert sorted(await all_pages(stage, tenant="shop")) == shop
        assert sorted(await all_pages(stage, tags={"campaign": "spring"})) == shop
        assert await all_pages(stage, tags={"campaign": "autumn"}) == []
        assert await all_pages(stage, tenant="shop", priority="high") == []
        assert await all_pages(stage, model="gpt-image-2") == []

    on_stage(settings, play)


def test_queued_jobs_are_listed_newest_first_and_new_ones_repeat_nothing(settings: Settings) -> None:
    async def play(stage: Stage) -> None:
        ids = await stage.put(6)
        first = await stage.client.list_jobs(JobQuery(limit=2))
        assert [view.id for view in first.jobs] == ids[:3:-1]
        await stage.put(3)
        await stage.claim(2)
        second = await stage.client.list_jobs(JobQuery(limit=2, after=first.next, statuses=("queued",)))
        assert [view.id for view in second.jobs] == ids[3:1:-1]

    on_stage(settings, play)


def test_a_job_that_has_left_the_registry_ends_no_listing(settings: Settings) -> None:
    async def play(stage: Stage) -> None:
        await stage.put(5)
        claims = await stage.claim(5)
        page = await stage.client.list_jobs(JobQuery(limit=2, statuses=("running",)))
        by_id = {claim.id: claim for claim in claims}
        for view in page.jobs:
            await stage.finish(by_id[view.id])
        rest = await stage.client.list_jobs(JobQuery(limit=10, statuses=("running",), after=page.next))
        assert len(rest.jobs) == 3

    on_stage(settings, play)


@pytest.mark.parametrize("cursor", ["", "x", "WyJxdWV1ZWQi", "A" * 5000, "\N{SNOWMAN}"])
def test_a_cursor_that_is_none_is_refused(cursor: str) -> None:
    with pytest.raises(JobRefused, match="after: the cursor"):
        decode_cursor(cursor)


@given(
    place=st.integers(0, len(PLACES) - 1),
    queue=st.text(max_size=20),
    score=st.floats(allow_nan=False, allow_infinity=False),
    member=st.text(max_size=20),
)
def test_a_cursor_comes_back_as_it_was(place: int, queue: str, score: float, member: str) -> None:
    shelf = Shelf(rank=place, queue=queue)
    assert decode_cursor(encode_cursor(shelf, (score, member))) == (shelf, (score, member))


@given(st.text(max_size=80))
def test_any_text_is_a_cursor_or_refused(cursor: str) -> None:
    with suppress(JobRefused):
        shelf, _ = decode_cursor(cursor)
        assert shelf.place in PLACES


@pytest.mark.parametrize("limit", [0, 1001])
def test_a_page_is_bounded(limit: int) -> None:
    with pytest.raises(JobRefused, match="limit: 1 to 1000"):
        JobQuery(limit=limit)
