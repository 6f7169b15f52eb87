"""What one image of a model, size and quality costs on demand and by batch, and its tokens. Pure."""

from dataclasses import dataclass
from datetime import date
from fractions import Fraction

from imagequeue.config.catalog import Catalog, Model, check_job, estimate_tokens, price_call
from imagequeue.config.catalog.check import adapt_job
from imagequeue.config.errors import JobRefused
from imagequeue.config.job import Job, parse_job


@dataclass(frozen=True, kw_only=True)
class Prices:
    """Nano-dollars for one image made; `batch_nano` None: not offered in batches. `tokens_per_image`, in and out."""

    now_nano: int
    batch_nano: int | None
    tokens_per_image: int

    def mixed_nano(self, batch_share: Fraction) -> Fraction:
        """Return the mean price at a share of batches; at the price on demand where there are none."""
        batch_nano = self.now_nano if self.batch_nano is None else self.batch_nano
        return (1 - batch_share) * self.now_nano + batch_share * batch_nano


def prices_of(model: Model, *, size: str | None, quality: str | None, prompt_characters: int, on: date) -> Prices:
    """Return the prices on a day. Tokens are the catalog's for the image, and an estimate for the prompt."""

    def price(delivery: str) -> int:
        return price_call(
            model,
            size=size,
            quality=quality,
            n=1,
            usage=None,
            delivery="batch" if delivery == "batch" else "now",
            on=on,
            prompt_characters=prompt_characters,
        )

    return Prices(
        now_nano=price("now"),
        batch_nano=None if model.batch_percent is None else price("batch"),
        tokens_per_image=estimate_tokens(model, size=size, quality=quality, n=1, prompt_characters=prompt_characters),
    )


def checked_job(catalog: Catalog, model: str, size: str | None, quality: str | None) -> Job:
    """Return a job of this model, size and quality; JobRefused names what the model does not take."""
    fields = {"model": model, "size": size, "quality": quality}
    job = parse_job({"prompt": "a plan", **{name: value for name, value in fields.items() if value is not None}})
    return check_job(job, catalog)


def job_for(job: Job, model: Model) -> Job | None:
    """Return the job as another model would take it; None when it cannot."""
    try:
        return adapt_job(job, model)
    except JobRefused:
        return None
