"""The check every job passes before it is queued: what its model accepts, what this version does. No I/O."""

from collections.abc import Callable
from datetime import date

from imagequeue.config.admission import admit
from imagequeue.config.catalog import Catalog, lifecycle, served_by
from imagequeue.config.job import Job
from imagequeue.config.settings import Settings
from imagequeue.queue.entries import Entry, new_job_id


class Admission:
    """Makes queue entries of jobs, by the settings and the catalog as of a day."""

    def __init__(self, settings: Settings, catalog: Catalog, today: date) -> None:
        self._settings = settings
        self._catalog = catalog
        self._served = _served(settings, catalog, today)

    def entry(self, job: Job) -> Entry:
        """Return the entry of a job, its model decided; JobRefused names the field and what is accepted.

        The id follows from the tenant and the idempotency key when there is one, else it is a new one.
        """
        if job.cache is None and self._settings.cache != "off":
            job = job.model_copy(update={"cache": self._settings.cache})
        admitted = admit(
            job,
            self._catalog,
            preference=self._settings.models,
            served=self._served,
            webhooks=self._settings.webhooks,
        )
        return Entry(id=new_job_id(job), job=admitted.job, tokens=admitted.tokens)


def _served(settings: Settings, catalog: Catalog, today: date) -> Callable[[str], bool]:
    """Which models a job that names none may get; an app without organizations of its own goes by the dates."""
    if settings.orgs:
        return served_by(catalog, settings.orgs, today)
    return lambda name: lifecycle(catalog.model(name), today).state != "retired"
