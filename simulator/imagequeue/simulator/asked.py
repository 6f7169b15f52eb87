"""What a caller asks for: reads the fields of an image request, refuses what endpoint or model do not take."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

from pydantic_core import from_json

from imagequeue.config.catalog import Catalog, Model, check_job
from imagequeue.config.errors import JobRefused
from imagequeue.config.job import parse_job
from imagequeue.simulator.drawing import FORMATS
from imagequeue.simulator.refusals import RefusalError, bad_request, model_not_found

Operation = Literal["generation", "edit", "variation"]
ResponseFormat = Literal["url", "b64_json"]

PICKED_QUALITY: Final = "medium"  # what `auto` becomes; the provider does not say how it picks
PICKED_SIZE: Final = "1024x1024"
INPUT_IMAGES_MAX: Final = 16
CLIENT_REQUEST_ID_CHARACTERS_MAX: Final = 512

_CHECKED: Final = (
    "model", "prompt", "n", "size", "quality", "style", "background", "output_format", "partial_images"
)  # fmt: skip
_OF_A_VARIATION: Final = frozenset({"model", "n", "size", "response_format", "user", "images"})
_INPUT: Final = f"sha256:{'0' * 64}"  # stands for each input image: only how many there are is checked
_PASSED_OVER: Final = frozenset({"user", "safety_identifier", "moderation", "output_compression", "input_fidelity"})
_OTHERS: Final = frozenset({"response_format", "stream", "images", "image", "mask"})


@dataclass(frozen=True, kw_only=True)
class Asked:
    """One checked request; size in pixels, `quality` None where the model has none."""

    operation: Operation
    model: Model
    prompt: str
    n: int
    width: int
    height: int
    quality: str | None
    background: str
    output_format: str
    response_format: ResponseFormat
    input_images: int
    stream: bool
    partial_images: int

    @property
    def size(self) -> str:
        """Return the size in the provider's words."""
        return f"{self.width}x{self.height}"


def decode(body: bytes) -> dict[str, object]:
    """Return the JSON object of a body; RefusalError 400 when it is none."""
    try:
        value = from_json(body, allow_inf_nan=False)
    except ValueError as error:
        raise RefusalError(bad_request(None, f"We could not parse the JSON body of your request. ({error})")) from error
    if not isinstance(value, dict):
        raise RefusalError(bad_request(None, "The body of your request is not a JSON object."))
    return value


def read(fields: Mapping[str, object], operation: Operation, catalog: Catalog) -> Asked:
    """Return the checked request; RefusalError with the provider's answer otherwise. Nulls count as absent."""
    given = {name: value for name, value in fields.items() if value is not None}
    model = _model(given, catalog)
    _known_only(given, operation)
    _check_stream(given, model)
    response_format = _response_format(given, model)
    input_images = _input_images(given, operation)
    job = _job_fields(given, operation, input_images)
    try:
        checked = check_job(parse_job(job), catalog)
    except JobRefused as refused:
        raise RefusalError(
            bad_request(refused.field, f"Invalid value for '{refused.field}': {refused.message}.")
        ) from refused
    if given.get("size") in model.accepts.size_aliases:
        raise RefusalError(
            bad_request("size", f"Invalid value for 'size': accepted are {', '.join(model.accepts.sizes)}.")
        )
    output_format = checked.output_format or model.accepts.standard_output_format
    if output_format not in FORMATS:
        raise RefusalError(bad_request("output_format", f"'output_format': {', '.join(FORMATS)} can be simulated."))
    width, height = _pixels(model.api_size(checked.size))
    quality = model.api_quality(checked.quality)
    return Asked(
        operation=operation,
        model=model,
        prompt=checked.prompt,
        n=checked.n,
        width=width,
        height=height,
        quality=PICKED_QUALITY if quality == "auto" else quality,
        background="transparent" if checked.background == "transparent" else "opaque",
        output_format=output_format,
        response_format=response_format,
        input_images=input_images,
        stream=given.get("stream") in (True, "true"),
        partial_images=checked.partial_images,
    )


def check_client_request_id(value: str | None) -> None:
    """Refuse an X-Client-Request-Id that is not ASCII or longer than 512 characters, as the provider does."""
    if value is not None and not (value.isascii() and len(value) <= CLIENT_REQUEST_ID_CHARACTERS_MAX):
        raise RefusalError(bad_request(None, "X-Client-Request-Id must be ASCII and at most 512 characters."))


def _model(given: Mapping[str, object], catalog: Catalog) -> Model:
    name = given.get("model")
    if not isinstance(name, str) or not name:
        raise RefusalError(bad_request("model", "Specify a model explicitly: parameter 'model' is a text."))
    found = catalog.models.get(name)
    if found is None:
        raise RefusalError(model_not_found(name))
    return found


def _known_only(given: Mapping[str, object], operation: Operation) -> None:
    pictures = {"images", "image", "mask"}
    for name in given:
        known = name in _CHECKED or name in _PASSED_OVER or name in _OTHERS
        elsewhere = (operation == "generation" and name in pictures) or (
            operation == "variation" and name not in _OF_A_VARIATION
        )
        if not known or elsewhere:
            raise RefusalError(bad_request(name, f"Unknown parameter: '{name}'.", "unknown_parameter"))


def _check_stream(given: Mapping[str, object], model: Model) -> None:
    if given.get("stream") not in (None, False, True, "false", "true"):
        raise RefusalError(bad_request("stream", "Invalid type for 'stream': expected a boolean."))
    if given.get("stream") in (True, "true") and not model.accepts.partial_images_max:
        raise RefusalError(bad_request("stream", f"Streaming is not supported by {model.name}.", "unsupported_value"))
    if "partial_images" in given and given.get("stream") not in (True, "true"):
        raise RefusalError(bad_request("partial_images", "'partial_images' is only for streaming."))


def _response_format(given: Mapping[str, object], model: Model) -> ResponseFormat:
    value = given.get("response_format")
    if value is not None and not model.accepts.response_format:
        raise RefusalError(bad_request("response_format", "Unknown parameter: 'response_format'.", "unknown_parameter"))
    if value is None:
        return model.accepts.responses[0]
    if value == "url" and "url" in model.accepts.responses:
        return "url"
    if value == "b64_json" and "b64_json" in model.accepts.responses:
        return "b64_json"
    accepted = ", ".join(model.accepts.responses)
    raise RefusalError(bad_request("response_format", f"Invalid value for 'response_format': accepted are {accepted}."))


def _input_images(given: Mapping[str, object], operation: Operation) -> int:
    if operation == "generation":
        return 0
    images = given.get("images")
    if not isinstance(images, list) or not 1 <= len(images) <= INPUT_IMAGES_MAX:
        raise RefusalError(bad_request("image", f"1 to {INPUT_IMAGES_MAX} input images are needed."))
    for image in [*images, *([given["mask"]] if "mask" in given else [])]:
        if not isinstance(image, dict) or set(image) not in ({"image_url"}, {"file_id"}):
            raise RefusalError(bad_request("images", "Each image is an object with either image_url or file_id."))
    return len(images)


def _job_fields(given: Mapping[str, object], operation: Operation, input_images: int) -> dict[str, object]:
    job: dict[str, object] = {name: given[name] for name in _CHECKED if name in given}
    job["operation"] = operation
    if job.get("size") == "auto":
        job["size"] = PICKED_SIZE
    if input_images:
        job["images"] = [_INPUT] * input_images
    if "mask" in given:
        job["mask"] = _INPUT
    return job


def _pixels(size: str) -> tuple[int, int]:
    width, _, height = (PICKED_SIZE if size == "auto" else size).partition("x")
    return int(width), int(height)
