"""Fetches an organization's bill of one day from the provider's reports of costs and usage."""

import json
from collections.abc import Iterable
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Final

import httpx

from imagequeue.config.errors import ConfigError, ImageQueueError
from imagequeue.config.orgs import Org
from imagequeue.ledger.bill import Bill, Projects, read_bill

PAGES_MAX: Final = 100
REPORT_SECONDS_MAX: Final = 60.0
REPORT_BYTES_MAX: Final = 50_000_000
COST_DAYS: Final = 30
"""How many days of costs are asked for: those before the day show whether the key is the right one."""
MINUTES_OF_DAY: Final = 1_440

Query = tuple[tuple[str, str], ...]


class NoReport(ImageQueueError):
    """The provider does not give its report now; the text says what it answered."""


async def fetch_bill(
    org: Org, day: str, *, orgs: Iterable[Org] = (), transport: httpx.AsyncBaseTransport | None = None
) -> Bill:
    """Return what the provider says of a UTC day; NoReport when it does not say, ConfigError without an admin key.

    `orgs` are all that are configured: what belongs to another one's project on the same admin key is left out.
    """
    if org.admin_key is None:
        raise ConfigError(f"orgs: {org.name} has no admin_key, which the provider's reports need")
    projects = projects_of(org, orgs)
    headers = {"Authorization": f"Bearer {org.admin_key.get_secret_value()}"}
    async with httpx.AsyncClient(headers=headers, timeout=REPORT_SECONDS_MAX, transport=transport) as client:
        costs = await _pages(client, f"{org.base_url}/organization/costs", _costs_query(org, day))
        usage = await _pages(client, f"{org.base_url}/organization/usage/images", _usage_query(org, day))
    return read_bill(costs, usage, day, projects)


def projects_of(org: Org, orgs: Iterable[Org]) -> Projects:
    """Return which projects are this organization's: its own, or all but those of others with the same admin key."""
    if org.project:
        return Projects(only=org.project)
    shared = [other for other in orgs if other.name != org.name and _account(other) == _account(org)]
    return Projects(others=frozenset(other.project for other in shared if other.project))


def _account(org: Org) -> tuple[str, str]:
    return org.base_url, org.admin_key.get_secret_value() if org.admin_key else ""


def _costs_query(org: Org, day: str) -> Query:
    groups = (("group_by", "line_item"), ("group_by", "project_id"))
    return (*_span(day, days_before=COST_DAYS), ("bucket_width", "1d"), ("limit", "180"), *groups, *_project(org))


def _usage_query(org: Org, day: str) -> Query:
    groups = (("group_by", "model"), ("group_by", "project_id"))
    return (*_span(day), ("bucket_width", "1m"), ("limit", str(MINUTES_OF_DAY)), *groups, *_project(org))


def _span(day: str, *, days_before: int = 0) -> Query:
    start = datetime.combine(date.fromisoformat(day), time(0), UTC)
    first, end = start - timedelta(days=days_before), start + timedelta(days=1)
    return ("start_time", f"{first.timestamp():.0f}"), ("end_time", f"{end.timestamp():.0f}")


def _project(org: Org) -> Query:
    return (("project_ids", org.project),) if org.project else ()


async def _pages(client: httpx.AsyncClient, url: str, query: Query) -> list[object]:
    buckets: list[object] = []
    page: Query = ()
    for _ in range(PAGES_MAX):
        answer = await _get(client, url, (*query, *page))
        data, following = answer.get("data"), answer.get("next_page")
        if not isinstance(data, list):
            raise NoReport(f"provider's report: {url} answers no list of buckets")
        buckets += data
        if not answer.get("has_more"):
            return buckets
        if not isinstance(following, str) or ("page", following) in page:
            raise NoReport(f"provider's report: {url} says that there is more and not where")
        page = (("page", following),)
    raise NoReport(f"provider's report: more than {PAGES_MAX} pages")


async def _get(client: httpx.AsyncClient, url: str, query: Query) -> dict[str, object]:
    try:
        answer = await client.get(url, params=list(query))
        readable = answer.is_success and len(answer.content) <= REPORT_BYTES_MAX
        content = json.loads(answer.content, parse_float=Decimal) if readable else None
    except (httpx.HTTPError, ValueError) as error:
        raise NoReport(f"provider's report: {type(error).__name__} from {url}") from error
    if not isinstance(content, dict):
        raise NoReport(f"provider's report: {url} answers {answer.status_code} {_code(answer)}".rstrip())
    return content


def _code(answer: httpx.Response) -> str:
    """Return the error code of OpenAI's error object, or nothing."""
    try:
        error = answer.json()["error"]
        return str(error["code"] or error["type"])
    except (ValueError, LookupError, TypeError):
        return ""
