"""How jobs look in a terminal: a table of many, and the story of one."""

from collections.abc import Iterable
from datetime import datetime
from typing import Final

from rich.text import Text

from imagequeue.config.clock import SystemClock, iso
from imagequeue.ledger.api import AttemptRow
from imagequeue.producer.commands.output import print_line, print_table, printable
from imagequeue.producer.commands.words import dollars, duration, moment
from imagequeue.queue.reading import ViewPage
from imagequeue.queue.views import JobView

PROMPT_CHARACTERS_MAX: Final = 40
DETAIL_CHARACTERS_MAX: Final = 48
STYLES: Final = {
    "queued": "cyan", "waiting": "yellow", "running": "blue", "succeeded": "green",
    "failed": "red", "cancelled": "bright_black", "expired": "magenta",
}  # fmt: skip
NOT_SHOWN: Final = frozenset({"prompt", "model", "priority"})
"""Fields of a job that have a line of their own."""
QUIET: Final = {
    "operation": "generation", "n": 1, "tenant": "default", "cache": "off", "delivery": "now", "max_attempts": 5,
    "on_doubt": "retry", "partial_images": 0,
}  # fmt: skip
"""Values that go without saying."""


def print_page(page: ViewPage) -> None:
    """Print a table of jobs and how to see more."""
    now = SystemClock().now()
    if page.jobs:
        print_table(
            ("ID", "STATUS", "QUEUE", "AGE", "COST", "WHY OR WHAT", "PROMPT"),
            [_row(view, now) for view in page.jobs],
            right=("AGE", "COST"),
        )
    else:
        print_line("no such jobs here" if page.next else "no such jobs")
    if page.next:
        print_line(f"more: --after {page.next}", style="bright_black")


def print_job(view: JobView) -> None:
    """Print everything about one job."""
    print_line(f"{view.id}  {view.status}", style=f"bold {STYLES[view.status]}")
    for name, value in _facts(view):
        print_line(f"  {name:<9} {value}")
    for line in _timeline(view):
        print_line(f"  {line}")
    for image in view.images:
        of = image.record
        print_line(f"  {'image':<10}{of.width}x{of.height} {of.format}, {of.bytes:,} bytes  {image.url}")
        if of.revised_prompt:
            print_line(f"  {'':<10}drawn as: {_short(of.revised_prompt, 200)}", style="bright_black")


def _row(view: JobView, now: datetime) -> tuple[Text | str, ...]:
    job = view.job
    since = view.timings.enqueued or view.timings.started or view.timings.finished
    return (
        view.id,
        Text(view.status, style=STYLES[view.status]),
        f"{job.get('model')}.{job.get('priority')}" if job else "",
        "" if since is None else duration((now - since).total_seconds()),
        f"${dollars(view.usd_nano)}" if view.attempts else "",
        _short(_why(view, now), DETAIL_CHARACTERS_MAX),
        _short(str(job.get("prompt") or ""), PROMPT_CHARACTERS_MAX),
    )


def _why(view: JobView, now: datetime) -> str:
    if view.error is not None:
        return f"{view.error.code}: {view.error.message}"
    if view.waiting is not None:
        until = view.waiting.until
        when = f" {duration((until - now).total_seconds())}" if until and until > now else ""
        return f"{view.waiting.reason}{when}: {view.waiting.detail}"
    if view.images:
        return f"{len(view.images)} image{'s' if len(view.images) > 1 else ''}"
    return ""


def _facts(view: JobView) -> Iterable[tuple[str, str]]:
    job = view.job
    yield "prompt", _short(str(job.get("prompt") or "(not known)"), 400)
    if job:
        yield "queue", f"{job.get('model')}.{job.get('priority')}"
    others = {k: v for k, v in job.items() if k not in NOT_SHOWN and v not in (None, [], {}) and QUIET.get(k) != v}
    for name, value in others.items():
        yield name, _short(_plain(value), 200)
    if view.waiting is not None:
        until = f"until {moment(view.waiting.until)}" if view.waiting.until else "no time is known"
        yield "waits", f"{view.waiting.reason}, {until}: {view.waiting.detail}"
    if view.error is not None:
        again = "may succeed when tried again" if view.error.retryable else "trying again changes nothing"
        yield "error", f"{view.error.code}: {view.error.message} ({again})"
    if view.attempts:
        yield "cost", f"${dollars(view.usd_nano)} for {len(view.attempts)} attempt{'s'[: len(view.attempts) > 1]}"


def _plain(value: object) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{key}={item}" for key, item in value.items())
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def _timeline(view: JobView) -> Iterable[str]:
    if view.timings.enqueued:
        yield f"{_clock(view.timings.enqueued)}  enqueued"
    for row in view.attempts:
        yield f"{_clock(row.sent_at or row.held_at)}  attempt {row.n}: {_attempt(row)}"
    if view.timings.finished:
        took = "" if view.timings.queued_s is None else f", {duration(view.timings.queued_s)} in the queue"
        yield f"{_clock(view.timings.finished)}  {view.status}{took}"


def _attempt(row: AttemptRow) -> str:
    parts = [f"{row.org} {row.model}", row.state.replace("_", " "), f"${dollars(row.usd_nano)}"]
    if row.sent_at and row.ended_at:
        parts.append(duration((row.ended_at - row.sent_at).total_seconds()))
    if row.status_code is not None:
        parts.append(f"HTTP {row.status_code}")
    if row.error_code:
        parts.append(f"{row.error_code}: {_short(row.error_message or '', 120)}".rstrip(": "))
    if row.reason:
        parts.append(row.reason)
    if row.request_id:
        parts.append(f"request {row.request_id}")
    return ", ".join(parts)


def _clock(when: datetime) -> str:
    return iso(when)[:23].replace("T", " ")


def _short(text: str, characters: int) -> str:
    line = printable(" ".join(text.split()))
    return line if len(line) <= characters else f"{line[: characters - 1]}…"
