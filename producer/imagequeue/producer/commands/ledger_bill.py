"""Fetches an organization's bill of one day from the provider's costs and usage reports."""

from datetime import UTC, date, datetime, time, timedelta
from typing import Final

import httpx

from imagequeue.config.errors import ConfigError, ImageQueueError
from imagequeue.config.orgs import Org
from imagequeue.ledger.reconcile import BilledModel, billed_models, read_costs, read_usage

PAGES_MAX: Final = 100
REPORT_SECONDS_MAX: Final = 60.0
REPORT_BYTES_MAX: Final = 20_000_000


async def fetch_bill(org: Org, day: str, transport: httpx.AsyncBaseTransport | None = None) -> dict[str, BilledModel]:
    """Return what the provider says of each model on a UTC day; ImageQueueError when it does not say."""
    if org.admin_key is None:
        raise ConfigError(f"orgs: {org.name} has no admin_key, which the provider's reports need")
    headers = {"Authorization": f"Bearer {org.admin_key.get_secret_value()}"}
    async with httpx.AsyncClient(headers=headers, timeout=REPORT_SECONDS_MAX, transport=transport) as client:
        costs = await _pages(client, f"{org.base_url}/organization/costs", _query(org, day, "line_item"))
        usage = await _pages(client, f"{org.base_url}/organization/usage/images", _query(org, day, "model"))
    return billed_models(read_costs(costs, day), read_usage(usage, day))


def _query(org: Org, day: str, group_by: str) -> dict[str, str]:
    start = datetime.combine(date.fromisoformat(day), time(0), UTC)
    end = start + timedelta(days=1)
    query = {"start_time": f"{start.timestamp():.0f}", "end_time": f"{end.timestamp():.0f}", "bucket_width": "1d"}
    return {**query, "group_by": group_by, **({"project_ids": org.project} if org.project else {})}


async def _pages(client: httpx.AsyncClient, url: str, query: dict[str, str]) -> list[object]:
    buckets: list[object] = []
    page: dict[str, str] = {}
    for _ in range(PAGES_MAX):
        answer = await _get(client, url, {**query, **page})
        data, following = answer.get("data"), answer.get("next_page")
        buckets += data if isinstance(data, list) else []
        if not answer.get("has_more") or not isinstance(following, str):
            return buckets
        page = {"page": following}
    raise ImageQueueError(f"provider's report: more than {PAGES_MAX} pages")


async def _get(client: httpx.AsyncClient, url: str, query: dict[str, str]) -> dict[str, object]:
    try:
        answer = await client.get(url, params=query)
        content = answer.json() if answer.is_success and len(answer.content) <= REPORT_BYTES_MAX else None
    except (httpx.HTTPError, ValueError) as error:
        raise ImageQueueError(f"provider's report: {type(error).__name__} from {url}") from error
    if not isinstance(content, dict):
        raise ImageQueueError(f"provider's report: {url} answers {answer.status_code} {_code(answer)}".rstrip())
    return content


def _code(answer: httpx.Response) -> str:
    """Return the error code of OpenAI's error object, or nothing."""
    try:
        error = answer.json()["error"]
        return str(error["code"] or error["type"])
    except (ValueError, LookupError, TypeError):
        return ""
