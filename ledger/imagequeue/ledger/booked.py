"""What our books say of an organization's UTC day, as a provider would count it: by the moment of the answer."""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from typing import Final, TypedDict, cast

from sqlalchemy import ColumnElement, Connection, and_, func, or_, select

from imagequeue.ledger.explain import AnsweredCall, DoubtedAttempt
from imagequeue.ledger.moments import microseconds
from imagequeue.ledger.reconcile import BookedModel
from imagequeue.ledger.schema import attempt
from imagequeue.ledger.schema_reports import rollup
from imagequeue.ledger.sums import grouped

BY: Final = "ledger reconcile"
DAYS_HELD_MAX: Final = 3
"""How long before its answer an attempt may have been held: a batch takes a day and some more."""
COUNTED_LATE_US: Final = 10 * 60_000_000
"""How long after we gave a call up its image may still have been made, and counted."""
ROWS_PER_READ: Final = 5_000
MINUTE_US: Final = 60_000_000


class AttemptMoments(TypedDict):
    """Part of a row of `ledger_attempt`."""

    id: int
    model: str
    state: str
    delivery: str
    upper_bound_nano: int
    usd_nano: int | None
    images: int
    reason: str | None
    held_at_us: int
    sent_at_us: int | None
    ended_at_us: int | None
    resolved_at_us: int | None


COLUMNS: Final = tuple(AttemptMoments.__annotations__)


@dataclass(frozen=True, kw_only=True, slots=True)
class Day:
    """A UTC day in microseconds: from `start_us` on and before `end_us`."""

    start_us: int
    end_us: int

    def has(self, at_us: int) -> bool:
        """Whether a moment is on the day."""
        return self.start_us <= at_us < self.end_us


@dataclass(slots=True)
class _Sums:
    spent_nano: int = 0
    images: int = 0
    calls: int = 0
    held: int = 0
    doubts: list[DoubtedAttempt] = field(default_factory=list)
    absent: list[DoubtedAttempt] = field(default_factory=list)
    answered: list[AnsweredCall] = field(default_factory=list)
    early: list[tuple[int, int]] = field(default_factory=list)
    late: list[tuple[int, int]] = field(default_factory=list)


def booked_models(connection: Connection, org: str, day: str) -> dict[str, BookedModel]:
    """Return what the books say of the day, by model."""
    of = day_of(day)
    sums: dict[str, _Sums] = defaultdict(_Sums)
    for row in _rows(connection, org, day, of):
        _count(sums[row["model"]], row, of)
    corrected = _corrected(connection, org, day)
    return {model: _model(sums.get(model, _Sums()), corrected.get(model, 0)) for model in sorted({*sums, *corrected})}


def day_of(day: str) -> Day:
    """Return the bounds of a UTC day such as `2026-11-22`."""
    start = datetime.combine(date.fromisoformat(day), time(0), UTC)
    return Day(start_us=microseconds(start), end_us=microseconds(start + timedelta(days=1)))


def _rows(connection: Connection, org: str, day: str, of: Day) -> Iterator[AttemptMoments]:
    held_on = [(date.fromisoformat(day) - timedelta(days=back)).isoformat() for back in range(DAYS_HELD_MAX + 1)]
    touches = or_(_last().is_(None), _last() + COUNTED_LATE_US >= of.start_us)
    query = select(*(attempt.c[name] for name in COLUMNS)).where(
        attempt.c.org == org,
        attempt.c.day.in_(held_on),
        attempt.c.credits == 0,  # credits are not on a bill by calls
        attempt.c.state != "voided",
        touches,
        attempt.c.held_at_us < of.end_us,
    )
    with connection.execute(query, execution_options={"yield_per": ROWS_PER_READ}) as rows:
        for row in rows.mappings():
            yield cast("AttemptMoments", row)


def _last() -> ColumnElement[int]:
    return func.coalesce(attempt.c.ended_at_us, attempt.c.resolved_at_us)


def _count(sums: _Sums, row: AttemptMoments, of: Day) -> None:
    first_us = row["sent_at_us"] or row["held_at_us"]
    last_us = max(first_us, row["ended_at_us"] or row["resolved_at_us"] or first_us)
    if row["state"] == "held":
        sums.held += row["delivery"] == "now"  # a batch is under way for a day, and billed line by line
    elif row["state"] == "in_doubt":
        _add_doubt(sums.doubts, row, first_us, last_us + COUNTED_LATE_US, of)
    elif row["usd_nano"]:
        _count_answered(sums, row, row["usd_nano"], first_us, last_us, of)
    elif row["state"] == "reconciled" and BY in (row["reason"] or ""):
        _add_doubt(sums.absent, row, first_us, last_us + COUNTED_LATE_US, of)


def _count_answered(sums: _Sums, row: AttemptMoments, usd_nano: int, first_us: int, last_us: int, of: Day) -> None:
    at_once = row["delivery"] == "now"
    if of.has(last_us):
        sums.spent_nano += usd_nano
        sums.images += row["images"]
        sums.calls += 1
        slack_us = COUNTED_LATE_US if row["state"] == "reconciled" else 0
        if at_once:
            sums.answered.append(
                AnsweredCall(first_minute=first_us // MINUTE_US, last_minute=(last_us + slack_us) // MINUTE_US)
            )
            if first_us < of.start_us:
                sums.early.append((last_us, usd_nano))
        else:
            sums.answered.append(AnsweredCall(first_minute=last_us // MINUTE_US, last_minute=last_us // MINUTE_US))
    elif at_once and of.has(first_us):
        sums.late.append((last_us, usd_nano))


def _add_doubt(doubts: list[DoubtedAttempt], row: AttemptMoments, first_us: int, last_us: int, of: Day) -> None:
    if first_us >= of.end_us or last_us < of.start_us:
        return
    doubts.append(
        DoubtedAttempt(
            attempt_id=row["id"],
            bound_nano=row["upper_bound_nano"],
            first_minute=first_us // MINUTE_US,
            last_minute=last_us // MINUTE_US,
            open_ended=last_us >= of.end_us,
        )
    )


def _model(sums: _Sums, corrected_nano: int) -> BookedModel:
    return BookedModel(
        spent_nano=sums.spent_nano,
        corrected_nano=corrected_nano,
        images=sums.images,
        calls=sums.calls,
        held=sums.held,
        doubts=tuple(sorted(sums.doubts, key=lambda doubt: doubt.attempt_id)),
        absent=tuple(sorted(sums.absent, key=lambda doubt: doubt.attempt_id)),
        answered=tuple(sums.answered),
        early_nano=tuple(usd_nano for _, usd_nano in sorted(sums.early)),
        late_nano=tuple(usd_nano for _, usd_nano in sorted(sums.late)),
    )


def _corrected(connection: Connection, org: str, day: str) -> Mapping[str, int]:
    whose = and_(rollup.c.org == org, rollup.c.day == day, rollup.c.corrected_nano != 0)
    rows = grouped(connection, [rollup.c.model], {"corrected": func.sum(rollup.c.corrected_nano)}, whose)
    return {str(model): amounts["corrected"] for (model,), amounts in rows.items()}
