"""What was spent, held and saved, by any grouping: the report and its shape. `groups` says where the sums are from."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

from sqlalchemy import Connection

from imagequeue.config.errors import JobRefused
from imagequeue.config.money import format_usd
from imagequeue.ledger.groups import GROUPS_MAX, sums_by
from imagequeue.ledger.intent_choice import with_dearest_intents
from imagequeue.ledger.period import period
from imagequeue.ledger.row_sums import INTENT, TAG
from imagequeue.ledger.sums import Sums

GROUPINGS_MAX: Final = 8
PLAIN: Final = ("model", "org", "tenant", "priority", "day", "intent")


@dataclass(frozen=True, kw_only=True, slots=True)
class Figures:
    """Sums over some attempts, outcomes and savings, in nano-dollars and counts. Settled includes what was reconciled.

    `answers` brought images for an intent; `intents` are those of them that were the first for theirs, the others are
    regenerations. Each counts where it was made, so that both add up over any groups.
    """

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
    answers: int = 0
    intents: int = 0

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
            "intents": self.intents,
            "regenerations": self.answers - self.intents,
            "regenerations_per_intent": _ratio(self.answers - self.intents, self.intents),
        }


@dataclass(frozen=True, kw_only=True, slots=True)
class Group:
    """The figures of one group; None where attempts have no such tag or intent."""

    key: Mapping[str, str | None]
    figures: Figures


@dataclass(frozen=True, kw_only=True, slots=True)
class Summary:
    """All figures together, and by group in the order of their keys.

    `intents_left_out` counts intents that are not told apart, because there are too many: the dearest are. Their
    figures stand in the group without an intent.
    """

    total: Figures
    groups: tuple[Group, ...]
    intents_left_out: int = 0

    def as_json(self) -> dict[str, object]:
        """Return the report as `ledger summary --json` prints it."""
        groups = [{**group.key, **group.figures.as_json()} for group in self.groups]
        left_out = {"intents_left_out": self.intents_left_out} if self.intents_left_out else {}
        return {**self.total.as_json(), **left_out, "groups": groups}


def summarize(
    connection: Connection,
    group_by: Sequence[str] = (),
    since: datetime | None = None,
    until: datetime | None = None,
    *,
    tenant: str | None = None,
) -> Summary:
    """Return the figures of attempts held from `since` on and before `until`, by group; `tenant`: of this one only.

    JobRefused names a grouping that does not exist. Corrections belong to whole days, and to no tenant.
    """
    check_grouping(group_by)
    group_by = list(dict.fromkeys(group_by))
    over, left_out = replace(period(since, until), tenant=tenant), 0
    if INTENT in group_by:
        over, left_out = with_dearest_intents(connection, over)
    found = sums_by(connection, group_by, over)
    if len(found) > GROUPS_MAX:
        raise JobRefused("group_by", f"at most {GROUPS_MAX} groups; these are {len(found)}")
    keys = sorted(found, key=lambda key: [value or "" for value in key])
    groups = [Group(key=dict(zip(group_by, key, strict=True)), figures=Figures(**found[key])) for key in keys]
    total = Figures(**_total(found.values()))
    return Summary(total=total, groups=tuple(groups) if group_by else (), intents_left_out=left_out)


def check_grouping(group_by: Sequence[str]) -> None:
    """Raise JobRefused unless every name is something to group by."""
    if len(group_by) > GROUPINGS_MAX:
        raise JobRefused("group_by", f"at most {GROUPINGS_MAX} names")
    for name in group_by:
        if name not in PLAIN and not (name.startswith(TAG) and len(name) > len(TAG)):
            raise JobRefused("group_by", f"{name!r} is none of {', '.join(PLAIN)}, {TAG}KEY")


def _ratio(count: int, of: int) -> float | None:
    return round(count / of, 3) if of else None


def _each(nano: int, count: int) -> str | None:
    """Return the amount for one of `count`, rounded to the nearest nano-dollar, or None for none."""
    return format_usd((2 * nano + count) // (2 * count)) if count else None


def _total(every: Iterable[Sums]) -> Sums:
    total: Sums = {}
    for sums in every:
        for name, amount in sums.items():
            total[name] = total.get(name, 0) + amount
    return total
