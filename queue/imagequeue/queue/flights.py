"""Whether a job takes part in the cache, and under which form: what the scripts know as iq_form and iq_cache. Pure."""

from dataclasses import dataclass
from typing import Final, Literal

from imagequeue.config.catalog import Catalog
from imagequeue.config.form import form_of
from imagequeue.config.job import Job
from imagequeue.config.settings import CacheScope

DIGEST: Final = "sha256:"

Mode = Literal["use", "refresh", "alone"]


@dataclass(frozen=True, kw_only=True)
class Flight:
    """A job's part in the cache; `flight.lua` says what each mode does."""

    form: str
    mode: Mode


def flight_of(job: Job, catalog: Catalog, scope: CacheScope) -> Flight | None:
    """Return the part of a job whose model is decided; None when it takes none.

    A call by batch may take a day: such a job takes a stored result and leaves its own, but nobody waits for it. What
    stands at an address may change, so a job with an input by address takes no part.
    """
    if job.cache in (None, "off") or not all(map(_is_digest, (*job.images, job.mask))):
        return None
    form = form_of(job, catalog.model(str(job.model)), tenant=job.tenant if scope == "tenant" else None)
    if job.cache == "refresh":
        return Flight(form=form, mode="refresh")
    return Flight(form=form, mode="use" if job.delivery == "now" else "alone")


def _is_digest(reference: str | None) -> bool:
    return reference is None or reference.startswith(DIGEST)
