"""Values that the worker's tests share."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from imagequeue.config.catalog import Catalog, Model, load_catalog
from imagequeue.config.job import Job
from imagequeue.config.orgs import Org, read_orgs
from imagequeue.worker.answer import Answer

NOON = datetime(2026, 11, 22, 12, 0, 0, tzinfo=UTC)
CATALOG: Catalog = load_catalog()
MODEL: Model = CATALOG.model("dall-e-3")


def org(**words: Any) -> Org:
    """Return an organization on loopback."""
    entry = {"name": "main", "api_key": "sk-test", "base_url": "http://127.0.0.1:9/v1", "tier": "5", **words}
    return read_orgs([entry], environ={}, folder=Path(), where="orgs")[0]


def job(**words: Any) -> Job:
    """Return a job of the model."""
    return Job(**{"prompt": "a cat", "model": "dall-e-3", **words})


def answer(
    status: int, body: object = None, headers: Mapping[str, str] | None = None, text: str | None = None
) -> Answer:
    """Return an answer that arrived whole at noon."""
    shown = json.dumps(body) if text is None else text
    return Answer(status=status, headers=headers or {}, body=body, text=shown, sent_at=NOON, ended_at=NOON)


def error(status: int, code: str | None, kind: str | None, message: str = "no", **more: Any) -> Answer:
    """Return an answer with the provider's error object."""
    headers = more.pop("headers", None)
    body = {"error": {"code": code, "message": message, "param": None, "type": kind, **more}}
    return answer(status, body, headers)
