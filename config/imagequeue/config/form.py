"""The canonical form of a request: what decides which images come back, hashed. Pure.

Two jobs have the same form when the provider would be sent the same call: a default that is spelled out is the same as
one that is left out, and who asks, how urgently and for what purpose makes no difference.
"""

import hashlib
import json
import unicodedata
from typing import Final

from imagequeue.config.catalog import Model
from imagequeue.config.catalog.records import ANY
from imagequeue.config.job import Job

VERSION: Final = "1"
"""Part of every form: a change of what is hashed, or how, has to raise it, so that no old result answers a new form."""


def canonical(job: Job, model: Model) -> dict[str, object]:
    """Return what decides the images of a job on a model. Text is compared in Unicode's composed form (NFC)."""
    accepts = model.accepts
    return {
        "model": model.name,
        "operation": job.operation,
        "prompt": unicodedata.normalize("NFC", job.prompt),
        "n": job.n,
        "size": model.api_size(job.size),
        "quality": model.api_quality(job.quality),
        "style": _or_first(job.style, accepts.styles),
        "background": _or_first(job.background, accepts.backgrounds),
        "output_format": job.output_format or accepts.standard_output_format,
        "images": list(job.images),
        "mask": job.mask,
    }


def form_of(job: Job, model: Model, *, tenant: str | None) -> str:
    """Return the hash of a job's canonical form, e.g. `1-9f86...`; `tenant` None: the same for all tenants."""
    text = json.dumps(
        {**canonical(job, model), "tenant": tenant}, sort_keys=True, ensure_ascii=True, separators=(",", ":")
    )
    return f"{VERSION}-{hashlib.sha256(text.encode()).hexdigest()}"


def _or_first(value: str | None, accepted: tuple[str, ...]) -> str | None:
    """A parameter, or what the API takes when it is left out: the catalog lists that first, where it is known."""
    return value if value is not None or not accepted or accepted[0] == ANY else accepted[0]
