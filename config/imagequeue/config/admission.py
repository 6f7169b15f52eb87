"""Whether a job may be queued, and as what: the same rules at every door and for jobs found on a queue. Pure."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from imagequeue.config.catalog import Catalog, check_job, choose_model, estimate_tokens
from imagequeue.config.job import Job
from imagequeue.config.webhooks import Webhook, check_webhook


@dataclass(frozen=True, kw_only=True)
class Admitted:
    """A job that its model accepts. `tokens` is what a call of it counts towards a tokens-per-minute ceiling."""

    job: Job
    tokens: int


def admit(
    job: Job,
    catalog: Catalog,
    *,
    preference: Sequence[str],
    served: Callable[[str], bool],
    webhooks: Sequence[Webhook] = (),
) -> Admitted:
    """Return the job with its model decided; JobRefused names the field that its model does not accept.

    A job that names no model gets the first of `preference` that is `served` and does what it asks for; a webhook that
    it names must be one of `webhooks`.
    """
    check_webhook(job, webhooks)
    if job.model is None:
        job = job.model_copy(update={"model": choose_model(job, _able(job, catalog, preference), served)})
    checked = check_job(job, catalog)
    return Admitted(job=checked, tokens=tokens_of(checked, catalog))


def _able(job: Job, catalog: Catalog, preference: Sequence[str]) -> Sequence[str]:
    """The preferred models that do what is asked for, else all that do; the preferred ones when there is none."""
    able = [model.name for model in catalog.models.values() if job.operation in model.accepts.operations]
    return [name for name in preference if name in able] or able or preference


def tokens_of(job: Job, catalog: Catalog) -> int:
    """Return the token estimate of one call of a job whose model is decided."""
    return estimate_tokens(
        catalog.model(str(job.model)),
        size=job.size,
        quality=job.quality,
        n=job.n,
        prompt_characters=len(job.prompt),
        input_images=len(job.images) + (job.mask is not None),
        partial_images=job.partial_images,
    )
