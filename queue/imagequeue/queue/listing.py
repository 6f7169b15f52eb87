"""Lists jobs a page at a time: a bounded look at RQ's places, with filters and a cursor that goes on where it ended."""

import base64
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import isinf, isnan
from typing import Final

from imagequeue.config.errors import JobRefused
from imagequeue.queue.record import JobRecord, read_records
from imagequeue.queue.scripts import Scripts
from imagequeue.queue.shelves import PLACES, PLACES_OF, Entry, Position, Shelf, read_piece, shelves_of
from imagequeue.queue.text import text
from imagequeue.queue.views import Status, status_of

PAGE_MAX: Final = 1_000
PAGE_DEFAULT: Final = 50
SCANNED_MAX: Final = 5_000
"""Jobs that one page looks at; a page that found less than it may still has a cursor."""
PIECE_MAX: Final = 500
CURSOR_CHARACTERS_MAX: Final = 1_024


@dataclass(frozen=True, kw_only=True)
class JobQuery:
    """Which jobs. None and empty: any. `error`: failed for this cause; `words` stand in the prompt, in any case."""

    statuses: tuple[Status, ...] = ()
    model: str | None = None
    priority: str | None = None
    tenant: str | None = None
    tags: Mapping[str, str] = field(default_factory=dict)
    error: str | None = None
    words: str | None = None
    limit: int = PAGE_DEFAULT
    after: str | None = None

    def __post_init__(self) -> None:
        if not 1 <= self.limit <= PAGE_MAX:
            raise JobRefused("limit", f"1 to {PAGE_MAX} is accepted")


@dataclass(frozen=True, kw_only=True)
class Page:
    """Some jobs and the cursor of the page after; None: there are no more."""

    records: tuple[JobRecord, ...]
    next: str | None


async def list_records(scripts: Scripts, query: JobQuery, *, now_seconds: float) -> Page:
    """Return a page of jobs: running, queued, waiting, then ended ones, newest first in each place."""
    resumed = None if query.after is None else decode_cursor(query.after)
    found: dict[str, JobRecord] = {}
    scanned = 0
    for shelf in await _shelves(scripts, query, resumed):
        after = resumed[1] if resumed and resumed[0] == shelf else None
        while piece := await read_piece(scripts, shelf, after, PIECE_MAX, now_seconds=now_seconds):
            records = await read_records(scripts, [entry.id for entry in piece])
            last = _take(found, piece, records, shelf, query)
            after, scanned = last.after, scanned + len(piece)
            if len(found) >= query.limit or scanned >= SCANNED_MAX:
                return Page(records=tuple(found.values()), next=encode_cursor(shelf, after))
    return Page(records=tuple(found.values()), next=None)


def _take(
    found: dict[str, JobRecord],
    piece: Sequence[Entry],
    records: Mapping[str, JobRecord],
    shelf: Shelf,
    query: JobQuery,
) -> Entry:
    """Add what fits to `found`, as many as may be, and return the last entry that was looked at."""
    entry = piece[0]
    for entry in piece:
        record = records.get(entry.id)
        if record is not None and _stands_on(record, shelf) and matches(record, query):
            found[record.id] = record
            if len(found) >= query.limit:
                break
    return entry


def matches(record: JobRecord, query: JobQuery) -> bool:
    """Return whether a job is one of those asked for, as far as its shelf does not say so already."""
    if query.statuses and status_of(record) not in query.statuses:
        return False
    if query.tenant is not None and record.tenant != query.tenant:
        return False
    if query.error is not None and (record.error is None or record.error.get("code") != query.error):
        return False
    return _asks_for(record, query)


def _asks_for(record: JobRecord, query: JobQuery) -> bool:
    """Whether what was asked for is what is looked for; reading it costs more than the rest, and comes last."""
    if not query.tags and query.words is None:
        return True
    job = record.job()
    if job is None or not all(job.tags.get(key) == value for key, value in query.tags.items()):
        return False
    return query.words is None or query.words.casefold() in job.prompt.casefold()


def _stands_on(record: JobRecord, shelf: Shelf) -> bool:
    """Whether the job is where it was found; it may have moved on since, and is then found there."""
    return record.queue == shelf.queue and shelf.place in PLACES_OF[status_of(record)]


async def _shelves(scripts: Scripts, query: JobQuery, resumed: tuple[Shelf, Position] | None) -> list[Shelf]:
    prefix = scripts.keys.queue("")
    names = [text(name).removeprefix(prefix) for name in await scripts.redis.smembers(scripts.keys.queues)]
    queues = [name for name in names if _asked_for(name, query)]
    statuses = query.statuses or tuple(PLACES_OF)
    places = [place for place in PLACES if any(place in PLACES_OF[status] for status in statuses)]
    shelves = shelves_of(queues, places)
    return shelves if resumed is None else [shelf for shelf in shelves if shelf >= resumed[0]]


def _asked_for(queue: str, query: JobQuery) -> bool:
    model, _, priority = queue.rpartition(".")
    return query.model in (None, model) and query.priority in (None, priority)


def encode_cursor(shelf: Shelf, after: Position) -> str:
    """Return an opaque cursor that goes on after a position."""
    score = repr(float(after[0]))
    plain = json.dumps([shelf.place, shelf.queue, score, after[1]], separators=(",", ":"))
    return base64.urlsafe_b64encode(plain.encode()).decode().rstrip("=")


def decode_cursor(cursor: str) -> tuple[Shelf, Position]:
    """Return what a cursor stands for; JobRefused names `after` for anything else."""
    found = _decoded(cursor) if len(cursor) <= CURSOR_CHARACTERS_MAX else None
    if found is None:
        raise JobRefused("after", "the cursor that came with the page before is needed")
    return found


def _decoded(cursor: str) -> tuple[Shelf, Position] | None:
    try:
        plain = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4))
        place, queue, written, member = json.loads(plain)
        score = float(written)
        shelf = Shelf(rank=PLACES.index(place), queue=str(queue))
    except (ValueError, TypeError):
        return None
    if isnan(score) or (shelf.place == "queued" and isinf(score)):
        return None
    return shelf, (score, str(member))
