"""Warnings of caps, noted in the transaction of the hold that reached a level: once for each period, cap and level."""

from collections.abc import Sequence
from typing import TypedDict, cast

from imagequeue.ledger.api import CapReached, HoldRequest, HoldResult
from imagequeue.ledger.caps import levels_reached, scope
from imagequeue.ledger.unit import Unit

CapOfScope = tuple[str, str, int]
"""Scope, kind and limit of a cap."""


class WarningColumns(TypedDict):
    """Part of a row of `ledger_warning`."""

    scope: str
    kind: str
    limit_nano: int
    percent: int


def warn(unit: Unit, requests: Sequence[HoldRequest], answers: Sequence[HoldResult], used_nano: dict[str, int]) -> None:
    """Note the levels that the requests' caps have reached, unless they are noted. A job's own ceiling has none."""
    reached = {
        (*cap, percent)
        for cap, refused in _caps(unit, requests, answers).items()
        for percent in levels_reached(used_nano.get(cap[0], 0), cap[2], refused=refused)
    }
    if not reached:
        return
    transaction = unit.transaction
    wanted = {"scopes": transaction.listed(sorted({name for name, *_ in reached}))}
    known = cast("list[WarningColumns]", transaction.rows(transaction.statements.warnings, wanted))
    reached -= {(row["scope"], row["kind"], row["limit_nano"], row["percent"]) for row in known}
    for name, kind, limit_nano, percent in sorted(reached):
        row = {"scope": name, "kind": kind, "limit_nano": limit_nano, "percent": percent}
        unit.warnings.append({**row, "used_nano": used_nano.get(name, 0), "at_us": unit.now_us})


def _caps(unit: Unit, requests: Sequence[HoldRequest], answers: Sequence[HoldResult]) -> dict[CapOfScope, bool]:
    """Return the caps of the requests, and whether one of them was refused by it."""
    found: dict[CapOfScope, bool] = {}
    for request, answer in zip(requests, answers, strict=True):
        for cap in request.caps:
            if cap.kind != "job":
                name = scope(cap.kind, request.org, request.tenant, request.job_id, unit.day)
                refused = isinstance(answer, CapReached) and answer.scope == name
                key = (name, cap.kind, cap.limit_nano)
                found[key] = found.get(key, False) or refused
    return found
