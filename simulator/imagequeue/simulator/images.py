"""The image endpoints: who asks, what for, whether it passes, then the work, the bill and the answer."""

import asyncio
import time
from dataclasses import dataclass

from aiohttp import web

from imagequeue.simulator import asked as asking
from imagequeue.simulator import edits, made, refusals, spoil, streaming
from imagequeue.simulator.asked import Asked, Operation
from imagequeue.simulator.bill import ROWS_MAX, BillRow
from imagequeue.simulator.calls import Call
from imagequeue.simulator.config import SimulatedOrg
from imagequeue.simulator.drawing import draw
from imagequeue.simulator.faults import REFUSALS, Fault
from imagequeue.simulator.headers import answer_headers, limit_headers
from imagequeue.simulator.picture import Picture
from imagequeue.simulator.provider import Provider, org_id
from imagequeue.simulator.refusals import ApiError, RefusalError


@dataclass(kw_only=True, slots=True)
class Visit:
    """One request on its way through: what is known of it so far."""

    request: web.Request
    operation: Operation
    call: Call
    org: SimulatedOrg | None = None
    asked: Asked | None = None


class ImageEndpoints:
    """Handlers of /v1/images/generations, /v1/images/edits and /v1/images/variations."""

    def __init__(self, provider: Provider) -> None:
        self._provider = provider

    async def generations(self, request: web.Request) -> web.StreamResponse:
        """Answer POST /v1/images/generations."""
        return await self._visit(request, "generation")

    async def edits(self, request: web.Request) -> web.StreamResponse:
        """Answer POST /v1/images/edits, JSON or multipart."""
        return await self._visit(request, "edit")

    async def variations(self, request: web.Request) -> web.StreamResponse:
        """Answer POST /v1/images/variations, for models that still have it."""
        return await self._visit(request, "variation")

    async def _visit(self, request: web.Request, operation: Operation) -> web.StreamResponse:
        visit = Visit(request=request, operation=operation, call=self._new_call(request))
        self._provider.calls.arrive(visit.call)
        try:
            response = await self._run(visit)
            visit.call.status = 0 if request.transport is None else response.status
        except RefusalError as refusal:
            return self._refused(visit, refusal.error)
        else:
            return response
        finally:
            self._provider.calls.end(visit.call)

    def _new_call(self, request: web.Request) -> Call:
        return Call(
            request_id=self._provider.new_request_id(),
            client_request_id=request.headers.get("X-Client-Request-Id"),
            org="",
            model="",
            n=0,
            arrived_seconds=time.monotonic(),
        )

    async def _run(self, visit: Visit) -> web.StreamResponse:
        visit.org = authenticate(self._provider, visit.request)
        visit.call.org = visit.org.name
        if self._provider.bill.full:
            text = f"The bill holds {ROWS_MAX} rows: POST /sim/reset to go on."
            raise RefusalError(ApiError(status=503, code=None, type="server_error", message=text))
        asking.check_client_request_id(visit.call.client_request_id)
        fields = await edits.fields_of(visit.request)
        visit.call.model = str(fields.get("model", ""))
        fault = self._provider.faults.strike(org=visit.org.name, model=visit.call.model)
        visit.call.fault = None if fault is None else fault.kind
        if fault is not None and fault.kind in REFUSALS:
            return await self._fail(visit, visit.org, fault)
        asked = self._admit(visit, visit.org, fields)
        self._provider.calls.accept(visit.call)
        await self._work(visit)
        return await self._deliver(visit, visit.org, asked, fault)

    def _admit(self, visit: Visit, org: SimulatedOrg, fields: dict[str, object]) -> Asked:
        provider = self._provider
        asked = asking.read(fields, visit.operation, provider.catalog)
        visit.asked, visit.call.n = asked, asked.n
        if not provider.serves(org, asked.model):
            raise RefusalError(refusals.model_not_found(asked.model.name))
        used = made.tokens(asked)
        refused = provider.gates.gate(org, asked.model).enter(
            images=asked.n, tokens=used.total if used else 0, now=visit.call.arrived_seconds
        )
        if refused is not None:
            group = asked.model.limit_group
            raise RefusalError(refusals.rate_limited(refused, model=asked.model.name, group=group, org_id=org_id(org)))
        return asked

    async def _work(self, visit: Visit) -> None:
        until = visit.call.arrived_seconds + self._provider.latency_seconds(visit.call.model)
        await asyncio.sleep(max(0.0, until - time.monotonic()))

    async def _deliver(self, visit: Visit, org: SimulatedOrg, asked: Asked, fault: Fault | None) -> web.StreamResponse:
        used = made.tokens(asked)
        body = self._made(visit, asked, used)
        error = _error_of(fault, asked, org)
        self._book(visit, org, asked, used, status=error.status if error else 200, fault=fault)
        headers = self._headers(visit)
        if error is not None:
            return error.response(headers)
        if fault is not None:
            return await spoil.spoiled(visit.request, fault, body, headers)
        if asked.stream:
            return await streaming.send(visit.request, asked, body, headers)
        return web.Response(body=body, content_type="application/json", headers=headers)

    def _made(self, visit: Visit, asked: Asked, used: made.Tokens | None) -> bytes:
        config = self._provider.config
        caption = visit.call.client_request_id or visit.call.request_id
        pictures = made.pictures(asked, caption=caption, bytes_min=config.image_bytes, render=config.render)
        created = int(time.time())
        if asked.response_format == "url":
            return made.answer_with_links(asked, self._links(visit, pictures), used, created)
        return made.answer_with_bytes(
            asked, [draw(picture, asked.output_format) for picture in pictures], used, created
        )

    def _links(self, visit: Visit, pictures: list[Picture]) -> list[str]:
        names = [f"{visit.call.request_id}-{place}.png" for place in range(len(pictures))]
        for name, picture in zip(names, pictures, strict=True):
            self._provider.link(name, picture)
        return [f"http://{visit.request.host}/images/{name}" for name in names]

    def _book(
        self,
        visit: Visit,
        org: SimulatedOrg,
        asked: Asked,
        used: made.Tokens | None,
        *,
        status: int,
        fault: Fault | None,
    ) -> None:
        at = time.time()
        self._provider.bill.add(
            BillRow(
                request_id=visit.call.request_id,
                client_request_id=visit.call.client_request_id,
                org=org.name,
                project=org.project,
                model=asked.model.name,
                source=f"image.{visit.operation}",
                size=asked.size,
                quality=asked.quality or "",
                n=asked.n,
                usage=None if used is None else used.counts(),
                nano_usd=made.price(asked, used, at),
                at=at,
                billed=True,
                reason="image made" if fault is None else f"image made, then {fault.kind}",
                status=status,
            )
        )

    async def _fail(self, visit: Visit, org: SimulatedOrg, fault: Fault) -> web.StreamResponse:
        if fault.kind == "hang":
            self._book_refusal(visit, 0, "hang")
            return await spoil.hang(visit.request, fault)
        await asyncio.sleep(fault.seconds)
        if fault.kind == "reset":
            self._book_refusal(visit, 0, "reset")
            return await spoil.reset(visit.request)
        raise RefusalError(refusals.of_fault(fault, model=visit.call.model, org_id=org_id(org)))

    def _refused(self, visit: Visit, error: ApiError) -> web.Response:
        visit.call.status = error.status
        self._book_refusal(visit, error.status, error.code or f"status {error.status}")
        return error.response(self._headers(visit))

    def _book_refusal(self, visit: Visit, status: int, reason: str) -> None:
        if visit.org is None or self._provider.bill.full:
            return
        self._provider.bill.add(
            BillRow(
                request_id=visit.call.request_id,
                client_request_id=visit.call.client_request_id,
                org=visit.org.name,
                project=visit.org.project,
                model=visit.call.model,
                source=f"image.{visit.operation}",
                size=visit.asked.size if visit.asked else "",
                quality=(visit.asked.quality or "") if visit.asked else "",
                n=visit.call.n,
                usage=None,
                nano_usd=0,
                at=time.time(),
                billed=False,
                reason=reason,
                status=status,
            )
        )

    def _headers(self, visit: Visit) -> dict[str, str]:
        headers = answer_headers(
            request_id=visit.call.request_id, org=visit.org, arrived_seconds=visit.call.arrived_seconds
        )
        if visit.org is not None and visit.asked is not None:
            ceilings = self._provider.gates.ceilings(visit.org, visit.asked.model)
            headers |= limit_headers(ceilings.published, self._provider.gates.gate(visit.org, visit.asked.model))
        return headers


def authenticate(provider: Provider, request: web.Request) -> SimulatedOrg:
    """Return whose API key the request carries (`Authorization: Bearer` or `api-key`); RefusalError 401 otherwise."""
    key = bearer(request) or request.headers.get("api-key", "")
    org = provider.org_of_key(key)
    if org is None:
        raise RefusalError(refusals.invalid_key(key))
    return org


def bearer(request: web.Request) -> str:
    """Return the bearer token of a request, empty when there is none."""
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else ""


def _error_of(fault: Fault | None, asked: Asked, org: SimulatedOrg) -> ApiError | None:
    if fault is None or not refusals.is_answer(fault):
        return None
    return refusals.of_fault(fault, model=asked.model.name, org_id=org_id(org))
