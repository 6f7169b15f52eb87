"""The image API's own contract: an app changes its base URL and nothing else.

Its calls are queued, paced and paid for like every job. The request waits for the job; a client that hangs up cancels
it unless its call was sent.
"""

import asyncio
import base64
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import AsyncExitStack, suppress
from dataclasses import replace
from typing import Final

import structlog
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from imagequeue.config.errors import ImageQueueError, StoreUnavailable
from imagequeue.config.job import Operation
from imagequeue.producer.client import JobHandle
from imagequeue.producer.door.bodies import read_json
from imagequeue.producer.door.links import signed
from imagequeue.producer.door.openai_answer import failure, success
from imagequeue.producer.door.openai_models import is_served, model_routes, no_model
from imagequeue.producer.door.openai_request import Shape, Wanted, read_patience, read_request, shape_of
from imagequeue.producer.door.openai_stream import MEDIA_TYPE, completed_events, error_event, sketch_event
from imagequeue.producer.door.parts import Asked
from imagequeue.producer.door.patience import wait_seconds
from imagequeue.producer.door.problems import (
    CLIENT_GONE,
    NO_RETRY,
    SERVER,
    Problem,
    problem_of,
    refused,
    too_many,
    unavailable,
    unexpected,
)
from imagequeue.producer.door.prompts import findings_headers
from imagequeue.producer.door.queries import check_known
from imagequeue.producer.door.serving import route
from imagequeue.producer.door.showing import image_url
from imagequeue.producer.door.sketching import until_ended
from imagequeue.producer.door.submitting import entry_of_job, submit
from imagequeue.producer.door.waiting import ClientGone, queue_status, unless_gone, wait_for_end
from imagequeue.queue.acts import NotPossible
from imagequeue.queue.entries import Entry
from imagequeue.queue.hits import has_stored
from imagequeue.queue.sketches import listening
from imagequeue.queue.views import Image, JobView

PATIENCE_SECONDS: Final = 60.0
"""How long a client that does not say is taken to wait in line."""
PATIENCE_SECONDS_MAX: Final = 3_600.0
UNKNOWN_WAIT_SECONDS: Final = 60.0
"""What Retry-After says when nobody knows when it goes on."""
AFTER_CALL_SECONDS: Final = 30.0
"""Between a call's answer and the job's end: images are stored and booked."""
JOB_HEADER: Final = "X-ImageQueue-Job"
CANCELED: Final = "canceled"
STARTED: Final = "started"
"""RQ's words."""

log = structlog.get_logger("imagequeue.door")


def openai_routes() -> list[Route]:
    """Return the routes that speak the image API's contract."""
    return [route("/v1/images/generations", "POST", generate, scope="submit"), *model_routes()]


async def generate(asked: Asked) -> Response:
    """Queue a job, wait for it, answer with its images."""
    check_known(asked.request.query_params, ())
    return await serve(asked, await read_json(asked.request), "generation")


async def serve(asked: Asked, body: object, operation: Operation) -> Response:
    """Queue what a decoded body asks for, wait for it, answer with its images, as events when it asks for a stream."""
    headers = asked.request.headers
    wanted = read_request(body, headers, asked.caller.tenant, operation)
    patience = read_patience(headers, PATIENCE_SECONDS, PATIENCE_SECONDS_MAX)
    entry = _entry(asked, wanted)
    found = findings_headers(asked, entry)
    response = await _served(asked, wanted, entry, patience)
    response.headers.update(found)
    return response


async def _served(asked: Asked, wanted: Wanted, entry: Entry, patience: float) -> Response:
    await _check_line(asked, entry, patience)
    if entry.job.partial_images:
        return await _sketched(asked, wanted, entry, patience)
    handle = await _queued(asked, entry)
    try:
        view = await unless_gone(asked.request, _ended(asked, handle, patience))
    except (ClientGone, asyncio.CancelledError):
        await _give_up(asked, handle.id, created=handle.created)
        return Response(status_code=CLIENT_GONE)
    except Problem as problem:
        problem.headers[JOB_HEADER] = handle.id
        raise
    return await _answer(asked, wanted, view)


async def _sketched(asked: Asked, wanted: Wanted, entry: Entry, patience: float) -> Response:
    """Answer with events from the first sketch on; without one, as if none had been asked for."""
    async with AsyncExitStack() as stack:
        heard = await stack.enter_async_context(listening(asked.door.scripts, entry.id))
        handle = await _queued(asked, entry)
        told = until_ended(heard, _ended(asked, handle, patience))
        stack.push_async_callback(told.aclose)
        try:
            first = await unless_gone(asked.request, anext(told))
        except (ClientGone, asyncio.CancelledError):
            await _give_up(asked, handle.id, created=handle.created)
            return Response(status_code=CLIENT_GONE)
        except Problem as problem:
            problem.headers[JOB_HEADER] = handle.id
            raise
        if isinstance(first, JobView):
            return await _answer(asked, wanted, first)
        events = _events(asked, wanted, first, told, stack.pop_all())
    return StreamingResponse(events, media_type=MEDIA_TYPE, headers={JOB_HEADER: handle.id})


async def _events(
    asked: Asked,
    wanted: Wanted,
    first: bytes,
    told: AsyncGenerator[bytes | JobView, None],
    stack: AsyncExitStack,
) -> AsyncIterator[bytes]:
    """The sketches as events, then the images or what went wrong. The status was sent with the first."""
    async with stack:
        yield sketch_event(first, wanted.job.operation)
        try:
            async for item in told:
                if isinstance(item, JobView):
                    yield bytes((await _answer(asked, wanted, item)).body)
                else:
                    yield sketch_event(item, wanted.job.operation)
        except ImageQueueError as error:
            yield error_event(problem_of(error) or unexpected())


def _entry(asked: Asked, wanted: Wanted) -> Entry:
    """The checked entry; a model that nobody knows is the API's own 404."""
    model = wanted.job.model
    if model is not None and model not in asked.door.catalog.models:
        raise no_model(model)
    entry = entry_of_job(asked.door, asked.caller, wanted.job)
    if wanted.stream and not asked.door.catalog.model(str(entry.job.model)).accepts.partial_images_max:
        raise refused("stream", f"{entry.job.model} does not stream; accepted: false, or leave it out")
    return entry


async def _queued(asked: Asked, entry: Entry) -> JobHandle:
    """Queue a job, again if the same request had it cancelled by hanging up or by its patience: then it is made anew.

    What was cancelled cost nothing and has no images. Its key comes back when a client sends its call again.
    """
    handle = (await submit(asked.door, asked.caller, [entry]))[0]
    if handle.created or await queue_status(asked.door, handle.id) != CANCELED:
        return handle
    with suppress(NotPossible):  # another request with this key was quicker
        await asked.door.acts.retry(handle.id)
    return replace(handle, created=True)


async def _check_line(asked: Asked, entry: Entry, patience_seconds: float) -> None:
    """Problem 429 before anything is queued, when the line is longer than the client's patience; 404 without a line.

    What a stored result answers stands in no line, what a key names already stands in no other. A door that has no
    organizations cannot know what is served.
    """
    if entry.job.idempotency_key is not None and await queue_status(asked.door, entry.id) not in (None, CANCELED):
        return
    flight = entry.flight
    if flight is not None and flight.mode == "use" and await has_stored(asked.door.scripts, flight.form):
        return
    status = await asked.door.status.read()
    if asked.door.settings.orgs and not is_served(str(entry.job.model), status):
        raise no_model(str(entry.job.model))
    expected = wait_seconds(entry, status, asked.door.settings.pace_fraction)
    if expected <= patience_seconds:
        return
    known = expected != float("inf")
    says = f"about {expected:.0f} s" if known else "nobody knows how long"
    message = f"the line is longer than this client's patience of {patience_seconds:g} s: {says}; nothing was queued"
    raise too_many(message, expected - patience_seconds if known else UNKNOWN_WAIT_SECONDS)


async def _ended(asked: Asked, handle: JobHandle, patience_seconds: float) -> JobView:
    """Wait for the start as long as patience lasts, for the end of a call that has begun as long as calls may take."""
    door, job_id = asked.door, handle.id
    if await wait_for_end(door, job_id, patience_seconds):
        return await door.reader.view(job_id)
    await _out_of_patience(asked, handle, patience_seconds)
    seconds = door.settings.call_timeout_seconds + AFTER_CALL_SECONDS
    if await wait_for_end(door, job_id, seconds, until_closing=False):
        view = await door.reader.view(job_id)
        if view.status == "cancelled":  # it went back to its line, where there was no patience left
            raise _too_late(patience_seconds)
        return view
    message = "the job still runs; ask for it by its id instead of sending it again"
    raise Problem(504, message, code="still_running", kind=SERVER, headers=NO_RETRY)


async def _out_of_patience(asked: Asked, handle: JobHandle, patience_seconds: float) -> None:
    """Problem unless the job has begun. This request's own job is cancelled; somebody else waits for any other."""
    door = asked.door
    if not handle.created:
        if await queue_status(door, handle.id) == STARTED:
            return
        message = "the job had not started; it goes on, and the same Idempotency-Key asks for it again"
        if door.announcements.closing:
            raise unavailable(f"the door is closing and {message}")
        raise too_many(f"{message}: this client's patience was {patience_seconds:g} s", UNKNOWN_WAIT_SECONDS)
    acted = await door.acts.cancel(handle.id)
    if acted.status == "cancelled" and door.announcements.closing:
        raise unavailable("the door is closing and the job had not started; it was cancelled, send it again")
    if acted.status == "cancelled":
        raise _too_late(patience_seconds)


def _too_late(patience_seconds: float) -> Problem:
    message = f"not started within this client's patience of {patience_seconds:g} s; the job was cancelled"
    return too_many(message, UNKNOWN_WAIT_SECONDS)


async def _give_up(asked: Asked, job_id: str, *, created: bool) -> None:
    """The client hung up. A job that was there before this request stays: somebody else may wait for it."""
    if not created:
        return
    try:
        acted = await asyncio.shield(asked.door.acts.cancel(job_id))
    except ImageQueueError as error:
        log.warning("a job whose client hung up goes on", job=job_id, error=str(error))
    else:
        log.info("client hung up", job=job_id, became=acted.note)


async def _answer(asked: Asked, wanted: Wanted, view: JobView) -> Response:
    headers = {JOB_HEADER: view.id}
    if view.status != "succeeded" or view.outcome is None or view.outcome.cost is None:
        problem = failure(view)
        problem.headers |= headers
        raise problem
    model = asked.door.catalog.model(str(view.job["model"]))
    shape = shape_of(wanted, asked.door.catalog, model.name)
    data = [await _shown(asked, image, shape) for image in view.images]
    answer = success(view, model, data)
    if wanted.stream:
        events = completed_events(answer, data, wanted.job.operation)
        return Response(b"".join(events), media_type=MEDIA_TYPE, headers=headers)
    return JSONResponse(answer, headers=headers)


async def _shown(asked: Asked, image: Image, shape: Shape) -> dict[str, object]:
    record = image.record
    shown: dict[str, object] = {}
    if shape == "url":
        shown["url"] = _link(asked, record.sha256)
    else:
        data = await asked.door.store.get(record.sha256)
        if data is None:
            raise StoreUnavailable(f"image {record.sha256}: not in the store")
        shown["b64_json"] = (await asyncio.to_thread(base64.b64encode, data)).decode()
    return shown if record.revised_prompt is None else {**shown, "revised_prompt": record.revised_prompt}


def _link(asked: Asked, sha256: str) -> str:
    """An address that opens without a key, since that is how the API's links are."""
    url, secret = image_url(asked.base_url, sha256), asked.door.access.link_secret
    return url if secret is None else signed(url, sha256, secret, asked.door.clock.now())
