"""What was spent, held and saved, by any grouping.

Whole days grouped by day, org, model, tenant and priority come from the rollup: a few rows a day, however many
attempts there are. Other groupings (a tag, the intent) and parts of a day read the attempts themselves.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, time
from typing import Final

from sqlalchemy import JSON, ColumnElement, Connection, Table, and_, func, literal, select, true
from sqlalchemy import cast as sql_cast

from imagequeue.config.errors import JobRefused
from imagequeue.config.money import format_usd
from imagequeue.ledger.moments import microseconds
from imagequeue.ledger.schema import DIMENSIONS, MEASURES, attempt, outcome, rollup, saving
from imagequeue.ledger.sums import Key, SumColumns, Sums, attempt_sums, grouped, outcome_sums, saving_sums, sum_if

GROUPS_MAX: Final = 100_000
GROUPINGS_MAX: Final = 8
TAG: Final = "tag:"
PLAIN: Final = ("model", "org", "tenant", "priority", "day", "intent")


@dataclass(frozen=True, kw_only=True, slots=True)
class Figures:
    """Sums over some attempts and outcomes, in nano-dollars and counts. Settled includes what was reconciled."""

    settled_nano: int = 0
    held_nano: int = 0
    in_doubt_nano: int = 0
    voided_nano: int = 0
    corrected_nano: int = 0
    over_bound_nano: int = 0
    settled: int = 0
    held: int = 0
    in_doubt: int = 0
    voided: int = 0
    reconciled: int = 0
    over_bound: int = 0
    images: int = 0
    kept_images: int = 0
    cache_hits: int = 0
    saved_nano: int = 0
    coalesced: int = 0
    saved_cache_nano: int = 0
    saved_coalesced_nano: int = 0
    saved_batch_nano: int = 0
    saved_overflow_nano: int = 0
    succeeded_jobs: int | None = None

    def as_json(self) -> dict[str, object]:
        """Return the figures as `ledger summary --json` shows them; money as text with nine decimals."""
        return {
            "settled_usd": format_usd(self.settled_nano),
            "held_usd": format_usd(self.held_nano),
            "in_doubt_usd": format_usd(self.in_doubt_nano),
            "voided_usd": format_usd(self.voided_nano),
            "corrected_usd": format_usd(self.corrected_nano),
            "images": self.images,
            "kept_images": self.kept_images,
            "attempts": {
                "settled": self.settled,
                "voided": self.voided,
                "in_doubt": self.in_doubt,
                "held": self.held,
                "reconciled": self.reconciled,
            },
            "over_bound": {"attempts": self.over_bound, "usd": format_usd(self.over_bound_nano)},
            "cache_hits": self.cache_hits,
            "coalesced": self.coalesced,
            "saved_usd": format_usd(self.saved_nano),
            "savings": {
                "cache": format_usd(self.saved_cache_nano),
                "coalesced": format_usd(self.saved_coalesced_nano),
                "batch": format_usd(self.saved_batch_nano),
                "overflow": format_usd(self.saved_overflow_nano),
            },
            "usd_per_image": _each(self.settled_nano, self.images),
            "usd_per_kept_image": _each(self.settled_nano, self.kept_images),
            **self._regenerations(),
        }

    def _regenerations(self) -> dict[str, object]:
        """How often one intent was answered again; only known where figures are of one intent."""
        if self.succeeded_jobs is None:
            return {}
        return {"succeeded_jobs": self.succeeded_jobs, "regenerations": max(0, self.succeeded_jobs - 1)}


@dataclass(frozen=True, kw_only=True, slots=True)
class Group:
    """The figures of one group; None where attempts have no such tag or intent."""

    key: Mapping[str, str | None]
    figures: Figures


@dataclass(frozen=True, kw_only=True, slots=True)
class Summary:
    """All figures together, and by group in the order of their keys."""

    total: Figures
    groups: tuple[Group, ...]

    def as_json(self) -> dict[str, object]:
        """Return the report as `ledger summary --json` prints it."""
        groups = [{**group.key, **group.figures.as_json()} for group in self.groups]
        return {**self.total.as_json(), "groups": groups}


def summarize(
    connection: Connection, group_by: Sequence[str] = (), since: datetime | None = None, until: datetime | None = None
) -> Summary:
    """Return the figures of attempts held from `since` on and before `until`, by group.

    JobRefused names a grouping that does not exist. Corrections belong to whole days.
    """
    check_grouping(group_by)
    by_rollup = all(name in DIMENSIONS for name in group_by) and _whole_day(since) and _whole_day(until)
    found = (_from_rollup if by_rollup else _from_rows)(connection, group_by, since, until)
    if len(found) > GROUPS_MAX:
        raise JobRefused("group_by", f"at most {GROUPS_MAX} groups; these are {len(found)}")
    keys = sorted(found, key=lambda key: [value or "" for value in key])
    groups = [Group(key=dict(zip(group_by, key, strict=True)), figures=_figures(found[key], group_by)) for key in keys]
    return Summary(total=_figures(_total(found.values()), ()), groups=tuple(groups) if group_by else ())


def check_grouping(group_by: Sequence[str]) -> None:
    """Raise JobRefused unless every name is something to group by."""
    if len(group_by) > GROUPINGS_MAX:
        raise JobRefused("group_by", f"at most {GROUPINGS_MAX} names")
    for name in group_by:
        if name not in PLAIN and not (name.startswith(TAG) and len(name) > len(TAG)):
            raise JobRefused("group_by", f"{name!r} is none of {', '.join(PLAIN)}, {TAG}KEY")


def _each(nano: int, count: int) -> str | None:
    """Return the amount for one of `count`, rounded to the nearest nano-dollar, or None for none."""
    return format_usd((2 * nano + count) // (2 * count)) if count else None


def _whole_day(moment: datetime | None) -> bool:
    return moment is None or moment.astimezone(UTC).time() == time(0)


def _day(moment: datetime) -> str:
    return moment.astimezone(UTC).date().isoformat()


def _from_rollup(
    connection: Connection, group_by: Sequence[str], since: datetime | None, until: datetime | None
) -> dict[Key, Sums]:
    sums: SumColumns = {name: func.sum(rollup.c[name]) for name in MEASURES}
    return grouped(connection, [rollup.c[name] for name in group_by], sums, _days(rollup, since, until))


def _from_rows(
    connection: Connection, group_by: Sequence[str], since: datetime | None, until: datetime | None
) -> dict[Key, Sums]:
    corrected: SumColumns = {"corrected_nano": func.sum(rollup.c.corrected_nano)}
    succeeded: SumColumns = {"succeeded_jobs": sum_if(outcome.c.status == "succeeded", literal(1))}
    parts = (
        (attempt, attempt_sums(), _within(attempt, "held_at_us", since, until)),
        (outcome, outcome_sums() | succeeded, _within(outcome, "finished_at_us", since, until)),
        (saving, saving_sums(), _within(saving, "at_us", since, until)),
        (rollup, corrected, and_(rollup.c.corrected_nano != 0, _days(rollup, since, until))),
    )
    found: dict[Key, Sums] = {}
    for table, sums, where in parts:
        keys = [_key(connection, table, name) for name in group_by]
        for key, amounts in grouped(connection, keys, sums, where).items():
            found[key] = found.get(key, {}) | amounts
    return found


def _key(connection: Connection, table: Table, name: str) -> ColumnElement[str | None]:
    if not name.startswith(TAG):
        return table.c[name] if name in table.c else literal(None)
    if "tags" not in table.c:
        return literal(None)
    tag = name.removeprefix(TAG)
    if connection.dialect.name == "sqlite":
        pairs = func.json_each(table.c.tags).table_valued("key", "value")
        return select(pairs.c.value).where(pairs.c.key == tag).correlate(table).scalar_subquery()
    return func.json_extract_path_text(sql_cast(table.c.tags, JSON), tag)


def _days(table: Table, since: datetime | None, until: datetime | None) -> ColumnElement[bool]:
    after = true() if since is None else table.c.day >= _day(since)
    return and_(after, true() if until is None else table.c.day < _day(until))


def _within(table: Table, column: str, since: datetime | None, until: datetime | None) -> ColumnElement[bool]:
    if _whole_day(since) and _whole_day(until):
        return _days(table, since, until)
    after = true() if since is None else table.c[column] >= microseconds(since)
    return and_(after, true() if until is None else table.c[column] < microseconds(until))


def _total(every: Iterable[Sums]) -> Sums:
    total: Sums = {}
    for sums in every:
        for name, amount in sums.items():
            total[name] = total.get(name, 0) + amount
    return total


def _figures(sums: Sums, group_by: Sequence[str]) -> Figures:
    known = dict(sums)
    if "intent" not in group_by:
        known.pop("succeeded_jobs", None)
    return Figures(**known)
