"""What `enqueue` prints: ids, and with --wait how the jobs go and how they ended."""

from collections.abc import Sequence
from contextlib import aclosing
from typing import Final

import typer

from imagequeue.producer.client import AsyncImageQueue, JobHandle
from imagequeue.producer.commands.output import print_error, print_json, print_line
from imagequeue.producer.commands.progress import Bar, Tally, bar
from imagequeue.queue.views import JobView

SHOWN_FAILURES_MAX: Final = 20
LOOK_SECONDS: Final = 2.0
PARKED_LOOKS: Final = 2
"""So many looks in a row must find nothing but jobs that wait for a person before the wait is given up."""


def print_handles(handles: Sequence[JobHandle], *, as_json: bool) -> None:
    """Print the ids, one a line or as JSON."""
    if as_json:
        print_json({"jobs": [{"id": handle.id, "created": handle.created} for handle in handles]})
        return
    if handles:
        typer.echo("\n".join(handle.id for handle in handles))


async def wait_and_print(queue: AsyncImageQueue, handles: Sequence[JobHandle], *, as_json: bool) -> int:
    """Wait until all jobs have ended, or wait for a person; print them and return the exit code."""
    views: dict[str, JobView] = {}
    tally = Tally()
    with bar("waiting", len(handles)) as shown:
        await _wait(queue, {handle.id for handle in handles}, views, tally, shown)
    ordered = [views[handle.id] for handle in handles if handle.id in views]
    if as_json:
        print_json({"jobs": [view.as_json() for view in ordered]})
    else:
        _print_ends(ordered, tally, open_count=len(handles) - tally.ended)
    return 0 if tally.statuses["succeeded"] == len(handles) else 1


async def _wait(queue: AsyncImageQueue, ids: set[str], views: dict[str, JobView], tally: Tally, shown: Bar) -> None:
    remaining = set(ids)
    looks_parked = 0
    while remaining and looks_parked < PARKED_LOOKS:
        before = len(remaining)
        try:
            async with aclosing(queue.as_completed(remaining, LOOK_SECONDS)) as ending:
                async for view in ending:
                    views[view.id] = view
                    remaining.discard(view.id)
                    tally.add(view)
                    shown.show(tally.ended, tally.describe())
        except TimeoutError:
            idle = len(remaining) == before
            looks_parked = looks_parked + 1 if idle and await _all_parked(queue, remaining, views) else 0
            shown.show(tally.ended, tally.describe())
        else:
            return


async def _all_parked(queue: AsyncImageQueue, ids: set[str], views: dict[str, JobView]) -> bool:
    """Whether every job waits for a person; their views are kept."""
    for job_id in ids:
        view = await queue.get(job_id)
        if view.waiting is None or view.waiting.reason != "doubt":
            return False
        views[job_id] = view
    return True


def _print_ends(views: Sequence[JobView], tally: Tally, *, open_count: int) -> None:
    lines = [f"{view.id}  {view.status}  {' '.join(image.url for image in view.images)}".rstrip() for view in views]
    if lines:
        typer.echo("\n".join(lines))
    bad = [view for view in views if view.error is not None]
    for view in bad[:SHOWN_FAILURES_MAX]:
        print_error(f"{view.id}: {view.error.code}: {view.error.message}" if view.error else view.id)
    if open_count:
        print_error(f"{open_count} wait for a person: the provider never answered a call; see `imagequeue jobs list`")
    print_line(tally.describe())
