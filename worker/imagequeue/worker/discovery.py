"""The true ceilings, as the provider itself reports them for a project, where an admin key is given.

GET /organization/projects/{project}/rate_limits: one entry a model, with max_images_per_1_minute and
max_tokens_per_1_minute. Models of one limit group share the ceiling, so the lowest of them counts.
"""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

import httpx
import structlog
from pydantic_core import from_json

from imagequeue.config.catalog import Catalog, Limits
from imagequeue.config.clock import Clock, iso
from imagequeue.config.errors import QueueUnavailable
from imagequeue.config.orgs import Org
from imagequeue.queue.pools import pool_name
from imagequeue.queue.reported import report_limits
from imagequeue.queue.scripts import TROUBLE, Scripts
from imagequeue.worker.http import CONNECT_SECONDS_MAX, TRANSPORT_ERRORS

ASK_SECONDS = 600.0
ANSWER_SECONDS_MAX = 30.0
ANSWER_BYTES_MAX = 1_048_576
PAGES_MAX = 20
PAGE_SIZE = 100
RATE_MAX = 1e12
"""A minute: more says nothing, and may not fit a float."""

log = structlog.get_logger("imagequeue.worker")


class NotReported(Exception):
    """The provider did not say what the limits are."""


class Discovery:
    """Asks every organization that has an admin key and a project for its limits, now and then."""

    def __init__(
        self,
        *,
        transport: httpx.AsyncBaseTransport,
        scripts: Scripts,
        catalog: Catalog,
        orgs: Sequence[Org],
        clock: Clock,
    ) -> None:
        self._transport = transport
        self._scripts = scripts
        self._catalog = catalog
        self._orgs = [org for org in orgs if org.admin_key is not None and org.project]
        self._clock = clock

    async def run(self) -> None:
        """Ask for ever; what cannot be had is asked for again later."""
        while True:
            for org in self._orgs:
                try:
                    await self.ask(org)
                except (NotReported, TimeoutError, QueueUnavailable, *TRANSPORT_ERRORS, *TROUBLE) as error:
                    log.warning("limits not reported", org=org.name, error=str(error))
            await asyncio.sleep(ASK_SECONDS)

    async def ask(self, org: Org) -> None:
        """Ask one organization's provider and note what it says."""
        async with asyncio.timeout(ANSWER_SECONDS_MAX):
            rows = await self._rows(org)
        source = f"reported by the provider for project {org.project} ({iso(self._clock.now())[:10]})"
        for group, limits in ceilings(rows, self._catalog, source).items():
            await report_limits(self._scripts, pool_name(org.name, group), limits)

    async def _rows(self, org: Org) -> list[Mapping[str, Any]]:
        rows: list[Mapping[str, Any]] = []
        after = ""
        for _ in range(PAGES_MAX):
            page = await self._page(org, after)
            data = page.get("data")
            if not isinstance(data, list):
                raise NotReported("the rate limits endpoint answered no list")
            rows += [row for row in data if isinstance(row, Mapping)]
            after = str(page.get("last_id") or "")
            if not page.get("has_more") or not after:
                break
        return rows

    async def _page(self, org: Org, after: str) -> Mapping[str, Any]:
        url = httpx.URL(f"{org.base_url}/organization/projects/{org.project}/rate_limits", params={"limit": PAGE_SIZE})
        if after:
            url = url.copy_add_param("after", after)
        key = org.admin_key.get_secret_value() if org.admin_key else ""
        timeout = {"connect": CONNECT_SECONDS_MAX, "read": ANSWER_SECONDS_MAX}
        request = httpx.Request("GET", url, headers={"authorization": f"Bearer {key}"}, extensions={"timeout": timeout})
        response = await self._transport.handle_async_request(request)
        try:
            body = await response.aread()
        finally:
            await response.aclose()
        if response.status_code != 200 or len(body) > ANSWER_BYTES_MAX:
            raise NotReported(f"the rate limits endpoint answered {response.status_code}")
        return _object(body)


def ceilings(rows: Sequence[Mapping[str, Any]], catalog: Catalog, source: str) -> dict[str, Limits]:
    """Return limit group -> ceilings, of the entries whose models are in the catalog. Pure."""
    found: dict[str, list[Limits]] = {}
    for row in rows:
        model = catalog.models.get(str(row.get("model")))
        images, tokens = _rate(row.get("max_images_per_1_minute")), _rate(row.get("max_tokens_per_1_minute"))
        if model is not None and (images, tokens) != (None, None):
            limits = Limits(images_per_minute=images, tokens_per_minute=tokens, source=source)
            found.setdefault(model.limit_group, []).append(limits)
    return {group: lowest(members, source) for group, members in found.items()}


def lowest(members: Sequence[Limits], source: str) -> Limits:
    """Return the lowest ceiling of each kind."""
    images = [limits.images_per_minute for limits in members if limits.images_per_minute is not None]
    tokens = [limits.tokens_per_minute for limits in members if limits.tokens_per_minute is not None]
    return Limits(
        images_per_minute=min(images, default=None), tokens_per_minute=min(tokens, default=None), source=source
    )


def _rate(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) and 0 < value <= RATE_MAX else None


def _object(body: bytes) -> Mapping[str, Any]:
    try:
        value = from_json(body, allow_inf_nan=False)
    except ValueError as error:
        raise NotReported("the rate limits endpoint answered no JSON") from error
    if not isinstance(value, Mapping):
        raise NotReported("the rate limits endpoint answered no object")
    return value
