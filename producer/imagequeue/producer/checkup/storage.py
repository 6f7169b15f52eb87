"""The ledger and the image store: whether they are there and can be written."""

import secrets
import shutil
from pathlib import Path
from typing import Final
from urllib.parse import unquote

from imagequeue.config.settings import Settings
from imagequeue.ledger.opening import open_ledger
from imagequeue.producer.checkup.finding import Finding, fail, ok, warn
from imagequeue.store.formats import ImageFacts
from imagequeue.store.store import open_store

FREE_BYTES_WARN: Final = 1 << 30
FREE_BYTES_FAIL: Final = 100 << 20
PROBE_BYTES: Final = 64


async def check_ledger(settings: Settings) -> list[Finding]:
    """Open the ledger, which brings its tables up to date, and ask it a question."""
    ledger = await open_ledger(settings)
    try:
        await ledger.ping()
    finally:
        await ledger.aclose()
    kind = settings.ledger_url.get_secret_value().partition(":")[0].partition("+")[0]
    if kind == "sqlite" and settings.redis_url is not None:
        says = "SQLite, which serves one machine, while Redis may serve several"
        return [warn("ledger", says, "with more than one machine set IMAGEQUEUE_LEDGER_URL to PostgreSQL")]
    return [ok("ledger", f"{kind} answers and its tables are up to date")]


async def check_store(settings: Settings) -> list[Finding]:
    """Put, get and delete a few bytes that nobody else has."""
    probe = secrets.token_bytes(PROBE_BYTES)
    store = open_store(settings.store_url)
    try:
        image = await store.put(probe, ImageFacts(format="png", width=1, height=1))
        returned = await store.get(image.sha256)
        deleted = await store.delete(image.sha256)
    finally:
        await store.aclose()
    if returned != probe or not deleted:
        return [
            fail("store", "what was put did not come back unchanged", "see IMAGEQUEUE_STORE_URL and the store's log")
        ]
    return [ok("store", f"{settings.store_url} takes, gives and deletes"), *_space(settings.store_url)]


def _space(store_url: str) -> list[Finding]:
    if not store_url.startswith("file://"):
        return []
    free = shutil.disk_usage(Path(unquote(store_url.removeprefix("file://")))).free
    return [judge_space(free)]


def judge_space(free_bytes: int) -> Finding:
    """Return the finding about the free space of the disk that the images are on. Pure."""
    says = f"{free_bytes / (1 << 30):.1f} GiB are free for images"
    if free_bytes < FREE_BYTES_FAIL:
        return fail("disk", says, "make room: without it finished calls cannot be kept")
    if free_bytes < FREE_BYTES_WARN:
        return warn("disk", says, "make room soon; 1,000 images of 1.5 MB take 1.4 GiB")
    return ok("disk", says)
