"""Whether a model takes a job, which model a job gets, and how a job reads for another model. Pure."""

from collections.abc import Callable, Sequence

from imagequeue.config.catalog.delivery import check_delivery
from imagequeue.config.catalog.grid import parse_size
from imagequeue.config.catalog.records import ANY, Catalog, Model
from imagequeue.config.errors import JobRefused
from imagequeue.config.job import Job

TRANSPARENT_FORMATS = ("png", "webp")


def check_job(job: Job, catalog: Catalog) -> Job:
    """Return the job as the API of its model takes it; JobRefused names the field and what is accepted.

    The one change is a size under another name: it becomes the API's own. Null stays null, for the model's standard.
    Every model in `overflow` must take the job too, as adapt_job would word it. A job without a model is refused:
    choose_model comes first.
    """
    if job.model is None:
        raise JobRefused("model", f"a model is needed; known: {', '.join(catalog.models)}")
    checked = _checked(job, catalog.model(job.model))
    for name in job.overflow:
        _check_overflow(job, name, catalog)
    return checked


def adapt_job(job: Job, model: Model) -> Job:
    """Return the job worded for another model, for overflow; JobRefused when that model cannot take it.

    A quality or size that the other model does not know becomes its equivalent by the catalog (`standard` becomes
    `medium`); a style is left out where there is none, and so are sketches. Nothing else changes.
    """
    accepts = model.accepts
    changes: dict[str, object] = {"model": model.name, "overflow": ()}
    if job.quality is not None and not _within(job.quality, accepts.qualities):
        changes["quality"] = accepts.quality_equivalents.get(job.quality, job.quality)
    if job.size is not None and not _takes_size(model, job.size):
        changes["size"] = accepts.size_equivalents.get(job.size, job.size)
    if not accepts.styles:
        changes["style"] = None
    changes["partial_images"] = min(job.partial_images, accepts.partial_images_max)
    return _checked(job.model_copy(update=changes), model)


def choose_model(job: Job, preference: Sequence[str], served: Callable[[str], bool]) -> str:
    """Return the job's own model, or the first preferred one that is served; JobRefused when there is none."""
    if job.model is not None:
        return job.model
    for name in preference:
        if served(name):
            return name
    raise JobRefused(
        "model",
        f"none of {', '.join(preference)} is served by a configured organization; name one, or set IMAGEQUEUE_MODELS",
    )


def _checked(job: Job, model: Model) -> Job:
    _check_inputs(job, model)
    _check_size(job, model)
    _check_listed("quality", job.quality, model, model.accepts.qualities)
    _check_listed("style", job.style, model, model.accepts.styles)
    _check_listed("background", job.background, model, model.accepts.backgrounds)
    _check_listed("output_format", job.output_format, model, model.accepts.output_formats)
    _check_transparency(job, model)
    _check_amounts(job, model)
    size = None if job.size is None else model.api_size(job.size)
    return job if size == job.size else job.model_copy(update={"size": size})


def _check_overflow(job: Job, name: str, catalog: Catalog) -> None:
    try:
        adapt_job(job, catalog.model(name))
    except JobRefused as error:
        raise JobRefused("overflow", f"{name}: {error}") from error


def _check_inputs(job: Job, model: Model) -> None:
    accepts = model.accepts
    if job.operation not in accepts.operations:
        raise JobRefused(
            "operation", f"{model.name} does not take {job.operation!r}; accepted: {', '.join(accepts.operations)}"
        )
    if job.operation == "generation" and (job.images or job.mask is not None):
        field = "images" if job.images else "mask"
        raise JobRefused(field, "a generation takes none; accepted: none, or operation edit")
    images_max = 1 if job.operation == "variation" else accepts.images_max
    if job.operation != "generation" and not 1 <= len(job.images) <= images_max:
        raise JobRefused("images", f"{model.name} takes 1 to {images_max} for {job.operation}, not {len(job.images)}")
    if job.mask is not None and (job.operation != "edit" or not accepts.mask):
        raise JobRefused("mask", f"{model.name} takes none for {job.operation}; accepted: none")


def _check_size(job: Job, model: Model) -> None:
    if job.size is None or _takes_size(model, job.size):
        return
    accepts = model.accepts
    rule = "" if accepts.free_size is None else f", {accepts.free_size.describe()}"
    listed = ", ".join((*accepts.sizes, *accepts.size_aliases))
    raise JobRefused("size", f"{model.name} does not take {job.size!r}; accepted: {listed}{rule}")


def _takes_size(model: Model, size: str) -> bool:
    if _within(model.api_size(size), model.accepts.sizes):
        return True
    pixels = parse_size(size)
    return model.accepts.free_size is not None and pixels is not None and model.accepts.free_size.allows(*pixels)


def _check_listed(field: str, value: str | None, model: Model, accepted: Sequence[str]) -> None:
    if value is None or _within(value, accepted):
        return
    raise JobRefused(
        field, f"{model.name} does not take {value!r}; accepted: {', '.join(accepted) or 'none, leave it out'}"
    )


def _check_transparency(job: Job, model: Model) -> None:
    made = job.output_format or model.accepts.standard_output_format
    if job.background == "transparent" and made not in TRANSPARENT_FORMATS:
        raise JobRefused(
            "background", f"transparent needs output_format png or webp, not {made}; accepted: auto, opaque"
        )


def _check_amounts(job: Job, model: Model) -> None:
    accepts = model.accepts
    if job.n > accepts.n_max:
        raise JobRefused(
            "n", f"{model.name} makes at most {accepts.n_max} per call, not {job.n}; accepted: 1 to {accepts.n_max}"
        )
    if len(job.prompt) > accepts.prompt_characters_max:
        raise JobRefused(
            "prompt", f"{model.name} takes at most {accepts.prompt_characters_max} characters, not {len(job.prompt)}"
        )
    if job.partial_images > accepts.partial_images_max:
        accepted = f"0 to {accepts.partial_images_max}" if accepts.partial_images_max else "0, or leave it out"
        raise JobRefused(
            "partial_images", f"{model.name} does not send {job.partial_images} of them; accepted: {accepted}"
        )
    check_delivery(job, model)


def _within(value: str, accepted: Sequence[str]) -> bool:
    return value in accepted or ANY in accepted
