"""Whose an image is: a lookup by digest and tenant, filled by what is given in, made, or answered from elsewhere."""

import asyncio
from dataclasses import replace
from importlib import import_module

from ledger_values import held, image, opened, settlement
from sqlalchemy import text

from imagequeue.ledger.api import CacheHit, JobFacts
from imagequeue.ledger.database import parse_url, writer_engine

MIGRATION = import_module("imagequeue.ledger.migrations.versions.0008_images")
MINE, OTHERS = "aa" * 32, "bb" * 32


def test_an_image_is_only_that_tenants_who_gave_it_in_or_had_it_made(ledger_url: str) -> None:
    async def story() -> None:
        async with opened(ledger_url) as ledger:
            await ledger.own_images("red", [image(MINE), image(MINE)])
            await ledger.own_images("red", [image(MINE)])
            await ledger.own_images("red", [])
            hold = await held(ledger, tenant="blue")
            await ledger.settle(hold.attempt_id, settlement(images=(image(OTHERS),)))
            mine = await ledger.owned_images("red", [MINE, OTHERS])
            assert mine == {MINE: replace(image(MINE), revised_prompt=None)}
            assert set(await ledger.owned_images("blue", [MINE, OTHERS])) == {OTHERS}
            assert await ledger.owned_images("green", [MINE, OTHERS]) == {}
            assert await ledger.owned_images("red", []) == {}

    asyncio.run(story())


def test_who_is_answered_from_the_cache_owns_the_image_too(ledger_url: str) -> None:
    async def story() -> None:
        async with opened(ledger_url) as ledger:
            facts = JobFacts(model="dall-e-3", tenant="green")
            await ledger.record_outcome("hit", CacheHit(images=(image(MINE),), saved_nano=1), facts)
            assert set(await ledger.owned_images("green", [MINE])) == {MINE}

    asyncio.run(story())


def test_one_tenant_gives_the_same_images_in_from_many_tasks_at_once(ledger_url: str) -> None:
    async def story() -> None:
        async with opened(ledger_url) as ledger, opened(ledger_url) as other:
            images = [image(f"{number:064x}") for number in range(20)]
            givers = (
                one.own_images("red", images[:: 1 if turn % 2 else -1]) for turn in range(20) for one in (ledger, other)
            )
            await asyncio.gather(*givers)
            assert len(await ledger.owned_images("red", [one.sha256 for one in images])) == len(images)

    asyncio.run(story())


def test_the_images_of_older_books_keep_their_owners(ledger_url: str) -> None:
    """The table comes with a migration that reads the outcomes there are."""

    async def make() -> None:
        async with opened(ledger_url) as ledger:
            for tenant, sha256 in (("red", MINE), ("red", MINE), ("blue", MINE), ("blue", OTHERS)):
                hold = await held(ledger, tenant=tenant)
                await ledger.settle(hold.attempt_id, settlement(images=(image(sha256),)))

    asyncio.run(make())
    engine = writer_engine(parse_url(ledger_url))
    with engine.begin() as connection:
        dialect = connection.dialect.name
        connection.exec_driver_sql("DELETE FROM ledger_image")
        connection.exec_driver_sql(MIGRATION.FROM_OUTCOMES[dialect])
        rows = connection.execute(text("SELECT tenant, sha256, bytes FROM ledger_image ORDER BY 1, 2")).all()
    engine.dispose()
    one = image()
    assert [tuple(row) for row in rows] == [
        ("blue", MINE, one.bytes), ("blue", OTHERS, one.bytes), ("red", MINE, one.bytes)
    ]  # fmt: skip
