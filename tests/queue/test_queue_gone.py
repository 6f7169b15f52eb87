"""A model that an organization's provider does not serve is tried again: after minutes, or when a person resumes."""

from datetime import UTC, datetime, timedelta

from queue_world import World

from imagequeue.queue import pools
from imagequeue.queue.reported import GONE_SECONDS, read_reported, report_gone

ORG, MODEL = "main", "dall-e-3"


def said(world: World, *, seconds_ago: float = 0.0) -> None:
    at = (datetime.now(UTC) - timedelta(seconds=seconds_ago)).isoformat()
    world.do(report_gone(world.scripts, ORG, MODEL, reason="model_not_found", at=at))


def gone(world: World) -> frozenset[tuple[str, str]]:
    return frozenset(world.do(read_reported(world.scripts)).gone)


def test_it_counts_as_not_served_for_some_minutes_and_then_it_is_tried_again(world: World) -> None:
    said(world)
    assert gone(world) == {(ORG, MODEL)}
    said(world, seconds_ago=GONE_SECONDS + 5)
    assert gone(world) == frozenset()


def test_who_resumes_a_pool_lets_all_models_of_its_organization_be_tried_again(world: World) -> None:
    said(world)
    world.do(pools.resume(world.scripts, "other|dall-e-3"))
    assert gone(world) == {(ORG, MODEL)}
    world.do(pools.resume(world.scripts, f"{ORG}|dall-e-3"))
    assert gone(world) == frozenset()
