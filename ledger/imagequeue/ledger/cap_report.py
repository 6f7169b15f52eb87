"""How far each cap is used in its present period, and which warnings it has given."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, TypedDict, cast

from sqlalchemy import Connection, func, select

from imagequeue.config.clock import iso
from imagequeue.config.money import format_usd
from imagequeue.ledger.api import CapKind
from imagequeue.ledger.caps import scope, starts_anew
from imagequeue.ledger.caps import scopes as scopes_of
from imagequeue.ledger.moments import day, microseconds, moment
from imagequeue.ledger.schema import OPEN, attempt, balance, warning
from imagequeue.ledger.set_caps import CapColumns, caps_that_were_set

WARNINGS_MAX: Final = 1_000


@dataclass(frozen=True, kw_only=True, slots=True)
class ConfiguredCap:
    """A cap as it is configured, for an organization or a tenant of that name."""

    kind: CapKind
    name: str
    limit_nano: int


@dataclass(frozen=True, kw_only=True, slots=True)
class CapSetting:
    """Who set a cap while workers run, when and why."""

    at: datetime
    by: str
    reason: str

    def as_json(self) -> dict[str, object]:
        """Return it as `ledger caps --json` prints it."""
        return {"at": iso(self.at), "by": self.by, "reason": self.reason}


@dataclass(frozen=True, kw_only=True, slots=True)
class CapWarning:
    """A level of a cap that was reached: `percent` of it, with `used_nano` spoken for. 100: or a call was refused."""

    scope: str
    kind: str
    limit_nano: int
    percent: int
    used_nano: int
    at: datetime

    def as_json(self) -> dict[str, object]:
        """Return the warning as `ledger caps --json` prints it."""
        return {"percent": self.percent, "used_usd": format_usd(self.used_nano), "at": iso(self.at)}


@dataclass(frozen=True, kw_only=True, slots=True)
class CapStatus:
    """A cap now: what is used of it, and the warnings of this period, lowest level first.

    `used_nano` is what is settled (corrections to the bill included), held and in doubt together.
    """

    cap: ConfiguredCap
    scope: str
    used_nano: int
    held_nano: int
    in_doubt_nano: int
    starts_anew: datetime | None
    warnings: tuple[CapWarning, ...]
    set: CapSetting | None = None

    @property
    def settled_nano(self) -> int:
        """Return what is spent for good."""
        return self.used_nano - self.held_nano - self.in_doubt_nano

    @property
    def used_share(self) -> float:
        """Return the used share of the cap; 1 for a cap of nothing."""
        return self.used_nano / self.cap.limit_nano if self.cap.limit_nano else 1.0

    def as_json(self) -> dict[str, object]:
        """Return the cap as `ledger caps --json` prints it."""
        return {
            "kind": self.cap.kind,
            "name": self.cap.name,
            "limit_usd": format_usd(self.cap.limit_nano),
            "used_usd": format_usd(self.used_nano),
            "settled_usd": format_usd(self.settled_nano),
            "held_usd": format_usd(self.held_nano),
            "in_doubt_usd": format_usd(self.in_doubt_nano),
            "left_usd": format_usd(max(0, self.cap.limit_nano - self.used_nano)),
            "used_share": round(self.used_share, 6),
            "starts_anew": None if self.starts_anew is None else iso(self.starts_anew),
            "warnings": [one.as_json() for one in self.warnings],
            "source": "configured" if self.set is None else "set",
            "set": None if self.set is None else self.set.as_json(),
        }


class WarningRow(TypedDict):
    """A row of `ledger_warning`."""

    scope: str
    kind: str
    limit_nano: int
    percent: int
    used_nano: int
    at_us: int


def cap_report(
    connection: Connection, configured: Sequence[ConfiguredCap], now: datetime, tenant: str | None = None
) -> tuple[CapStatus, ...]:
    """Return the caps that stand, configured ones in the given order, then those that were only set.

    `tenant`: only this tenant's.
    """
    today = day(microseconds(now))
    caps, settings = _standing(configured, caps_that_were_set(connection))
    if tenant is not None:
        caps = [cap for cap in caps if cap.kind != "org_month" and cap.name == tenant]
    scopes = [scope(cap.kind, cap.name, cap.name, "", today) for cap in caps]
    query = select(balance.c.scope, balance.c.used_nano).where(balance.c.scope.in_(scopes))
    used = {str(name): int(nano) for name, nano in connection.execute(query)}
    unsettled = _unsettled(connection) if scopes else {}
    mine = select(warning).where(warning.c.scope.in_(scopes)).order_by(warning.c.percent)
    given = [_warning(row) for row in cast("Sequence[WarningRow]", connection.execute(mine).mappings().all())]
    return tuple(
        CapStatus(
            cap=cap,
            scope=name,
            used_nano=used.get(name, 0),
            held_nano=unsettled.get((name, "held"), 0),
            in_doubt_nano=unsettled.get((name, "in_doubt"), 0),
            starts_anew=starts_anew(cap.kind, today),
            warnings=tuple(
                one for one in given if (one.scope, one.kind, one.limit_nano) == (name, cap.kind, cap.limit_nano)
            ),
            set=settings.get((cap.kind, cap.name)),
        )
        for cap, name in zip(caps, scopes, strict=True)
    )


def _unsettled(connection: Connection) -> dict[tuple[str, str], int]:
    """Return what is held and in doubt by scope and state; such attempts are few, and have an index."""
    found: defaultdict[tuple[str, str], int] = defaultdict(int)
    keys = (attempt.c.org, attempt.c.tenant, attempt.c.day, attempt.c.state)
    query = select(*keys, func.sum(attempt.c.upper_bound_nano)).where(OPEN).group_by(*keys)
    for org, tenant, of_day, state, nano in connection.execute(query):
        for name in scopes_of(org, tenant, of_day):
            found[name, state] += int(nano)
    return found


def _standing(
    configured: Sequence[ConfiguredCap], rows: Sequence[CapColumns]
) -> tuple[list[ConfiguredCap], dict[tuple[str, str], CapSetting]]:
    """Return the caps with those that were set in the place of theirs, and who set them."""
    caps = {(str(one.kind), one.name): one for one in configured}
    settings: dict[tuple[str, str], CapSetting] = {}
    for row in rows:
        key = (str(row["kind"]), row["name"])
        settings[key] = CapSetting(at=moment(row["set_at_us"]), by=row["set_by"], reason=row["reason"])
        if row["limit_nano"] is None:
            caps.pop(key, None)
        else:
            caps[key] = ConfiguredCap(kind=row["kind"], name=row["name"], limit_nano=row["limit_nano"])
    return list(caps.values()), settings


def cap_warnings(connection: Connection, since: datetime) -> tuple[CapWarning, ...]:
    """Return the warnings given from a moment on, oldest first, at most WARNINGS_MAX."""
    query = select(warning).where(warning.c.at_us >= microseconds(since))
    ordered = query.order_by(warning.c.at_us, warning.c.scope, warning.c.percent).limit(WARNINGS_MAX)
    return tuple(_warning(row) for row in cast("Sequence[WarningRow]", connection.execute(ordered).mappings().all()))


def _warning(row: WarningRow) -> CapWarning:
    return CapWarning(
        scope=row["scope"],
        kind=row["kind"],
        limit_nano=row["limit_nano"],
        percent=row["percent"],
        used_nano=row["used_nano"],
        at=moment(row["at_us"]),
    )
