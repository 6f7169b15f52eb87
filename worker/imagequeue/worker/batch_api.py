"""The provider's files and batches: upload, create, look up, read. Each call once, with a deadline and a bound."""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

import httpx
from pydantic_core import from_json

from imagequeue.config.errors import ImageQueueError
from imagequeue.config.orgs import Org
from imagequeue.worker.http import CONNECT_SECONDS_MAX, TRANSPORT_ERRORS

ANSWER_SECONDS_MAX: Final = 60.0
UPLOAD_SECONDS_MAX: Final = 600.0
READ_SECONDS_MAX: Final = 60.0
"""Between two pieces of a file; the whole may take as long as it comes."""
ANSWER_BYTES_MAX: Final = 1_048_576
LINE_BYTES_MAX: Final = 64 * 1024 * 1024
PAGES_MAX: Final = 20
PAGE_SIZE: Final = 100
REF: Final = "imagequeue_ref"
"""The name in a batch's metadata under which ours stands."""
ENDED: Final = frozenset({"completed", "failed", "expired", "cancelled"})


class BatchTrouble(ImageQueueError):
    """The provider did not do what it was asked; `refused` when it said so for good, else it may have done it."""

    def __init__(self, message: str, *, refused: bool = False, status: int = 0) -> None:
        super().__init__(message)
        self.refused = refused
        self.status = status


@dataclass(frozen=True, kw_only=True, slots=True)
class RemoteBatch:
    """A batch as the provider describes it."""

    id: str
    status: str
    output_file_id: str | None
    error_file_id: str | None
    errors: str
    created_at: datetime

    @property
    def has_ended(self) -> bool:
        """Whether nothing more will come."""
        return self.status in ENDED


class BatchApi:
    """Calls over a transport that others may share."""

    def __init__(self, transport: httpx.AsyncBaseTransport) -> None:
        self._transport = transport

    async def upload(self, org: Org, filename: str, content: bytes) -> str:
        """Store a file of lines; return its id."""
        files = {"file": (filename, content, "application/jsonl")}
        form = httpx.Request("POST", f"{org.base_url}/files", data={"purpose": "batch"}, files=files)
        form.read()
        answer = await self._ask(org, form, seconds=UPLOAD_SECONDS_MAX)
        return _text(answer, "id")

    async def remove_files(self, org: Org, filename: str) -> None:
        """Delete what earlier uploads under this name left behind."""
        query = {"purpose": "batch", "limit": str(PAGE_SIZE)}
        answer = await self._ask(org, httpx.Request("GET", f"{org.base_url}/files", params=query))
        for file in _list(answer):
            if file.get("filename") == filename:
                await self._ask(org, httpx.Request("DELETE", f"{org.base_url}/files/{_text(file, 'id')}"))

    async def create(self, org: Org, *, file_id: str, endpoint: str, ref: str) -> RemoteBatch:
        """Make a batch that carries our name of it."""
        fields = {
            "input_file_id": file_id,
            "endpoint": endpoint,
            "completion_window": "24h",
            "metadata": {REF: ref},
        }
        return _remote(await self._ask(org, httpx.Request("POST", f"{org.base_url}/batches", json=fields)))

    async def find(self, org: Org, ref: str, *, since: datetime) -> RemoteBatch | None:
        """Return the batch that carries our name, looking through those made since; None when there is none."""
        after = ""
        for _ in range(PAGES_MAX):
            query = {"limit": str(PAGE_SIZE), **({"after": after} if after else {})}
            answer = await self._ask(org, httpx.Request("GET", f"{org.base_url}/batches", params=query))
            found = _list(answer)
            for one in found:
                metadata = one.get("metadata")
                if isinstance(metadata, Mapping) and metadata.get(REF) == ref:
                    return _remote(one)
            older = bool(found) and _remote(found[-1]).created_at < since
            after = str(answer.get("last_id") or "")
            if not answer.get("has_more") or not after or older:
                return None
        raise BatchTrouble(f"batches: more than {PAGES_MAX} pages of them; {ref} was not found")

    async def get(self, org: Org, batch_id: str) -> RemoteBatch:
        """Return a batch as it is now."""
        return _remote(await self._ask(org, httpx.Request("GET", f"{org.base_url}/batches/{batch_id}")))

    async def lines(self, org: Org, file_id: str) -> AsyncIterator[bytes]:
        """Yield the lines of a file as they come."""
        request = httpx.Request("GET", f"{org.base_url}/files/{file_id}/content")
        response = await self._send(org, request, seconds=ANSWER_SECONDS_MAX)
        try:
            if response.status_code != 200:
                raise _refusal(response.status_code, await _read(response))
            async for line in _split(response.aiter_raw()):
                yield line
        except (TimeoutError, *TRANSPORT_ERRORS) as error:
            raise BatchTrouble(f"file {file_id}: {type(error).__name__}") from error
        finally:
            await response.aclose()

    async def _ask(self, org: Org, request: httpx.Request, *, seconds: float = ANSWER_SECONDS_MAX) -> Mapping[str, Any]:
        response = await self._send(org, request, seconds=seconds)
        try:
            body = await _read(response)
        except (TimeoutError, *TRANSPORT_ERRORS) as error:
            raise BatchTrouble(f"batches: {type(error).__name__} from {request.url.path}") from error
        finally:
            await response.aclose()
        if response.status_code != 200:
            raise _refusal(response.status_code, body)
        value = _decoded(body)
        if not isinstance(value, Mapping):
            raise BatchTrouble(f"batches: {request.url.path} answers no object")
        return value

    async def _send(self, org: Org, request: httpx.Request, *, seconds: float) -> httpx.Response:
        request.headers["authorization"] = f"Bearer {org.api_key.get_secret_value()}"
        request.headers["accept-encoding"] = "identity"
        request.extensions["timeout"] = {"connect": CONNECT_SECONDS_MAX, "read": READ_SECONDS_MAX}
        try:
            async with asyncio.timeout(seconds):
                return await self._transport.handle_async_request(request)
        except (TimeoutError, *TRANSPORT_ERRORS) as error:
            raise BatchTrouble(f"batches: {type(error).__name__} from {request.url.path}") from error


async def _split(pieces: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """Yield whole lines; one that is longer than LINE_BYTES_MAX is trouble."""
    begun: list[bytes] = []
    async for piece in pieces:
        first, *more = piece.split(b"\n")
        begun.append(first)
        for start in more:
            yield b"".join(begun)
            begun = [start]
        if sum(map(len, begun)) > LINE_BYTES_MAX:
            raise BatchTrouble(f"batches: a line of more than {LINE_BYTES_MAX} bytes")
    if any(begun):
        yield b"".join(begun)


async def _read(response: httpx.Response) -> bytes:
    body = b""
    async with asyncio.timeout(ANSWER_SECONDS_MAX):
        async for piece in response.aiter_raw():
            body += piece
            if len(body) > ANSWER_BYTES_MAX:
                raise BatchTrouble(f"batches: an answer of more than {ANSWER_BYTES_MAX} bytes")
    return body


def _refusal(status: int, body: bytes) -> BatchTrouble:
    value = _decoded(body)
    error = value.get("error") if isinstance(value, Mapping) else None
    message = str(error.get("message")) if isinstance(error, Mapping) else f"HTTP {status}"
    return BatchTrouble(f"batches: {status}: {message[:300]}", refused=status in (400, 404, 422), status=status)


def _decoded(body: bytes) -> object:
    try:
        value: object = from_json(body, allow_inf_nan=False)
    except ValueError:
        return None
    return value


def _list(answer: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    data = answer.get("data")
    return [one for one in data if isinstance(one, Mapping)] if isinstance(data, list) else []


def _text(of: Mapping[str, Any], name: str) -> str:
    value = of.get(name)
    if not isinstance(value, str) or not value:
        raise BatchTrouble(f"batches: an answer without {name}")
    return value


def _remote(of: Mapping[str, Any]) -> RemoteBatch:
    created, errors = of.get("created_at"), of.get("errors")
    return RemoteBatch(
        id=_text(of, "id"),
        status=_text(of, "status"),
        output_file_id=of.get("output_file_id") or None,
        error_file_id=of.get("error_file_id") or None,
        errors=json.dumps(errors)[:300] if errors else "",
        created_at=datetime.fromtimestamp(created if isinstance(created, int) else 0, UTC),
    )
