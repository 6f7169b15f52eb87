"""The provider's /v1/files: upload, list, look up, read, delete."""

from typing import Final

from aiohttp import BodyPartReader, web

from imagequeue.simulator import spoil
from imagequeue.simulator.config import SimulatedOrg
from imagequeue.simulator.faults import Fault
from imagequeue.simulator.files import FILE_BYTES_MAX, StoredFile
from imagequeue.simulator.images import authenticate
from imagequeue.simulator.provider import Provider
from imagequeue.simulator.refusals import ApiError, RefusalError, bad_request

PAGE_MAX: Final = 10_000
PIECE_BYTES: Final = 65_536
ON_UPLOAD: Final = frozenset({"upload_reset"})


class FileEndpoints:
    """Handlers of /v1/files."""

    def __init__(self, provider: Provider) -> None:
        self._provider = provider

    def routes(self) -> list[web.RouteDef]:
        """Return the routes."""
        return [
            web.post("/v1/files", self.upload),
            web.get("/v1/files", self.listing),
            web.get("/v1/files/{id}", self.show),
            web.delete("/v1/files/{id}", self.delete),
            web.get("/v1/files/{id}/content", self.content),
        ]

    async def upload(self, request: web.Request) -> web.StreamResponse:
        """Answer POST /v1/files."""
        try:
            org = authenticate(self._provider, request)
            filename, purpose, content = await _form(request)
        except RefusalError as refusal:
            return refusal.error.response({})
        file = self._provider.files.add(org=org.name, filename=filename, purpose=purpose, content=content)
        fault = self._fault(org)
        if fault is not None:
            return await spoil.reset(request)
        return web.json_response(file.as_json())

    def _fault(self, org: SimulatedOrg) -> Fault | None:
        return self._provider.faults.strike(org=org.name, model="", among=ON_UPLOAD)

    async def listing(self, request: web.Request) -> web.Response:
        """Answer GET /v1/files, the newest first."""
        try:
            org = authenticate(self._provider, request)
        except RefusalError as refusal:
            return refusal.error.response({})
        files = self._provider.files.of(org.name, request.query.get("purpose"))
        after = request.query.get("after")
        ids = [file.id for file in files]
        first = ids.index(after) + 1 if after in ids else 0
        limit = min(int(request.query.get("limit", PAGE_MAX)), PAGE_MAX)
        shown = files[first : first + limit]
        return web.json_response(
            {
                "object": "list",
                "data": [file.as_json() for file in shown],
                "first_id": shown[0].id if shown else None,
                "last_id": shown[-1].id if shown else None,
                "has_more": first + len(shown) < len(files),
            }
        )

    async def show(self, request: web.Request) -> web.Response:
        """Answer GET /v1/files/ID."""
        try:
            return web.json_response(self._file(request).as_json())
        except RefusalError as refusal:
            return refusal.error.response({})

    async def delete(self, request: web.Request) -> web.Response:
        """Answer DELETE /v1/files/ID."""
        try:
            file = self._file(request)
        except RefusalError as refusal:
            return refusal.error.response({})
        self._provider.files.remove(file.id)
        return web.json_response({"id": file.id, "object": "file", "deleted": True})

    async def content(self, request: web.Request) -> web.StreamResponse:
        """Answer GET /v1/files/ID/content."""
        try:
            file = self._file(request)
        except RefusalError as refusal:
            return refusal.error.response({})
        response = web.StreamResponse(headers={"Content-Type": "application/octet-stream"})
        await response.prepare(request)
        for piece in file.pieces():
            for start in range(0, len(piece), PIECE_BYTES):
                await response.write(piece[start : start + PIECE_BYTES])
        await response.write_eof()
        return response

    def _file(self, request: web.Request) -> StoredFile:
        org = authenticate(self._provider, request)
        file = self._provider.files.get(request.match_info["id"], org.name)
        if file is None:
            raise RefusalError(no_such_object("File", request.match_info["id"]))
        return file


def no_such_object(kind: str, object_id: str) -> ApiError:
    """Return 404 for an id that is not there, or is another organization's."""
    text = f"No such {kind} object: {object_id}"
    return ApiError(status=404, code=None, type="invalid_request_error", message=text, param="id")


async def _form(request: web.Request) -> tuple[str, str, bytes]:
    if not request.content_type.startswith("multipart/"):
        raise RefusalError(bad_request("file", "'file': a multipart form is needed."))
    purpose, filename, content = "", "", None
    async for part in await request.multipart():
        if not isinstance(part, BodyPartReader):
            raise RefusalError(bad_request("file", "'file': nested forms are not accepted."))
        if part.name == "purpose":
            purpose = await part.text()
        elif part.name == "file":
            filename, content = part.filename or "", bytes(await part.read())
    if purpose != "batch":
        raise RefusalError(bad_request("purpose", "'purpose': only 'batch' is simulated."))
    if not content or len(content) > FILE_BYTES_MAX:
        raise RefusalError(bad_request("file", f"'file': 1 to {FILE_BYTES_MAX} bytes are needed."))
    return filename, purpose, content
