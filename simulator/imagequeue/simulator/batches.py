"""The provider's /v1/batches: create, look up, list, cancel; and the work of a batch in the background."""

import asyncio
import contextlib
import json
import secrets
import time
from collections.abc import Iterator, Mapping
from typing import Final

from aiohttp import web

from imagequeue.simulator import asked as asking
from imagequeue.simulator import made, refusals, spoil
from imagequeue.simulator.batch import (
    ENDED,
    ENDPOINTS,
    INPUT_BYTES_MAX,
    LINES_MAX,
    Batch,
    Line,
    Made,
    Refused,
    Status,
    read_lines,
)
from imagequeue.simulator.bill import BillRow
from imagequeue.simulator.config import SimulatedOrg
from imagequeue.simulator.drawing import draw
from imagequeue.simulator.faults import Fault
from imagequeue.simulator.file_endpoints import no_such_object
from imagequeue.simulator.images import authenticate
from imagequeue.simulator.provider import Provider, org_id
from imagequeue.simulator.refusals import RefusalError, bad_request

PAGE: Final = 20
PAGE_MAX: Final = 100
METADATA_MAX: Final = 16
LINES_PER_TURN: Final = 100
VALIDATING_SHARE: Final = 0.2
ON_CREATE: Final = frozenset({"create_reset"})
ON_BATCH: Final = frozenset({"batch_fails", "batch_expires", "batch_stalls"})
ON_LINE: Final = frozenset({"policy", "server_error", "rate_limit", "model_not_found", "billed_server_error"})


class BatchEndpoints:
    """Handlers of /v1/batches."""

    def __init__(self, provider: Provider) -> None:
        self._provider = provider
        self._tasks: set[asyncio.Task[None]] = set()

    def routes(self) -> list[web.RouteDef]:
        """Return the routes."""
        return [
            web.post("/v1/batches", self.create),
            web.get("/v1/batches", self.listing),
            web.get("/v1/batches/{id}", self.show),
            web.post("/v1/batches/{id}/cancel", self.cancel),
        ]

    async def create(self, request: web.Request) -> web.StreamResponse:
        """Answer POST /v1/batches."""
        try:
            org = authenticate(self._provider, request)
            batch = self._new(org, asking.decode(await request.read()))
        except RefusalError as refusal:
            return refusal.error.response({})
        self._provider.batches[batch.id] = batch
        task = asyncio.create_task(_Work(self._provider, org, batch).run())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        if self._provider.faults.strike(org=org.name, model="", among=ON_CREATE) is not None:
            return await spoil.reset(request)
        return web.json_response(batch.as_json())

    def _new(self, org: SimulatedOrg, fields: Mapping[str, object]) -> Batch:
        endpoint, file_id, metadata = fields.get("endpoint"), fields.get("input_file_id"), fields.get("metadata") or {}
        if endpoint not in ENDPOINTS:
            raise RefusalError(bad_request("endpoint", f"'endpoint': accepted are {', '.join(ENDPOINTS)}."))
        if fields.get("completion_window") != "24h":
            raise RefusalError(bad_request("completion_window", "'completion_window': accepted is 24h."))
        if not isinstance(file_id, str) or self._provider.files.get(file_id, org.name) is None:
            raise RefusalError(no_such_object("File", str(file_id)))
        if not isinstance(metadata, dict) or len(metadata) > METADATA_MAX:
            raise RefusalError(bad_request("metadata", f"'metadata': an object of at most {METADATA_MAX} pairs."))
        return Batch(
            id=f"batch_{secrets.token_hex(12)}",
            org=org.name,
            endpoint=str(endpoint),
            input_file_id=file_id,
            metadata={str(name): str(value) for name, value in metadata.items()},
            status="validating",
            at={"created": int(time.time())},
        )

    async def listing(self, request: web.Request) -> web.Response:
        """Answer GET /v1/batches, the newest first."""
        try:
            org = authenticate(self._provider, request)
        except RefusalError as refusal:
            return refusal.error.response({})
        batches = [one for one in reversed(self._provider.batches.values()) if one.org == org.name]
        ids = [batch.id for batch in batches]
        after = request.query.get("after")
        first = ids.index(after) + 1 if after in ids else 0
        limit = min(int(request.query.get("limit", PAGE)), PAGE_MAX)
        shown = batches[first : first + limit]
        return web.json_response(
            {
                "object": "list",
                "data": [batch.as_json() for batch in shown],
                "first_id": shown[0].id if shown else None,
                "last_id": shown[-1].id if shown else None,
                "has_more": first + len(shown) < len(batches),
            }
        )

    async def show(self, request: web.Request) -> web.Response:
        """Answer GET /v1/batches/ID."""
        try:
            return web.json_response(self._batch(request).as_json())
        except RefusalError as refusal:
            return refusal.error.response({})

    async def cancel(self, request: web.Request) -> web.Response:
        """Answer POST /v1/batches/ID/cancel."""
        try:
            batch = self._batch(request)
        except RefusalError as refusal:
            return refusal.error.response({})
        if batch.status in ENDED:
            return bad_request("id", f"Cannot cancel a batch with status '{batch.status}'.").response({})
        batch.cancelled.set()
        _enter(batch, "cancelling")
        return web.json_response(batch.as_json())

    def _batch(self, request: web.Request) -> Batch:
        org = authenticate(self._provider, request)
        batch = self._provider.batches.get(request.match_info["id"])
        if batch is None or batch.org != org.name:
            raise RefusalError(no_such_object("Batch", request.match_info["id"]))
        return batch


class _Work:
    """The life of one batch."""

    def __init__(self, provider: Provider, org: SimulatedOrg, batch: Batch) -> None:
        self._provider = provider
        self._org = org
        self._batch = batch

    async def run(self) -> None:
        batch, seconds = self._batch, self._provider.config.batch_seconds
        await asyncio.sleep(seconds * VALIDATING_SHARE)
        fault = self._provider.faults.strike(org=self._org.name, model=self._model(), among=ON_BATCH)
        kind = fault.kind if fault else None
        if not self._validate() or kind == "batch_fails":
            if kind == "batch_fails":
                batch.errors.append({"code": "invalid_batch", "message": "the batch was refused", "line": None})
            _enter(batch, "failed")
            return
        if not batch.cancelled.is_set():
            _enter(batch, "in_progress")
        await self._wait(seconds * (1 - VALIDATING_SHARE), stalls=kind == "batch_stalls")
        share = len(batch.lines) // 2 if kind == "batch_expires" else len(batch.lines)
        ended: Status = "expired" if kind == "batch_expires" else "completed"
        if batch.cancelled.is_set():
            share, ended = 0, "cancelled"
        await self._make(share)
        code = "batch_expired" if ended == "expired" else "batch_cancelled"
        self._leave_out(batch.lines[share:], code)
        if not batch.cancelled.is_set():
            _enter(batch, "finalizing")
        self._write_files()
        _enter(batch, ended)

    def _model(self) -> str:
        file = self._provider.files.get(self._batch.input_file_id, self._org.name)
        first = next(read_lines(file.content, self._batch.endpoint), None) if file else None
        return str(first.body.get("model")) if isinstance(first, Line) else ""

    async def _wait(self, seconds: float, *, stalls: bool) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(None if stalls else seconds):  # a stall ends with a cancel
                await self._batch.cancelled.wait()

    def _validate(self) -> bool:
        batch = self._batch
        file = self._provider.files.get(batch.input_file_id, self._org.name)
        content = file.content if file else b""
        lines = list(read_lines(content, batch.endpoint)) if len(content) <= INPUT_BYTES_MAX else []
        batch.lines = tuple(line for line in lines if isinstance(line, Line))
        wrong = [line for line in lines if isinstance(line, str)]
        if not 1 <= len(lines) <= LINES_MAX:
            wrong.append(f"1 to {LINES_MAX} lines in at most {INPUT_BYTES_MAX} bytes are needed")
        if len({line.body.get("model") for line in batch.lines}) > 1:
            wrong.append("one model in each file is accepted")
        batch.errors += [{"code": "invalid_line", "message": text, "line": None} for text in wrong]
        return not wrong

    async def _make(self, count: int) -> None:
        for number, line in enumerate(self._batch.lines[:count]):
            self._do(line)
            if number % LINES_PER_TURN == 0:
                await asyncio.sleep(0)

    def _do(self, line: Line) -> None:
        request_id = self._provider.new_request_id()
        model = str(line.body.get("model", ""))
        fault = self._provider.faults.strike(org=self._org.name, model=model, among=ON_LINE)
        try:
            asked = self._admit(line, fault)
        except RefusalError as refusal:
            self._refuse(line, request_id, refusal)
            return
        self._book(line, request_id, asked, fault)
        if fault is not None:
            self._refuse(
                line, request_id, RefusalError(refusals.of_fault(fault, model=model, org_id=org_id(self._org)))
            )
            return
        made_line = Made(custom_id=line.custom_id, request_id=request_id, asked=asked, created=int(time.time()))
        self._batch.made.append(made_line)

    def _admit(self, line: Line, fault: Fault | None) -> asking.Asked:
        asked = asking.read(line.body, ENDPOINTS[self._batch.endpoint], self._provider.catalog)
        if not self._provider.serves(self._org, asked.model) or asked.model.batch_percent is None:
            raise RefusalError(refusals.model_not_found(asked.model.name))
        if fault is not None and fault.kind != "billed_server_error":
            raise RefusalError(refusals.of_fault(fault, model=asked.model.name, org_id=org_id(self._org)))
        return asked

    def _refuse(self, line: Line, request_id: str, refusal: RefusalError) -> None:
        error = json.loads(refusal.error.body())["error"]
        self._batch.refused.append(
            Refused(custom_id=line.custom_id, request_id=request_id, status=refusal.error.status, error=error)
        )

    def _book(self, line: Line, request_id: str, asked: asking.Asked, fault: Fault | None) -> None:
        used, at = made.tokens(asked), time.time()
        self._provider.bill.add(
            BillRow(
                request_id=request_id,
                client_request_id=line.custom_id,
                org=self._org.name,
                project=self._org.project,
                model=asked.model.name,
                source=f"image.{asked.operation}",
                size=asked.size,
                quality=asked.quality or "",
                n=asked.n,
                usage=None if used is None else used.counts(),
                nano_usd=made.price(asked, used, at, "batch"),
                at=at,
                billed=True,
                reason="image made in a batch" if fault is None else f"image made in a batch, then {fault.kind}",
                status=200 if fault is None else 500,
                batch=True,
            )
        )

    def _leave_out(self, lines: tuple[Line, ...], code: str) -> None:
        error = {"code": code, "message": "This request could not be executed before the batch ended."}
        self._batch.refused += [
            Refused(custom_id=line.custom_id, request_id=self._provider.new_request_id(), status=0, error=error)
            for line in lines
        ]

    def _write_files(self) -> None:
        batch, files = self._batch, self._provider.files
        if batch.made:
            name = f"{batch.id}_output.jsonl"
            batch.output_file_id = files.add(
                org=batch.org, filename=name, purpose="batch_output", lines=self._output
            ).id
        if batch.refused:
            content = b"".join(refused.as_line() for refused in batch.refused)
            name = f"{batch.id}_error.jsonl"
            batch.error_file_id = files.add(org=batch.org, filename=name, purpose="batch_output", content=content).id

    def _output(self) -> Iterator[bytes]:
        """Draw the images anew, each at the moment it is read; the last line comes first, for order is not kept."""
        config = self._provider.config
        for line in reversed(self._batch.made):
            pictures = made.pictures(
                line.asked, caption=line.custom_id, bytes_min=config.image_bytes, render=config.render
            )
            files = [draw(picture, line.asked.output_format) for picture in pictures]
            body = made.answer_with_bytes(line.asked, files, made.tokens(line.asked), line.created)
            head = json.dumps({"id": f"batch_{line.request_id}", "custom_id": line.custom_id})[:-1].encode()
            response = b', "response": {"status_code": 200, "request_id": "%s", "body": ' % line.request_id.encode()
            yield b"".join([head, response, body, b'}, "error": null}\n'])


def _enter(batch: Batch, status: Status) -> None:
    batch.status = status
    batch.at[status] = int(time.time())
