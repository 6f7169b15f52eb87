"""The check every job passes before it is queued: what its model accepts, what this version does. No I/O."""

from collections.abc import Callable
from datetime import date

from imagequeue.config.admission import admit
from imagequeue.config.catalog import Catalog, lifecycle, served_by
from imagequeue.config.job import Job
from imagequeue.config.settings import Settings
from imagequeue.producer.promptcheck.jobs import check_job, refuse_flagged
from imagequeue.queue.entries import Entry, fingerprint, new_job_id
from imagequeue.queue.flights import flight_of
from imagequeue.queue.ways import ways_out


class Admission:
    """Makes queue entries of jobs, by the settings and the catalog as of the day on which each is made."""

    def __init__(self, settings: Settings, catalog: Catalog, today: Callable[[], date]) -> None:
        self._settings = settings
        self._catalog = catalog
        self._today = today
        self._day = today()
        self._served = _served(settings, catalog, self._day)

    def entry(self, job: Job) -> Entry:
        """Return the entry of a job, its model decided; JobRefused names the field and what is accepted.

        The id follows from the tenant and the idempotency key when there is one, else it is a new one. What was asked
        for before is known by the job as it was given, whatever the defaults are by now. Without a key nothing is asked
        for twice but by its id, which stands for its fingerprint then.
        """
        job_id = new_job_id(job)
        asked = job_id if job.idempotency_key is None else fingerprint(job)
        self._turn_page()
        if job.cache is None and self._settings.cache != "off":
            job = job.model_copy(update={"cache": self._settings.cache})
        admitted = admit(
            job,
            self._catalog,
            preference=self._settings.models,
            served=self._served,
            webhooks=self._settings.webhooks,
        )
        if self._settings.prompt_check == "block":
            refuse_flagged(check_job(admitted.job))
        flight = flight_of(admitted.job, self._catalog, self._settings.cache_scope)
        return Entry(
            id=job_id,
            job=admitted.job,
            tokens=admitted.tokens,
            flight=flight,
            print=asked,
            overflow=ways_out(admitted.job, self._catalog),
        )

    def _turn_page(self) -> None:
        """A client may be open for months: models end meanwhile."""
        today = self._today()
        if today != self._day:
            self._day, self._served = today, _served(self._settings, self._catalog, today)


def _served(settings: Settings, catalog: Catalog, today: date) -> Callable[[str], bool]:
    """Which models a job that names none may get; an app without organizations of its own goes by the dates."""
    if settings.orgs:
        return served_by(catalog, settings.orgs, today)
    return lambda name: lifecycle(catalog.model(name), today).state != "retired"
