"""The simulator's own door, /sim/*: bill, calls, statistics, faults, reset. Not part of the provider's contract."""

import json
from dataclasses import asdict
from typing import Final

from aiohttp import web
from pydantic import TypeAdapter, ValidationError

from imagequeue.simulator.bill import totals
from imagequeue.simulator.faults import FAULTS_MAX, Fault
from imagequeue.simulator.provider import Provider

PAGE_ROWS_MAX: Final = 10_000

_FAULTS: Final = TypeAdapter(list[Fault])


class ControlEndpoints:
    """Handlers of /sim/*; every answer is JSON."""

    def __init__(self, provider: Provider) -> None:
        self._provider = provider

    def routes(self) -> list[web.RouteDef]:
        """Return the routes."""
        return [
            web.get("/healthz", self.health),
            web.get("/sim/bill", self.bill),
            web.get("/sim/bill/totals", self.bill_totals),
            web.get("/sim/calls", self.calls),
            web.get("/sim/stats", self.stats),
            web.get("/sim/faults", self.faults),
            web.post("/sim/faults", self.set_faults),
            web.post("/sim/reset", self.reset),
        ]

    async def health(self, _request: web.Request) -> web.Response:
        """Answer that the server is up."""
        return web.json_response({"status": "ok"})

    async def bill(self, request: web.Request) -> web.Response:
        """Answer bill rows from place `after`, at most `limit`, and the totals of the whole bill."""
        after, limit = _page(request)
        rows = self._provider.bill.rows(after=after, limit=limit)
        whole = totals(self._provider.bill.rows())
        more = len(rows) == limit
        return web.json_response(
            {"rows": [asdict(row) for row in rows], "next": after + len(rows) if more else None, "totals": whole}
        )

    async def bill_totals(self, _request: web.Request) -> web.Response:
        """Answer the totals of the whole bill."""
        return web.json_response(totals(self._provider.bill.rows()))

    async def calls(self, request: web.Request) -> web.Response:
        """Answer the log of calls from place `after`, at most `limit`."""
        after, limit = _page(request)
        calls = self._provider.calls.calls[after : after + limit]
        more = len(calls) == limit
        return web.json_response(
            {"calls": [asdict(call) for call in calls], "next": after + len(calls) if more else None}
        )

    async def stats(self, _request: web.Request) -> web.Response:
        """Answer the statistics of the log of calls."""
        return web.json_response(self._provider.calls.stats())

    async def faults(self, _request: web.Request) -> web.Response:
        """Answer the fault rules in force with what they did so far."""
        state = self._provider.faults.state()
        return web.json_response(
            {"faults": [{**asdict(fault), "seen": seen, "hits": hits} for fault, seen, hits in state]}
        )

    async def set_faults(self, request: web.Request) -> web.Response:
        """Replace the fault rules by `{"faults": [...]}`; 400 names the wrong field."""
        try:
            faults = _FAULTS.validate_python(json.loads(await request.read())["faults"])
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            return _refused(f"faults.{'.'.join(map(str, first['loc']))}: {first['msg']}")
        except (ValueError, KeyError, TypeError):
            return _refused('a JSON object {"faults": [...]} is needed')
        if len(faults) > FAULTS_MAX:
            return _refused(f"faults: at most {FAULTS_MAX}")
        self._provider.set_faults(faults)
        return await self.faults(request)

    async def reset(self, _request: web.Request) -> web.Response:
        """Return the simulator to its start."""
        self._provider.reset()
        return web.json_response({"status": "reset"})


def _page(request: web.Request) -> tuple[int, int]:
    values = {"after": 0, "limit": PAGE_ROWS_MAX}
    for name, default in values.items():
        text = request.query.get(name)
        if text is not None and not (text.isdecimal() and int(text) < 10**9):
            raise web.HTTPBadRequest(text=f"{name}: a whole number is needed")
        values[name] = default if text is None else int(text)
    return values["after"], max(1, min(values["limit"], PAGE_ROWS_MAX))


def _refused(message: str) -> web.Response:
    return web.json_response({"error": message}, status=400)
