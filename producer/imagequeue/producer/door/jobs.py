"""Jobs over HTTP: submit, look, wait, list, cancel, retry, change the priority, keep."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Final

from pydantic_core import to_json
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from imagequeue.config.errors import JobRefused, NotFound
from imagequeue.config.job import PRIORITIES, Priority
from imagequeue.producer.client import JobHandle
from imagequeue.producer.door.bodies import read_json
from imagequeue.producer.door.cursors import opened, sealed
from imagequeue.producer.door.parts import Asked
from imagequeue.producer.door.problems import CLIENT_GONE, Problem, not_of_tenant
from imagequeue.producer.door.prompts import findings_of
from imagequeue.producer.door.queries import check_known, header_text, job_query, wait_seconds
from imagequeue.producer.door.serving import route
from imagequeue.producer.door.showing import page_json, tenant_of, view_json
from imagequeue.producer.door.submitting import entries_of, entry_of, records_of, submit, taken_in
from imagequeue.producer.door.waiting import ClientGone, unless_gone, wait_for_end
from imagequeue.queue.acts import Acted
from imagequeue.queue.entries import may_be_computed
from imagequeue.queue.record import check_id
from imagequeue.queue.views import JobView, Status, status_of

JOBS_PER_REQUEST_MAX: Final = 1_000
KEPT_IMAGES_MAX: Final = 10
IDEMPOTENCY_KEY: Final = "idempotency-key"


def job_routes() -> list[Route]:
    """Return the routes of jobs."""
    return [
        route("/v1/jobs", "POST", create_jobs, scope="submit"),
        route("/v1/jobs", "GET", list_jobs, scope="read"),
        route("/v1/jobs/{id}", "GET", show_job, scope="read"),
        route("/v1/jobs/{id}/cancel", "POST", cancel_job, scope="submit"),
        route("/v1/jobs/{id}/retry", "POST", retry_job, scope="submit"),
        route("/v1/jobs/{id}/priority", "POST", prioritize_job, scope="submit"),
        route("/v1/jobs/{id}/keep", "POST", keep_job, scope="submit"),
    ]


async def create_jobs(asked: Asked) -> Response:
    """Queue one job or a list of them, all or none checked; 202 with their ids."""
    check_known(asked.request.query_params, ())
    body = await read_json(asked.request)
    given = asked.request.headers.get(IDEMPOTENCY_KEY)
    key = None if given is None else header_text(given)
    if isinstance(body, list):
        return await _create_many(asked, body, key)
    body = await taken_in(asked.door, asked.caller, body)
    entry = entry_of(asked.door, asked.caller, _with_key(body, key))
    findings = findings_of(asked, [entry], listed=False)
    handles = await submit(asked.door, asked.caller, [entry])
    answer = _with_findings(await _answers(asked, handles), findings)[0]
    return Response(to_json(answer), 202, {"Location": f"/v1/jobs/{handles[0].id}"}, "application/json")


async def _create_many(asked: Asked, body: Sequence[object], key: str | None) -> Response:
    if key is not None:
        raise JobRefused("Idempotency-Key", "for a list, each job has an idempotency_key of its own")
    if not 1 <= len(body) <= JOBS_PER_REQUEST_MAX:
        raise JobRefused("job", f"a list of 1 to {JOBS_PER_REQUEST_MAX}; /v1/jobs/bulk takes any number")
    values = [await taken_in(asked.door, asked.caller, value) for value in body]
    entries = entries_of(asked.door, asked.caller, values)
    findings = findings_of(asked, entries, listed=True)
    await asked.door.rates.charge(asked.caller, len(entries))
    handles = await submit(asked.door, asked.caller, entries)
    return JSONResponse({"jobs": _with_findings(await _answers(asked, handles), findings)}, 202)


def _with_findings(
    answers: list[dict[str, object]], findings: list[list[dict[str, object]]] | None
) -> list[dict[str, object]]:
    """The answers with what the prompt check says, if somebody asked for it."""
    if findings is None:
        return answers
    return [{**answer, "findings": found} for answer, found in zip(answers, findings, strict=True)]


def _with_key(body: object, key: str | None) -> object:
    """The header is the job's idempotency key; when the job has one too, they must be the same."""
    if key is None or not isinstance(body, Mapping):
        return body
    if body.get("idempotency_key") not in (None, key):
        raise JobRefused("idempotency_key", "the header Idempotency-Key says something else")
    return {**body, "idempotency_key": key}


async def _answers(asked: Asked, handles: Sequence[JobHandle]) -> list[dict[str, object]]:
    """What became of each job; one that was there before may have gone on since."""
    before = [handle.id for handle in handles if not handle.created]
    records = await records_of(asked.door, before) if before else {}
    statuses: dict[str, Status] = {handle.id: "succeeded" for handle in handles if handle.cached}
    statuses |= {job_id: status_of(record) for job_id, record in records.items()}
    gone = [job_id for job_id in before if job_id not in records]
    statuses |= (
        {job_id: ended.status for job_id, ended in (await asked.door.ledger.outcomes(gone)).items()} if gone else {}
    )
    return [
        {"id": handle.id, "status": statuses.get(handle.id, "queued"), "created": handle.created} for handle in handles
    ]


async def show_job(asked: Asked) -> Response:
    """Show a job; with `wait`, once it has ended or the time is over."""
    seconds = wait_seconds(asked.request.query_params)
    view = await own_view(asked)
    if seconds > 0 and not view.ended:
        await asked.request.body()
        try:
            await unless_gone(asked.request, wait_for_end(asked.door, view.id, seconds))
        except ClientGone:
            return Response(status_code=CLIENT_GONE)
        view = await own_view(asked)
    return JSONResponse(view_json(view, asked.base_url, to_tenant=asked.caller.is_bound))


async def own_view(asked: Asked) -> JobView:
    """Return the job of the path; errors as of `own_views`."""
    job_id = _id(asked)
    return (await own_views(asked, [job_id]))[job_id]


async def own_views(asked: Asked, ids: Sequence[str]) -> dict[str, JobView]:
    """Return the jobs of these ids; NotFound when there is none, Problem 403 when it is not of the key's tenant.

    Random ids cannot be guessed, so a key that is bound to a tenant is told the truth about them. An id that follows
    from a tenant's name and an idempotency key can be computed: whether another tenant has used that key is not told,
    it is 403 either way.
    """
    views = await asked.door.reader.views(ids)
    for job_id in ids:
        view = views.get(job_id)
        if asked.caller.is_bound and not _is_own(asked, view) and (view is not None or may_be_computed(job_id)):
            raise not_of_tenant(f"job {job_id}: the tenant of this key has none of this id")
        if view is None:
            raise NotFound(f"job {job_id}: there is none of this id")
    return views


def _is_own(asked: Asked, view: JobView | None) -> bool:
    return view is not None and asked.caller.owns(tenant_of(view))


async def list_jobs(asked: Asked) -> Response:
    """List jobs a page at a time, newest first in each state."""
    query, caller = asked.request.query_params, asked.caller
    jobs = job_query(query, caller.tenant_of(query.get("tenant")))
    secret = asked.door.access.link_secret
    if caller.tenant is None or secret is None:
        page = await asked.door.reader.page(jobs)
        return JSONResponse(page_json(page, asked.base_url, to_tenant=False))
    page = await asked.door.reader.page(replace(jobs, after=opened(jobs.after, secret, caller.tenant)))
    page = replace(page, next=sealed(page.next, secret, caller.tenant))
    return JSONResponse(page_json(page, asked.base_url, to_tenant=True))


async def cancel_job(asked: Asked) -> Response:
    """Cancel a job unless its call has been sent."""
    await own_view(asked)
    return _acted(await asked.door.acts.cancel(_id(asked)))


async def retry_job(asked: Asked) -> Response:
    """Queue a failed, cancelled, expired or waiting job again, at another priority if one is given."""
    fields = await body_fields(asked, ("priority",))
    priority = _priority(fields.get("priority"))
    view = await own_view(asked)
    taken = 0
    if view.ended:
        taken = await _take_again(asked, view)
    acted = await asked.door.acts.retry(view.id, priority=priority)
    if not acted.changed:
        await asked.door.budgets.give_back(asked.caller, taken)
    return _acted(acted)


async def prioritize_job(asked: Asked) -> Response:
    """Let a job that has not started go on at the priority of the body."""
    fields = await body_fields(asked, ("priority",))
    priority = _priority(fields.get("priority"))
    if priority is None:
        raise JobRefused("priority", f"needed; accepted: {', '.join(PRIORITIES)}")
    view = await own_view(asked)
    return _acted(await asked.door.acts.prioritize(view.id, priority))


async def keep_job(asked: Asked) -> Response:
    """Note which images of a job are used: those of `images` by SHA-256, or all."""
    fields = await body_fields(asked, ("images",))
    await own_view(asked)
    return _acted(await asked.door.acts.keep(_id(asked), _digests(fields.get("images"))))


async def _take_again(asked: Asked, view: JobView) -> int:
    """A job that goes again may cost as much again."""
    if asked.caller.key is None or asked.caller.key.monthly_budget_nano_usd is None:
        return 0
    values = {name: value for name, value in view.job.items() if name != "idempotency_key"}
    return await asked.door.budgets.take(asked.caller, [asked.door.queue.entry(values).job])


def _id(asked: Asked) -> str:
    return check_id(str(asked.request.path_params["id"]))


async def body_fields(asked: Asked, known: Sequence[str]) -> Mapping[str, object]:
    """The fields of a body that may be left out."""
    body = await read_json(asked.request, empty={})
    if not isinstance(body, Mapping):
        raise Problem(400, "body: an object or nothing is accepted", code="invalid_value", param="body")
    for name in body:
        if name not in known:
            raise JobRefused(str(name)[:64], f"unknown field; accepted: {', '.join(known)}")
    return body


def _priority(value: object) -> Priority | None:
    for name in PRIORITIES:
        if value == name:
            return name
    if value is not None:
        raise JobRefused("priority", f"accepted: {', '.join(PRIORITIES)}")
    return None


def _digests(value: object) -> list[str] | None:
    if value is None:
        return None
    if not isinstance(value, list) or len(value) > KEPT_IMAGES_MAX or not all(isinstance(item, str) for item in value):
        raise JobRefused("images", f"a list of at most {KEPT_IMAGES_MAX} SHA-256 in hexadecimal is accepted")
    return value


def _acted(acted: Acted) -> Response:
    return JSONResponse({"id": acted.id, "status": acted.status, "changed": acted.changed, "note": acted.note})
