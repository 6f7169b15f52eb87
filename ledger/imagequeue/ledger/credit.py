"""Credits inside a transaction: granting, drawing for a hold, giving back what was not billed."""

from typing import TypedDict, cast

from imagequeue.ledger.entries import credit_grant, credit_return, credit_use
from imagequeue.ledger.moments import microseconds_or_none
from imagequeue.ledger.operations import GrantCredits
from imagequeue.ledger.rows import AttemptColumns
from imagequeue.ledger.transaction import Query
from imagequeue.ledger.unit import Unit
from imagequeue.ledger.wallet import Draw, Grant


class GrantColumns(TypedDict):
    """Part of a row of `ledger_grant`."""

    id: int
    org: str
    credits_left: int
    paid_left_nano: int
    expires_at_us: int | None


class DrawColumns(TypedDict):
    """Part of a row of `ledger_draw`."""

    grant_id: int
    credits: int
    paid_nano: int


def grant_credits(unit: Unit, operation: GrantCredits) -> bool:
    """Add credits to a wallet, once for each source; return whether it was new."""
    added = unit.transaction.run(
        unit.transaction.statements.insert_grant,
        {
            "id": unit.next_id(),
            "org": operation.org,
            "kind": operation.kind,
            "credits": operation.credits,
            "credits_left": operation.credits,
            "paid_nano": operation.paid_nano,
            "paid_left_nano": operation.paid_nano,
            "granted_at_us": unit.now_us,
            "expires_at_us": microseconds_or_none(operation.expires_at),
            "source": operation.source,
        },
    )
    if added:
        unit.entries.append(credit_grant(operation.org, unit.day, operation.paid_nano, operation.source))
    return added == 1


def grants_query(unit: Unit, orgs: set[str]) -> Query | None:
    """Return what asks for the organizations' grants that can be used now, locked; None for no organization."""
    transaction = unit.transaction
    wanted = {"orgs": transaction.listed(sorted(orgs)), "now_us": unit.now_us}
    return (transaction.statements.lock_grants, wanted) if orgs else None


def wallets(orgs: set[str], rows: list[object]) -> dict[str, list[Grant]]:
    """Return the grants of each of the organizations, given what `grants_query` found for them."""
    found: dict[str, list[Grant]] = {org: [] for org in orgs}
    for row in cast("list[GrantColumns]", rows):
        grant = Grant(
            grant_id=row["id"],
            credits=row["credits_left"],
            paid_nano=row["paid_left_nano"],
            expires_at_us=row["expires_at_us"],
        )
        found[row["org"]].append(grant)
    return found


def use(unit: Unit, org: str, attempt_id: int, draws: tuple[Draw, ...]) -> None:
    """Take from the grants what an attempt draws."""
    for one in draws:
        drawn = {"grant_id": one.grant_id, "credits": one.credits, "paid_nano": one.paid_nano}
        unit.draws.append({"attempt_id": attempt_id, **drawn, "returned_at_us": None})
        unit.grant_moves.append({"of": one.grant_id, "credits": -one.credits, "paid_nano": -one.paid_nano})
    if draws:
        unit.entries.append(credit_use(org, unit.day, sum(one.paid_nano for one in draws), attempt_id))


def give_back(unit: Unit, row: AttemptColumns) -> None:
    """Return what an attempt drew that was not billed, to the grants that it came from, expired or not."""
    transaction = unit.transaction
    found = cast("list[DrawColumns]", transaction.rows(transaction.statements.draws, {"of": row["id"]}))
    for one in found:
        unit.returns.append({"of": row["id"], "grant": one["grant_id"], "at_us": unit.now_us})
        unit.grant_moves.append({"of": one["grant_id"], "credits": one["credits"], "paid_nano": one["paid_nano"]})
    worth_nano = sum(one["paid_nano"] for one in found)
    unit.entries.append(credit_return(row["org"], row["day"], worth_nano, row["id"]))
