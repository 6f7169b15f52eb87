"""Whether a model is in service on a day, by its published dates, and one row per model for people to read. Pure.

Dates warn and steer the choice for jobs that name no model; they never refuse a job: the server's answer decides.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Final, Literal

from imagequeue.config.catalog.records import Catalog, Model

ENDING_WITHIN: Final = timedelta(days=60)

State = Literal["active", "ending", "retired"]


@dataclass(frozen=True, kw_only=True)
class LifecycleState:
    """Where a model stands on a day; `ending` is within 60 days of its end, `retired` from that day on."""

    state: State
    ends: date | None
    days_left: int | None
    successor: str | None

    def describe(self) -> str:
        """Return it in words, e.g. `ends 2026-12-01 (in 9 days), then gpt-image-2.6-sunburst`."""
        if self.ends is None:
            return "active"
        if self.state == "retired":
            return f"retired {self.ends.isoformat()}" + (f", use {self.successor}" if self.successor else "")
        left = "in 1 day" if self.days_left == 1 else f"in {self.days_left} days"
        return f"ends {self.ends.isoformat()} ({left})" + (f", then {self.successor}" if self.successor else "")


def lifecycle(model: Model, today: date) -> LifecycleState:
    """Return where a model stands on a day, by its published end."""
    dates = model.lifecycle
    state: State = "active"
    if dates.ends is not None and today >= dates.ends:
        state = "retired"
    elif dates.ends is not None and today >= dates.ends - ENDING_WITHIN:
        state = "ending"
    days_left = None if dates.ends is None else max(0, (dates.ends - today).days)
    return LifecycleState(state=state, ends=dates.ends, days_left=days_left, successor=dates.successor)


@dataclass(frozen=True, kw_only=True)
class CatalogRow:
    """One model as shown by `imagequeue catalog`."""

    model: Model
    lifecycle: LifecycleState


def catalog_rows(catalog: Catalog, today: date, models: Iterable[str] = ()) -> list[CatalogRow]:
    """Return the models (all, or those named) in the catalog's order; JobRefused when a name is unknown."""
    names = list(models) or list(catalog.models)
    return [CatalogRow(model=catalog.model(name), lifecycle=lifecycle(catalog.model(name), today)) for name in names]
