"""What goes into the ledger for a job, an answer or an end. Pure."""

from datetime import date, datetime, timedelta
from typing import Any

from imagequeue.config.admission import tokens_of
from imagequeue.config.catalog import Catalog, Model, Usage, price_call, price_job_upper_bound
from imagequeue.config.catalog.delivery import AUTO_DEADLINE, Delivered
from imagequeue.config.job import Job
from imagequeue.config.money import NanoUsd, parse_usd
from imagequeue.config.orgs import Org
from imagequeue.config.settings import Settings
from imagequeue.config.tenant_caps import TenantCaps
from imagequeue.ledger.api import Cap, Ending, HoldRequest, ImageRecord, JobCost, JobFacts, Saving, Settlement
from imagequeue.queue.ceilings import Pool
from imagequeue.queue.claims import Claim
from imagequeue.queue.stored import Stored
from imagequeue.store.store import StoredImage
from imagequeue.worker.answer import Answer, Result
from imagequeue.worker.pictures import Picture
from imagequeue.worker.verdict import Images, Verdict


def call_tokens(job: Job, model: Model, pool: Pool, catalog: Catalog) -> int:
    """Return the estimate of what one call takes of its pool's token ceiling; 0 where that has none."""
    if pool.limits.tokens_per_minute is None:
        return 0
    return tokens_of(job.model_copy(update={"model": model.name}), catalog)


def hold_request(
    claim: Claim,
    worker: str,
    job: Job,
    model: Model,
    org: Org,
    *,
    first_call: bool,
    catalog: Catalog,
    tenant_caps: TenantCaps | None,
    days: tuple[date, date],
    delivery: Delivered = "now",
) -> HoldRequest:
    """Return the hold for one call of the job: the most it can cost, and every cap it must fit under.

    `days` are the first and the last on which the call may be billed.
    """
    return HoldRequest(
        job_id=claim.id,
        lease_token=f"{worker}-{claim.delivery}",
        org=org.name,
        model=model.name,
        tenant=job.tenant,
        priority=claim.queue.rpartition(".")[2],
        operation=job.operation,
        images=job.n,
        upper_bound_nano=price_job_upper_bound(job, model, on=days[0], until=days[1], delivery=delivery),
        catalog_version=catalog.version,
        tags=job.tags,
        intent=job.intent,
        delivery=delivery,
        size=model.api_size(job.size),
        quality=model.api_quality(job.quality),
        first_delivery=first_call,
        caps=caps(job, org, tenant_caps),
        credits=org.credits_per_call,
    )


def billed_days(now: datetime, delivery: Delivered, settings: Settings) -> tuple[date, date]:
    """Return the first and the last day on which a call that is held now may be billed."""
    within = timedelta(seconds=settings.call_timeout_seconds)
    if delivery == "batch":
        within = timedelta(seconds=settings.batch_gather_seconds) + AUTO_DEADLINE
    return now.date(), (now + within).date()


def caps(job: Job, org: Org, tenant_caps: TenantCaps | None) -> tuple[Cap, ...]:
    """Return every ceiling that holds for a call of this job by this organization."""
    found: list[Cap] = []
    if org.monthly_cap_nano_usd is not None:
        found.append(Cap(kind="org_month", limit_nano=org.monthly_cap_nano_usd))
    if tenant_caps is not None:
        if tenant_caps.day_usd is not None:
            found.append(Cap(kind="tenant_day", limit_nano=parse_usd(tenant_caps.day_usd)))
        if tenant_caps.month_usd is not None:
            found.append(Cap(kind="tenant_month", limit_nano=parse_usd(tenant_caps.month_usd)))
        if tenant_caps.total_usd is not None:
            found.append(Cap(kind="tenant_total", limit_nano=parse_usd(tenant_caps.total_usd)))
    ceilings = (job.max_cost_nano_usd(), None if tenant_caps is None else tenant_caps.job_nano_usd)
    known = [ceiling for ceiling in ceilings if ceiling is not None]
    if known:
        found.append(Cap(kind="job", limit_nano=min(known)))
    return tuple(found)


def settlement(
    answer: Answer,
    images: Images,
    stored: tuple[ImageRecord, ...],
    cost_nano: NanoUsd,
    *,
    client_request_id: str,
    first_choice_nano: NanoUsd | None = None,
) -> Settlement:
    """Return how a call that brought images is booked.

    `first_choice_nano` is what the model of the job's first choice would have cost, for a job that overflowed: what
    was paid beyond it is the premium.
    """
    usage = images.body.get("usage")
    return Settlement(
        usd_nano=cost_nano,
        images=stored,
        sent_at=answer.sent_at,
        ended_at=answer.ended_at,
        usage=usage if isinstance(usage, dict) else None,
        status_code=answer.status,
        request_id=answer.request_id,
        client_request_id=client_request_id,
        savings=() if first_choice_nano is None else (overflow(first_choice_nano, cost_nano),),
    )


def overflow(first_choice_nano: NanoUsd, cost_nano: NanoUsd) -> Saving:
    """Return what an overflow saved: below zero when it cost a premium."""
    return Saving(kind="overflow", usd_nano=first_choice_nano - cost_nano)


def price(job: Job, model: Model, made: int, on: date) -> NanoUsd:
    """Return the price of `made` images by the catalog, before any answer."""
    return price_call(
        model,
        size=job.size,
        quality=job.quality,
        n=made,
        usage=None,
        delivery="now",
        on=on,
        prompt_characters=len(job.prompt),
        input_images=len(job.images) + (job.mask is not None),
    )


def cost(job: Job, model: Model, images: Images, made: int, on: date) -> NanoUsd:
    """Return what the provider charges for an answer with `made` images: by its usage where the model is priced so."""
    return price_call(
        model,
        size=job.size,
        quality=job.quality,
        n=made,
        usage=usage_of(images),
        delivery="now",
        on=on,
        prompt_characters=len(job.prompt),
        input_images=len(job.images) + (job.mask is not None),
        partial_images=job.partial_images,
    )


def usage_of(images: Images) -> Usage | None:
    """Return the answer's usage; None when it has none or an impossible one, which is then priced by the catalog."""
    try:
        return Usage.from_answer(images.body)
    except ValueError:
        return None


def record(picture: Picture, stored: StoredImage) -> ImageRecord:
    """Return the ledger's record of a durable image."""
    return ImageRecord(
        sha256=stored.sha256,
        bytes=stored.bytes,
        width=stored.width,
        height=stored.height,
        format=stored.format,
        revised_prompt=picture.revised_prompt,
    )


def ending(result: Result, verdict: Verdict, *, client_request_id: str) -> Ending:
    """Return how a call without images is booked."""
    answer = result if isinstance(result, Answer) else None
    sent = isinstance(result, Answer) or result.sent
    return Ending(
        ended_at=result.ended_at,
        sent_at=result.sent_at if sent else None,
        status_code=answer.status if answer else None,
        error_code=getattr(verdict, "code", None),
        error_message=getattr(verdict, "message", None),
        request_id=answer.request_id if answer else None,
        client_request_id=client_request_id,
    )


def cut_short(sent_at: datetime | None, ended_at: datetime, *, client_request_id: str) -> Ending:
    """Return how a call that we gave up ourselves is booked."""
    return Ending(
        ended_at=ended_at,
        sent_at=sent_at,
        error_code="stopped",
        error_message="the worker stopped before the answer came",
        client_request_id=client_request_id,
    )


def job_facts(job: Job, claim: Claim, catalog: Catalog) -> JobFacts:
    """Return what reports group by, for a job that ends without a call."""
    return JobFacts(
        model=job.model or "",
        tenant=job.tenant,
        priority=claim.queue.rpartition(".")[2],
        tags=job.tags,
        intent=job.intent,
        catalog_version=catalog.version,
    )


def stored_result(claim: Claim, outcome_cost: JobCost, images: tuple[ImageRecord, ...]) -> str:
    """Return what the cache keeps of a call; '' when another model made the images than the one asked for."""
    if outcome_cost.model != claim.queue.rpartition(".")[0] or not images:
        return ""
    return Stored(
        job_id=claim.id,
        org=outcome_cost.org,
        model=outcome_cost.model,
        usd_nano=outcome_cost.usd_nano,
        images=images,
    ).encode()


def result_value(status: str, stored: tuple[ImageRecord, ...], cost_usd: str) -> dict[str, Any]:
    """Return what RQ keeps as the job's return value."""
    images = [
        {
            "sha256": image.sha256,
            "bytes": image.bytes,
            "width": image.width,
            "height": image.height,
            "format": image.format,
        }
        for image in stored
    ]
    return {"status": status, "images": images, "cost_usd": cost_usd}
