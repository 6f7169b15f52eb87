"""The double entries of an attempt, and the chain that makes a changed one visible. Pure.

One entry moves an amount from the credited account to the debited one, so every entry balances by construction.
Accounts of an organization: `budget` (not spoken for), `held` (a call may be under way), `doubt` (sent, unanswered),
`spent` (billed to us), `credits` (paid in advance and not used, at what was paid) and `paid` (their other side).
What an attempt keeps in `held` and `doubt` ends at zero.
"""

import hashlib
import json.encoder
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import Final, Literal, NamedTuple

EntryKind = Literal[
    "hold",
    "settle",
    "release",
    "overrun",
    "void",
    "doubt",
    "reconcile",
    "correction",
    "credit-grant",
    "credit-use",
    "credit-return",
    "archive",
    "cap",
]
HASH_OF_NOTHING: Final = ""
TEXTS_MAX: Final = 4_096
"""How many accounts, days and versions are kept as they stand in a hash's text."""


class Entry(NamedTuple):  # a dataclass takes four times as long to make, and there are two in every job
    """One transfer: `amount_nano` leaves `credit` and enters `debit`. `day` is the day that it counts for."""

    kind: EntryKind
    debit: str
    credit: str
    amount_nano: int
    day: str
    attempt_id: int | None = None
    catalog_version: str = ""
    memo: str = ""


class Holding(NamedTuple):  # as above
    """What entries need to know of an attempt."""

    attempt_id: int
    org: str
    bound_nano: int
    day: str
    catalog_version: str


class Link(NamedTuple):  # as above
    """An entry in its place in a writer's chain."""

    writer_id: int
    seq: int
    at_us: int
    entry: Entry
    hash: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Head:
    """Where a writer's chain ends."""

    writer_id: int
    seq: int = 0
    hash: str = HASH_OF_NOTHING


def hold(of: Holding) -> list[Entry]:
    """Return the entries of an attempt that is about to be sent."""
    return [_move("hold", of, "held", "budget", of.bound_nano)]


def void(of: Holding) -> list[Entry]:
    """Return the entries of an attempt that certainly was not billed."""
    return [_move("void", of, "budget", "held", of.bound_nano)]


def doubt(of: Holding) -> list[Entry]:
    """Return the entries of an attempt that was sent and never answered; its amount stays spoken for."""
    return [_move("doubt", of, "doubt", "held", of.bound_nano)]


def settle(of: Holding, usd_nano: int) -> list[Entry]:
    """Return the entries of an attempt that cost `usd_nano`, more than its hold included."""
    return _bill("settle", of, "held", usd_nano, "")


def reconcile(of: Holding, usd_nano: int, reason: str) -> list[Entry]:
    """Return the entries of an attempt in doubt that turned out to cost `usd_nano` (0: it was not billed)."""
    return _bill("reconcile", of, "doubt", usd_nano, reason)


def correction(org: str, day: str, usd_nano: int, reason: str) -> list[Entry]:
    """Return the entry that adds `usd_nano` (negative: takes it back) to what the organization spent on that day."""
    debit, credit = ("spent", "budget") if usd_nano >= 0 else ("budget", "spent")
    return [
        Entry(
            kind="correction",
            debit=f"{debit}:{org}",
            credit=f"{credit}:{org}",
            amount_nano=abs(usd_nano),
            day=day,
            memo=reason,
        )
    ]


def credit_grant(org: str, day: str, paid_nano: int, source: str) -> Entry:
    """Return the entry of credits that were given or bought, worth what was paid."""
    return Entry(
        kind="credit-grant", debit=f"credits:{org}", credit=f"paid:{org}", amount_nano=paid_nano, day=day, memo=source
    )


def credit_use(org: str, day: str, worth_nano: int, attempt_id: int) -> Entry:
    """Return the entry of credits that an attempt drew."""
    return _credits("credit-use", f"paid:{org}", f"credits:{org}", worth_nano, day, attempt_id)


def credit_return(org: str, day: str, worth_nano: int, attempt_id: int) -> Entry:
    """Return the entry of credits that an attempt drew and was not billed for."""
    return _credits("credit-return", f"credits:{org}", f"paid:{org}", worth_nano, day, attempt_id)


def archive(month: str, day: str, sha256: str, rows: int) -> Entry:
    """Return the entry that puts the digest of a month's archive into the chain; it moves nothing."""
    memo = f"{rows} rows, sha256 {sha256}"
    return Entry(kind="archive", debit=f"archive:{month}", credit=f"details:{month}", amount_nano=0, day=day, memo=memo)


def cap_set(kind: str, name: str, day: str, memo: str) -> Entry:
    """Return the entry that puts a cap set by hand into the chain; it moves nothing."""
    return Entry(kind="cap", debit=f"cap:{kind}:{name}", credit="configured", amount_nano=0, day=day, memo=memo)


def _credits(kind: EntryKind, debit: str, credit: str, worth_nano: int, day: str, attempt_id: int) -> Entry:
    return Entry(kind=kind, debit=debit, credit=credit, amount_nano=worth_nano, day=day, memo=f"attempt {attempt_id}")


def _bill(kind: EntryKind, of: Holding, source: Literal["held", "doubt"], usd_nano: int, memo: str) -> list[Entry]:
    entries = [_move(kind, of, "spent", source, min(usd_nano, of.bound_nano), memo)]
    if usd_nano < of.bound_nano:
        entries.append(_move("release", of, "budget", source, of.bound_nano - usd_nano, memo))
    if usd_nano > of.bound_nano:
        entries.append(_move("overrun", of, "spent", "budget", usd_nano - of.bound_nano, memo))
    return entries


def _move(kind: EntryKind, of: Holding, debit: str, credit: str, amount_nano: int, memo: str = "") -> Entry:
    return Entry(
        kind,
        f"{debit}:{of.org}",
        f"{credit}:{of.org}",
        amount_nano,
        of.day,
        of.attempt_id,
        of.catalog_version,
        memo,
    )


def link(head: Head, entries: Iterable[Entry], at_us: int) -> list[Link]:
    """Return the entries as the next links after `head`."""
    links = []
    seq, previous = head.seq, head.hash
    for entry in entries:
        seq += 1
        previous = link_hash(previous, head.writer_id, seq, at_us, entry)
        links.append(Link(head.writer_id, seq, at_us, entry, previous))
    return links


def link_hash(previous: str, writer_id: int, seq: int, at_us: int, entry: Entry) -> str:
    """Return SHA-256 in hex over the previous hash and every field, as a JSON list: no two contents look alike."""
    attempt_id = "null" if entry.attempt_id is None else entry.attempt_id
    # The text that a JSON encoder makes of the list of them, put together here at a third of its time.
    content = (
        f'["{previous}",{writer_id},{seq},{at_us},{attempt_id},{_often(entry.kind)},{_often(entry.debit)},'
        f"{_often(entry.credit)},{entry.amount_nano},{_often(entry.day)},{_often(entry.catalog_version)},"
        f"{_quoted(entry.memo)}]"
    )
    return hashlib.sha256(content.encode()).hexdigest()


_quoted: Final = json.encoder.encode_basestring_ascii
_often: Final = lru_cache(maxsize=TEXTS_MAX)(_quoted)
