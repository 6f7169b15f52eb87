"""Query parameters, each known by name and checked; an unknown one is refused with those that are known. Pure."""

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Final, get_args

from starlette.datastructures import QueryParams

from imagequeue.config.errors import JobRefused
from imagequeue.config.job import PRIORITIES
from imagequeue.config.nearest import did_you_mean
from imagequeue.queue.listing import PAGE_DEFAULT, JobQuery
from imagequeue.queue.views import Status

WAIT_SECONDS_MAX: Final = 300.0
FILTERS_MAX: Final = 32
TEXT_CHARACTERS_MAX: Final = 256


def header_text(value: str) -> str:
    """Return a header's value as its sender meant it: UTF-8 where it is that, as most clients send, else Latin-1."""
    try:
        return value.encode("latin-1").decode()
    except UnicodeError:
        return value


def job_query(query: QueryParams, tenant: str | None) -> JobQuery:
    """Return which jobs are asked for; JobRefused names the parameter that is wrong."""
    check_known(query, ("status", "model", "priority", "tenant", "tag", "error", "q", "limit", "after"))
    return JobQuery(
        statuses=tuple(_status(word) for word in _many(query, "status")),
        model=_text(query, "model"),
        priority=_priority(_text(query, "priority")),
        tenant=tenant,
        tags=dict(_tag(pair) for pair in _many(query, "tag")),
        error=_text(query, "error"),
        words=_text(query, "q"),
        limit=whole(query, "limit", PAGE_DEFAULT),
        after=query.get("after"),
    )


def wait_seconds(query: QueryParams) -> float:
    """Return how long a client wants to wait for a job's end; 0 when it does not say."""
    check_known(query, ("wait",))
    if "wait" not in query:
        return 0.0
    return seconds_of("wait", query["wait"], WAIT_SECONDS_MAX)


def seconds_of(name: str, text: str, seconds_max: float) -> float:
    """Return a number of seconds; JobRefused when it is none or too large."""
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds <= seconds_max:
        raise JobRefused(name, f"0 to {seconds_max:g} seconds are accepted")
    return seconds


def moment(query: QueryParams, name: str) -> datetime | None:
    """Return a day or a time in ISO 8601 as aware UTC, None when it is not given."""
    written = query.get(name)
    if written is None:
        return None
    try:
        found = datetime.fromisoformat(written)
        return found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise JobRefused(name, "a day or a time in ISO 8601 is accepted, e.g. 2026-11-22") from error


def whole(query: QueryParams, name: str, default: int) -> int:
    """Return a whole number that is not negative; JobRefused for anything else."""
    written = query.get(name)
    if written is None:
        return default
    if not (written.isascii() and written.isdecimal() and len(written) <= 9):
        raise JobRefused(name, "a whole number is accepted")
    return int(written)


def check_known(query: QueryParams, known: Iterable[str]) -> None:
    """JobRefused for a parameter that does not exist."""
    names = tuple(known)
    for name in query:
        if name not in names:
            accepted = ", ".join(names) or "none"
            raise JobRefused(name[:64], f"unknown parameter{did_you_mean(name, names)}; accepted: {accepted}")


def _many(query: QueryParams, name: str) -> list[str]:
    values = query.getlist(name)
    if len(values) > FILTERS_MAX:
        raise JobRefused(name, f"at most {FILTERS_MAX} are accepted")
    return values


def _text(query: QueryParams, name: str) -> str | None:
    value = query.get(name)
    if value is not None and not 0 < len(value) <= TEXT_CHARACTERS_MAX:
        raise JobRefused(name, f"1 to {TEXT_CHARACTERS_MAX} characters are accepted")
    return value


def _status(word: str) -> Status:
    for status in get_args(Status):
        if word == status:
            return status  # type: ignore[no-any-return]  # one of the literals
    raise JobRefused("status", f"accepted: {', '.join(get_args(Status))}")


def _priority(word: str | None) -> str | None:
    if word is not None and word not in PRIORITIES:
        raise JobRefused("priority", f"accepted: {', '.join(PRIORITIES)}")
    return word


def _tag(pair: str) -> tuple[str, str]:
    key, separator, value = pair.partition("=")
    if not separator or not key:
        raise JobRefused("tag", "KEY=VALUE is accepted")
    return key, value
