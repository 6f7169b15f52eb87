"""The commands `jobs list|show|cancel|retry|priority|keep`: look at jobs, and act on one or many."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Annotated, Literal, TypeVar, get_args

import typer

from imagequeue.config.errors import ImageQueueError, JobRefused

if TYPE_CHECKING:
    from imagequeue.producer.client import AsyncImageQueue
    from imagequeue.queue.acts import Acted
    from imagequeue.queue.views import JobView

Answer = TypeVar("Answer")

Ids = Annotated[list[str], typer.Argument(metavar="ID...", help="One or more job ids.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def register(app: typer.Typer) -> None:
    """Add the commands to an application."""
    jobs = typer.Typer(no_args_is_help=True, help="Look at jobs, cancel them, try them again, keep their images.")
    jobs.command("list")(list_jobs)
    jobs.command("show")(show)
    jobs.command("cancel")(cancel)
    jobs.command("retry")(retry)
    jobs.command("priority")(priority)
    jobs.command("keep")(keep)
    app.add_typer(jobs, name="jobs")


def list_jobs(
    status: Annotated[
        list[str] | None,
        typer.Option(help="queued, waiting, running, succeeded, failed, cancelled or expired; may be repeated."),
    ] = None,
    model: Annotated[str | None, typer.Option(help="Only this model.")] = None,
    priority: Annotated[str | None, typer.Option(help="Only this priority.")] = None,
    tenant: Annotated[str | None, typer.Option(help="Only this tenant.")] = None,
    tag: Annotated[list[str] | None, typer.Option(help="k=v; only jobs with this tag; may be repeated.")] = None,
    limit: Annotated[int, typer.Option(help="Most jobs to show, up to 1000.")] = 50,
    after: Annotated[str | None, typer.Option(help="The cursor of the page before.")] = None,
    as_json: AsJson = False,  # noqa: FBT002 - typer makes an option of it
) -> None:
    """List jobs: running first, then queued, waiting and ended ones, newest first."""
    from imagequeue.producer.commands.enqueue import parse_tags
    from imagequeue.producer.commands.jobs_view import print_page
    from imagequeue.producer.commands.output import print_json
    from imagequeue.queue.listing import JobQuery

    query = JobQuery(
        statuses=tuple(_status(word) for word in status or ()),
        model=model,
        priority=_priority_or_none(priority),
        tenant=tenant,
        tags=parse_tags(tag or ()),
        limit=limit,
        after=after,
    )
    page = _run(lambda queue: queue.list_jobs(query))
    if as_json:
        print_json(page.as_json())
    else:
        print_page(page)


def show(ids: Ids, as_json: AsJson = False) -> None:  # noqa: FBT002 - typer makes an option of it
    """Show jobs: what was asked, why it waits and until when, every attempt with its cost, and the images."""
    from imagequeue.producer.commands.jobs_view import print_job
    from imagequeue.producer.commands.output import print_json

    views = _run(lambda queue: _gather(queue.get, ids))
    if as_json:
        documents = [view.as_json() for view in views]
        print_json(documents[0] if len(ids) == 1 else {"jobs": documents})
        return
    for view in views:
        print_job(view)


def cancel(ids: Ids, as_json: AsJson = False) -> None:  # noqa: FBT002 - typer makes an option of it
    """Cancel jobs: at once while they wait, before the call while they run, not after their end."""
    _act(ids, lambda queue, job_id: queue.cancel(job_id), as_json=as_json)


def retry(
    ids: Ids,
    priority: Annotated[str | None, typer.Option(help="high, default or low: queue it there instead.")] = None,
    as_json: AsJson = False,  # noqa: FBT002 - typer makes an option of it
) -> None:
    """Queue failed, cancelled, expired or waiting jobs again, with all their attempts anew."""
    chosen = _priority_or_none(priority)
    _act(ids, lambda queue, job_id: queue.retry(job_id, priority=chosen), as_json=as_json)


def priority(
    job_id: Annotated[str, typer.Argument(metavar="ID", help="A job that has not started.")],
    to: Annotated[str, typer.Argument(metavar="PRIORITY", help="high, default or low.")],
    as_json: AsJson = False,  # noqa: FBT002 - typer makes an option of it
) -> None:
    """Let a queued or waiting job go on at another priority."""
    chosen = _priority(to)
    _act([job_id], lambda queue, one: queue.prioritize(one, chosen), as_json=as_json)


def keep(
    ids: Ids,
    image: Annotated[list[str] | None, typer.Option(help="SHA-256 of an image that is used; default: all.")] = None,
    as_json: AsJson = False,  # noqa: FBT002 - typer makes an option of it
) -> None:
    """Note which images are used, so that reports can tell the cost of an image that was kept."""
    _act(ids, lambda queue, job_id: queue.keep(job_id, image or None), as_json=as_json)


def _priority(word: str) -> "Literal['high', 'default', 'low']":
    from imagequeue.config.job import PRIORITIES

    if word not in PRIORITIES:
        raise JobRefused("priority", f"accepted: {', '.join(PRIORITIES)}")
    return word  # type: ignore[return-value]  # checked in the line before


def _priority_or_none(word: str | None) -> "Literal['high', 'default', 'low'] | None":
    return None if word is None else _priority(word)


def _status(word: str) -> "Literal['queued', 'waiting', 'running', 'succeeded', 'failed', 'cancelled', 'expired']":
    from imagequeue.queue.views import Status

    if word not in get_args(Status):
        raise JobRefused("status", f"accepted: {', '.join(get_args(Status))}")
    return word  # type: ignore[return-value]  # checked in the line before


def _act(ids: Sequence[str], act: "Callable[[AsyncImageQueue, str], Awaitable[Acted]]", *, as_json: bool) -> None:
    """Do the same to each job; one that cannot be treated so does not spare the others, but fails the command."""
    from imagequeue.producer.commands.output import print_error, print_json, print_line

    results = _run(lambda queue: _try_each(queue, ids, act))
    done = [result for result in results if not isinstance(result, ImageQueueError)]
    if as_json:
        print_json({"jobs": done})
    else:
        for acted in done:
            print_line(f"{acted.id}  {acted.note}")
    problems = [result for result in results if isinstance(result, ImageQueueError)]
    for problem in problems:
        print_error(str(problem))
    if problems:
        raise typer.Exit(1)


async def _try_each(
    queue: "AsyncImageQueue", ids: Sequence[str], act: "Callable[[AsyncImageQueue, str], Awaitable[Acted]]"
) -> "list[Acted | ImageQueueError]":
    results: list[Acted | ImageQueueError] = []
    for job_id in ids:
        try:
            results.append(await act(queue, job_id))
        except ImageQueueError as problem:
            results.append(problem)
    return results


async def _gather(get: "Callable[[str], Awaitable[JobView]]", ids: Sequence[str]) -> "list[JobView]":
    return [await get(job_id) for job_id in ids]


def _run(work: "Callable[[AsyncImageQueue], Awaitable[Answer]]") -> Answer:
    from imagequeue.producer.client import AsyncImageQueue

    async def opened() -> Answer:
        async with AsyncImageQueue() as queue:
            return await work(queue)

    return asyncio.run(opened())
