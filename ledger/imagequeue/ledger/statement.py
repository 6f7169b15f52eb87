"""The statement of a calendar month: what had been spent before, what was spent on which model and day, what is open.

Its sums are those of `ledger summary` for the same month. An attempt counts on the day before whose call it was held;
so what was in doubt at the end of a month, and is decided later, changes that month. `in_doubt` says how much can.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from sqlalchemy import ColumnElement, Connection, and_, func, select, true

from imagequeue.config.errors import JobRefused
from imagequeue.config.money import format_usd
from imagequeue.ledger.moments import start_of_next_month
from imagequeue.ledger.schema import attempt, draw
from imagequeue.ledger.schema_reports import MEASURES, rollup
from imagequeue.ledger.summary import Figures
from imagequeue.ledger.sums import SumColumns, Sums, grouped

MONTH: Final = re.compile(r"\d{4}-(0[1-9]|1[0-2])")


@dataclass(frozen=True, kw_only=True, slots=True)
class Line:
    """One model on one UTC day."""

    day: str
    model: str
    figures: Figures


@dataclass(frozen=True, kw_only=True, slots=True)
class CreditsUsed:
    """What of the month was paid with credits: how many, and what had been paid for them."""

    credits: int
    worth_nano: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Statement:
    """A month of one tenant, or of all (None). `opening` are the sums of everything before it.

    Corrections to a provider's bill name no tenant: they stand in the statement of all tenants.
    """

    month: str
    tenant: str | None
    opening: Figures
    total: Figures
    lines: tuple[Line, ...]
    credits: CreditsUsed

    @property
    def closing_nano(self) -> int:
        """Return what was spent up to the end of the month, corrections included."""
        return _spent(self.opening) + _spent(self.total)

    def as_json(self) -> dict[str, object]:
        """Return the statement as `ledger statement --json` prints it."""
        return {
            "month": self.month,
            "tenant": self.tenant,
            "opening": {"spent_usd": format_usd(_spent(self.opening)), **_open(self.opening)},
            "by_model": self._sums("model"),
            "by_day": self._sums("day"),
            "lines": [{"day": line.day, "model": line.model, **_amounts(line.figures)} for line in self.lines],
            "total": self.total.as_json(),
            "credits": {"used": self.credits.credits, "worth_usd": format_usd(self.credits.worth_nano)},
            "closing": {"spent_usd": format_usd(self.closing_nano), **_open(self.opening, self.total)},
        }

    def _sums(self, name: str) -> list[dict[str, object]]:
        found: dict[str, list[Figures]] = {}
        for line in self.lines:
            found.setdefault(getattr(line, name), []).append(line.figures)
        return [{name: key, **_amounts(*figures)} for key, figures in sorted(found.items())]


def month_statement(connection: Connection, month: str, tenant: str | None = None) -> Statement:
    """Return the statement of a month such as `2026-11`; JobRefused when it is none."""
    if not MONTH.fullmatch(month):
        raise JobRefused("month", f"a month such as 2026-11, not {month!r}")
    first = f"{month}-01"
    end = start_of_next_month(first).date().isoformat()
    whose = true() if tenant is None else rollup.c.tenant == tenant
    of_month = and_(whose, rollup.c.day >= first, rollup.c.day < end)
    found = grouped(connection, [rollup.c.day, rollup.c.model], _measures(), of_month)
    lines = [
        Line(day=str(day), model=str(model), figures=Figures(**sums))
        for (day, model), sums in sorted(found.items(), key=lambda item: tuple(map(str, item[0])))
    ]
    return Statement(
        month=month,
        tenant=tenant,
        opening=_total(connection, and_(whose, rollup.c.day < first)),
        total=_total(connection, of_month),
        lines=tuple(lines),
        credits=_credits(connection, tenant, first, end),
    )


def _measures() -> SumColumns:
    return {name: func.sum(rollup.c[name]) for name in MEASURES}


def _total(connection: Connection, where: ColumnElement[bool]) -> Figures:
    sums: Mapping[tuple[str | None, ...], Sums] = grouped(connection, [], _measures(), where)
    return Figures(**sums[()])


def _credits(connection: Connection, tenant: str | None, first: str, end: str) -> CreditsUsed:
    whose = true() if tenant is None else attempt.c.tenant == tenant
    used = select(func.coalesce(func.sum(draw.c.credits), 0), func.coalesce(func.sum(draw.c.paid_nano), 0))
    mine = and_(attempt.c.id == draw.c.attempt_id, draw.c.returned_at_us.is_(None), whose)
    count, worth_nano = connection.execute(used.where(mine, attempt.c.day >= first, attempt.c.day < end)).one()
    return CreditsUsed(credits=int(count), worth_nano=int(worth_nano))


def _spent(figures: Figures) -> int:
    return figures.settled_nano + figures.corrected_nano


def _open(*every: Figures) -> dict[str, object]:
    return {
        "held_usd": format_usd(sum(figures.held_nano for figures in every)),
        "in_doubt_usd": format_usd(sum(figures.in_doubt_nano for figures in every)),
    }


def _amounts(*every: Figures) -> dict[str, object]:
    return {
        "settled_usd": _dollars(every, "settled_nano"),
        "corrected_usd": _dollars(every, "corrected_nano"),
        "in_doubt_usd": _dollars(every, "in_doubt_nano"),
        "saved_usd": _dollars(every, "saved_nano"),
        "images": sum(figures.images for figures in every),
        "kept_images": sum(figures.kept_images for figures in every),
    }


def _dollars(every: Sequence[Figures], name: str) -> str:
    return format_usd(sum(getattr(figures, name) for figures in every))
