"""The provider's administration endpoints: costs, usage and rate limits, each with an organization's admin key."""

import time
from collections.abc import Mapping, Sequence
from typing import Final

from aiohttp import web

from imagequeue.simulator import refusals, reports
from imagequeue.simulator.config import SimulatedOrg
from imagequeue.simulator.images import bearer
from imagequeue.simulator.provider import Provider
from imagequeue.simulator.refusals import RefusalError, bad_request

LIMITS_PAGE_MAX: Final = 1_000
UNLIMITED: Final = 1_000_000_000  # the shape demands a number where there is no ceiling
TIME_MAX: Final = 253_402_300_800  # the year 10000

_COST_FILTERS: Final = {"project_ids": "project_id", "api_key_ids": "api_key_id"}
_USAGE_FILTERS: Final = {
    **_COST_FILTERS,
    "user_ids": "user_id",
    "models": "model",
    "sizes": "size",
    "sources": "source",
}


class AdminEndpoints:
    """Handlers of /v1/organization/*."""

    def __init__(self, provider: Provider) -> None:
        self._provider = provider

    def routes(self) -> list[web.RouteDef]:
        """Return the routes."""
        return [
            web.get("/v1/organization/costs", self.costs),
            web.get("/v1/organization/usage/images", self.usage),
            web.get("/v1/organization/projects/{project}/rate_limits", self.rate_limits),
        ]

    async def costs(self, request: web.Request) -> web.Response:
        """Answer GET /v1/organization/costs."""
        return self._report(
            request,
            buckets=reports.COST_BUCKETS,
            groups=reports.COST_GROUPS,
            filters=_COST_FILTERS,
            results=reports.cost_results(self._provider.catalog),
        )

    async def usage(self, request: web.Request) -> web.Response:
        """Answer GET /v1/organization/usage/images."""
        return self._report(
            request,
            buckets=reports.USAGE_BUCKETS,
            groups=reports.USAGE_GROUPS,
            filters=_USAGE_FILTERS,
            results=reports.usage_results,
        )

    def _report(
        self,
        request: web.Request,
        *,
        buckets: Mapping[str, tuple[int, int]],
        groups: Sequence[str],
        filters: Mapping[str, str],
        results: reports.Results,
    ) -> web.Response:
        try:
            org = self._authenticate(request)
            query = _query(request, buckets, groups, filters)
        except RefusalError as refusal:
            return refusal.error.response({})
        visible = time.time() - self._provider.config.report_delay_seconds
        rows = [row for row in self._provider.bill.rows() if row.org == org.name and row.at <= visible]
        return web.json_response(reports.page(rows, query, results))

    async def rate_limits(self, request: web.Request) -> web.Response:
        """Answer GET /v1/organization/projects/{project}/rate_limits: the published ceilings of what is served."""
        try:
            org = self._authenticate(request)
            limit = _number(request, "limit", 100, 1, LIMITS_PAGE_MAX)
        except RefusalError as refusal:
            return refusal.error.response({})
        project = request.match_info["project"]
        if project != org.project:
            return refusals.no_such_path("GET", request.path).response({})
        records = self._limit_records(org)
        ids = [str(record["id"]) for record in records]
        first = ids.index(request.query["after"]) + 1 if request.query.get("after") in ids else 0
        end = ids.index(request.query["before"]) if request.query.get("before") in ids else len(ids)
        shown = records[first:end][:limit]
        return web.json_response(
            {
                "object": "list",
                "data": shown,
                "first_id": shown[0]["id"] if shown else None,
                "last_id": shown[-1]["id"] if shown else None,
                "has_more": first + len(shown) < end,
            }
        )

    def _limit_records(self, org: SimulatedOrg) -> list[dict[str, object]]:
        return [
            {
                "object": "project.rate_limit",
                "id": f"rl-{model.name}",
                "model": model.name,
                "max_requests_per_1_minute": int(published.images_per_minute or UNLIMITED),
                "max_tokens_per_1_minute": int(published.tokens_per_minute or UNLIMITED),
                "max_images_per_1_minute": int(published.images_per_minute or UNLIMITED),
            }
            for model in self._provider.catalog.models.values()
            if self._provider.serves(org, model)
            for published in [self._provider.gates.ceilings(org, model).published]
        ]

    def _authenticate(self, request: web.Request) -> SimulatedOrg:
        key = bearer(request)
        org = self._provider.org_of_admin_key(key)
        if org is None:
            raise RefusalError(refusals.invalid_key(key))
        return org


def _query(
    request: web.Request, buckets: Mapping[str, tuple[int, int]], groups: Sequence[str], filters: Mapping[str, str]
) -> reports.Query:
    if "start_time" not in request.query:
        raise RefusalError(bad_request("start_time", "Missing required parameter: 'start_time'."))
    width = request.query.get("bucket_width", "1d")
    if width not in buckets:
        raise RefusalError(bad_request("bucket_width", f"'bucket_width': accepted are {', '.join(buckets)}."))
    group_by = _values(request, "group_by")
    if not group_by <= set(groups):
        raise RefusalError(bad_request("group_by", f"'group_by': accepted are {', '.join(groups)}."))
    usual, most = buckets[width]
    start = _number(request, "start_time", 0, 0, TIME_MAX)
    return reports.Query(
        start_time=_page_start(request, start),
        end_time=_number(request, "end_time", int(time.time()) + 1, 0, TIME_MAX),
        width_seconds=reports.WIDTH_SECONDS[width],
        limit=_number(request, "limit", usual, 1, most),
        group_by=tuple(group_by),
        filters={field: values for name, field in filters.items() if (values := _values(request, name))},
    )


def _page_start(request: web.Request, start: int) -> int:
    cursor = request.query.get("page")
    if not cursor:
        return start
    text = cursor.removeprefix("page_")
    if not text.isdecimal() or not start <= int(text) < TIME_MAX:
        raise RefusalError(bad_request("page", "'page': the next_page of the answer before is needed."))
    return int(text)


def _values(request: web.Request, name: str) -> frozenset[str]:
    """Return the values of a list parameter, written `name=a&name=b` or `name[]=a&name[]=b`."""
    return frozenset([*request.query.getall(name, []), *request.query.getall(f"{name}[]", [])])


def _number(request: web.Request, name: str, usual: int, least: int, most: int) -> int:
    text = request.query.get(name)
    if text is None:
        return usual
    if not text.isdecimal() or not least <= int(text) <= most:
        raise RefusalError(bad_request(name, f"'{name}': a whole number from {least} to {most} is needed."))
    return int(text)
