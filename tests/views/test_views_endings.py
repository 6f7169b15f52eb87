"""Waiting for jobs tells of each end once, whether it was announced or had happened before."""

import asyncio

import pytest
from views_stage import Stage, on_stage

from imagequeue.config.errors import NotFound
from imagequeue.config.settings import Settings


def test_jobs_are_told_once_each_as_they_end(settings: Settings) -> None:
    async def play(stage: Stage) -> None:
        ids = await stage.put(6)
        before, *rest = await stage.claim(6)
        await stage.finish(before)

        async def work() -> None:
            for claim in rest[:-1]:
                await stage.finish(claim)
            await stage.fail(rest[-1])

        working = asyncio.create_task(work())
        told = [(view.id, view.status) async for view in stage.client.as_completed(ids, 20)]
        await working
        assert sorted(told) == sorted([*((job_id, "succeeded") for job_id in ids[:-1]), (ids[-1], "failed")])

    on_stage(settings, play)


def test_a_cancelled_job_ends_the_wait(settings: Settings) -> None:
    async def play(stage: Stage) -> None:
        (job_id,) = await stage.put()
        waiting = asyncio.create_task(stage.client.wait(job_id, 20))
        await stage.client.cancel(job_id)
        assert (await waiting).status == "cancelled"

    on_stage(settings, play)


def test_the_wait_ends_with_its_time_or_with_an_unknown_job(settings: Settings) -> None:
    async def play(stage: Stage) -> None:
        (job_id,) = await stage.put()
        with pytest.raises(TimeoutError, match=r"1 of 1 jobs have not ended in 0\.05 s"):
            await stage.client.wait(job_id, 0.05)
        with pytest.raises(NotFound):
            await stage.client.wait("nope", 5)

    on_stage(settings, play)
