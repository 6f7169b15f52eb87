"""Edits and variations in the image API's own contract: a form with files, or JSON that names images.

JSON names an image by `image_url` (an address or a data URL) or `file_id`, which here is the reference that an upload
to /v1/images gave (`sha256:...`).
"""

from collections.abc import Mapping, Sequence
from typing import Final

from starlette.responses import Response
from starlette.routing import Route

from imagequeue.config.errors import JobRefused
from imagequeue.config.job import INPUT_IMAGES_MAX, Operation
from imagequeue.config.references import reference_of
from imagequeue.producer.door.bodies import read_json
from imagequeue.producer.door.forms import Form, is_form, read_form
from imagequeue.producer.door.openai_images import serve
from imagequeue.producer.door.openai_request import tenant_of
from imagequeue.producer.door.parts import Asked
from imagequeue.producer.door.queries import check_known
from imagequeue.producer.door.serving import route
from imagequeue.producer.door.uploads import TENANT, keep_file
from imagequeue.producer.inputs import from_data_url

JSON_BYTES_MAX: Final = 67_108_864
"""Images in JSON are a third longer, and stand in memory; forms do not."""
URL_CHARACTERS_MAX: Final = 20_971_520
WHOLE_NUMBERS: Final = ("n", "partial_images", "output_compression")
IMAGES: Final = "images"
SWITCHES: Final = {"true": True, "false": False}


def edit_routes() -> list[Route]:
    """Return the routes of calls with input images."""
    return [
        route("/v1/images/edits", "POST", edit, scope="submit"),
        route("/v1/images/variations", "POST", vary, scope="submit"),
    ]


async def edit(asked: Asked) -> Response:
    """Queue an edit, wait for it, answer with its images."""
    return await _serve(asked, "edit")


async def vary(asked: Asked) -> Response:
    """Queue a variation of one image, wait for it, answer with its images."""
    return await _serve(asked, "variation")


async def _serve(asked: Asked, operation: Operation) -> Response:
    check_known(asked.request.query_params, ())
    tenant = tenant_of(asked.request.headers, asked.caller.tenant) or TENANT
    asked.caller.check_owns(tenant)
    as_form = is_form(asked.request)
    if as_form:
        async with read_form(asked.request) as form:
            body = await _of_form(asked, tenant, form)
    else:
        body = await _of_json(asked, tenant)
    try:
        return await serve(asked, body, operation)
    except JobRefused as error:
        raise JobRefused(_own_name(error.field, as_form=as_form), error.message) from error


def _own_name(field: str, *, as_form: bool) -> str:
    """Return what the image API calls a job's field: its path is the operation, a form has `image`."""
    if field == "operation":
        return "model"
    return f"image{field[len(IMAGES) :]}" if as_form and field.partition(".")[0] == IMAGES else field


async def _of_form(asked: Asked, tenant: str, form: Form) -> Mapping[str, object]:
    for name in form.files:
        if name not in ("image", "mask"):
            raise JobRefused(name[:64], "unknown file; accepted: image, mask")
    for name in ("image", "mask"):
        if name in form.fields:
            raise JobRefused(name, "a file is accepted in a form; JSON takes addresses and references")
    fields: dict[str, object] = {name: _value(name, text) for name, text in form.fields.items() if text != ""}
    images, masks = form.files.get("image", ()), form.files.get("mask", ())
    if not images:
        raise JobRefused("image", "a file is needed")
    if len(images) > INPUT_IMAGES_MAX or len(masks) > 1:
        raise JobRefused("image", f"at most {INPUT_IMAGES_MAX} files and one mask are accepted")
    fields["images"] = [reference_of((await keep_file(asked, tenant, file, "image")).sha256) for file in images]
    if masks:
        fields["mask"] = reference_of((await keep_file(asked, tenant, masks[0], "mask")).sha256)
    return fields


def _value(name: str, text: str) -> object:
    """A form's values are text; those of other kinds are known by their names."""
    if name in WHOLE_NUMBERS and text.isdecimal() and len(text) < 10:
        return int(text)
    if name == "stream":
        return SWITCHES.get(text.lower(), text)
    return text


async def _of_json(asked: Asked, tenant: str) -> Mapping[str, object]:
    body = await read_json(asked.request, bytes_max=JSON_BYTES_MAX)
    if not isinstance(body, Mapping):
        raise JobRefused("body", "a JSON object or a multipart form is accepted")
    images = body.get("images")
    if not isinstance(images, Sequence) or isinstance(images, str) or not 1 <= len(images) <= INPUT_IMAGES_MAX:
        raise JobRefused("images", f"a list of 1 to {INPUT_IMAGES_MAX} objects with image_url or file_id is needed")
    named = [await _kept(asked, tenant, one, f"images.{place}") for place, one in enumerate(images)]
    mask = body.get("mask")
    kept_mask = None if mask is None else await _kept(asked, tenant, mask, "mask")
    return {**body, "images": named, "mask": kept_mask}


async def _kept(asked: Asked, tenant: str, given: object, field: str) -> str:
    """The reference or address in an image object; what came as a data URL is kept."""
    text = _named(given, field)
    if text[:5].lower() != "data:":
        return text
    data, claimed = from_data_url(text, field)
    record = await asked.door.inputs.keep(tenant, data, field=field, claimed_type=claimed)
    return reference_of(record.sha256)


def _named(given: object, field: str) -> str:
    fields = {name: value for name, value in given.items() if value is not None} if isinstance(given, Mapping) else {}
    if set(fields) not in ({"image_url"}, {"file_id"}):
        raise JobRefused(field, "an object with either image_url or file_id is accepted")
    text = next(iter(fields.values()))
    if not isinstance(text, str) or not 1 <= len(text) <= URL_CHARACTERS_MAX:
        raise JobRefused(field, f"text of 1 to {URL_CHARACTERS_MAX} characters is accepted")
    return text
