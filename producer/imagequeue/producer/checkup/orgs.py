"""Organizations: whether their keys are accepted and they serve the configured models."""

import asyncio
import json
from collections.abc import Collection, Sequence
from datetime import date
from typing import Final

import httpx

from imagequeue.config.catalog import Catalog, lifecycle, serves
from imagequeue.config.catalog.lifecycle import LifecycleState
from imagequeue.config.orgs import Org
from imagequeue.config.settings import Settings
from imagequeue.producer.checkup.finding import Finding, fail, ok, warn

ANSWER_SECONDS_MAX: Final = 10.0
ANSWER_BYTES_MAX: Final = 4 * 1024 * 1024
AT_ONCE_MAX: Final = 8


async def check_orgs(settings: Settings, catalog: Catalog, today: date) -> list[Finding]:
    """Ask every organization's server for its models, with its key."""
    if not settings.orgs:
        return [fail("organizations", "none is configured", "set OPENAI_API_KEY or IMAGEQUEUE_ORGS")]
    at_once = asyncio.Semaphore(AT_ONCE_MAX)
    async with httpx.AsyncClient(timeout=ANSWER_SECONDS_MAX) as client:

        async def check(org: Org) -> list[Finding]:
            async with at_once:
                return await _check_org(client, org, expected_models(settings.models, catalog, org, today))

        return [finding for findings in await asyncio.gather(*map(check, settings.orgs)) for finding in findings]


def expected_models(models: Sequence[str], catalog: Catalog, org: Org, today: date) -> list[str]:
    """Return which of the configured models the organization should serve by the catalog. Pure."""
    return [model for model in models if serves(catalog, org, model, today)]


def check_models(settings: Settings, catalog: Catalog, today: date) -> list[Finding]:
    """Return one finding for each configured model by its dates in the catalog. Pure."""
    return [_judge_dates(model, lifecycle(catalog.model(model), today)) for model in settings.models]


def _judge_dates(model: str, state: LifecycleState) -> Finding:
    check = f"model {model}"
    do = (
        f"put {state.successor} first in IMAGEQUEUE_MODELS"
        if state.successor
        else "choose another in IMAGEQUEUE_MODELS"
    )
    if state.state == "retired":
        return warn(check, f"OpenAI ended it on {state.ends}; compatible servers may still serve it", do)
    if state.state == "ending":
        return warn(check, f"OpenAI ends it on {state.ends}", do)
    return ok(check, f"no end within two months{f' (ends {state.ends})' if state.ends else ''}")


async def _check_org(client: httpx.AsyncClient, org: Org, expected: Sequence[str]) -> list[Finding]:
    check = f"organization {org.name}"
    if org.kind == "azure":
        return [warn(check, "Azure lists deployments elsewhere, so its key was not tried", "enqueue one job to try it")]
    key = org.api_key.get_secret_value()
    try:
        async with client.stream(
            "GET", f"{org.base_url}/models", headers={"Authorization": f"Bearer {key}"} if key else {}
        ) as answer:
            body = await _read(answer)
    except (httpx.HTTPError, OSError) as error:
        says = f"{org.base_url} cannot be reached ({type(error).__name__}), so its key was not tried"
        return [warn(check, says, "see whether this machine is online, and base_url")]
    return judge_answer(check, answer.status_code, body, expected)


async def _read(answer: httpx.Response) -> bytes:
    body = b""
    async for piece in answer.aiter_bytes():
        body += piece
        if len(body) > ANSWER_BYTES_MAX:
            break
    return body


def judge_answer(check: str, status: int, body: bytes, expected: Sequence[str]) -> list[Finding]:
    """Return the findings from a server's answer to `GET /models`. Pure."""
    if status == httpx.codes.UNAUTHORIZED:
        return [fail(check, "the key is refused (401)", "see the organization's api_key")]
    if status != httpx.codes.OK:
        says = f"GET /models answers {status}, so neither key nor models could be looked at"
        return [warn(check, says, "allow the key to list models, or enqueue one job to try it")]
    listed = listed_models(body)
    if listed is None:
        return [warn(check, "GET /models answers something that is no list of models", "see base_url")]
    missing = [model for model in expected if model not in listed]
    if missing:
        says = f"the key is accepted, but {', '.join(missing)} is not among its {len(listed)} models"
        return [warn(check, says, "see the organization's access, or set its limits for the model to 0")]
    return [ok(check, f"the key is accepted; it serves {', '.join(expected) or 'none of the configured models'}")]


def listed_models(body: bytes) -> Collection[str] | None:
    """Return the ids in OpenAI's list of models, or None when the body is none. Pure."""
    try:
        entries = json.loads(body)["data"]
        return {str(entry["id"]) for entry in entries}
    except (ValueError, KeyError, TypeError, RecursionError):
        return None
