"""Images in over HTTP: kept for a tenant, and named by reference in the jobs that edit them."""

from tempfile import SpooledTemporaryFile
from typing import Final

from starlette.datastructures import UploadFile
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from imagequeue.config.references import reference_of
from imagequeue.ledger.api import ImageRecord
from imagequeue.producer.door.bodies import counted
from imagequeue.producer.door.forms import Form, is_form, read_form
from imagequeue.producer.door.parts import Asked
from imagequeue.producer.door.problems import Problem, refused
from imagequeue.producer.door.queries import check_known
from imagequeue.producer.door.serving import route
from imagequeue.producer.door.showing import image_url
from imagequeue.producer.inputs import INPUT_BYTES_MAX

TENANT: Final = "default"
SPOOL_BYTES_MAX: Final = 1_048_576
RAW_TYPES: Final = ("", "application/octet-stream")


def upload_routes() -> list[Route]:
    """Return the route that takes images in."""
    return [route("/v1/images", "POST", upload, scope="submit")]


async def upload(asked: Asked) -> Response:
    """Keep the images of a form (`image`, one or many) or of a plain body; 201 with their references."""
    check_known(asked.request.query_params, ("tenant",))
    tenant = asked.caller.tenant_of(asked.request.query_params.get("tenant")) or TENANT
    if is_form(asked.request):
        async with read_form(asked.request) as form:
            records = await _of_form(asked, tenant, form)
    else:
        records = [await _of_body(asked, tenant)]
    return JSONResponse({"images": [_shown(asked, record) for record in records]}, 201)


async def keep_file(asked: Asked, tenant: str, file: UploadFile, field: str) -> ImageRecord:
    """Keep a form's file; JobRefused names the field. Its type is often guessed from a name, so the bytes decide."""
    return await asked.door.inputs.keep_from(tenant, file.read, field=field)


async def _of_form(asked: Asked, tenant: str, form: Form) -> list[ImageRecord]:
    for name in (*form.fields, *form.files):
        if name != "image":
            raise refused(name[:64], "unknown field; accepted: image, as a file")
    files = form.files.get("image", ())
    if not files:
        raise refused("image", "a file is needed")
    return [await keep_file(asked, tenant, file, "image") for file in files]


async def _of_body(asked: Asked, tenant: str) -> ImageRecord:
    claimed = asked.request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if claimed not in RAW_TYPES and not claimed.startswith("image/"):
        message = "body: an image, or a multipart form with `image`, is accepted"
        raise Problem(400, message, code="invalid_value", param="content-type")
    with SpooledTemporaryFile(max_size=SPOOL_BYTES_MAX) as spooled:
        file = UploadFile(file=spooled)  # type: ignore[arg-type]  # as starlette itself does
        async for chunk in counted(asked.request, INPUT_BYTES_MAX):
            await file.write(chunk)
        await file.seek(0)
        return await asked.door.inputs.keep_from(tenant, file.read, field="body", claimed_type=claimed)


def _shown(asked: Asked, record: ImageRecord) -> dict[str, object]:
    return {
        "reference": reference_of(record.sha256),
        "sha256": record.sha256,
        "bytes": record.bytes,
        "width": record.width,
        "height": record.height,
        "format": record.format,
        "url": image_url(asked.base_url, record.sha256),
    }
