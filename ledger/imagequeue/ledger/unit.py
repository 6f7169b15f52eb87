"""One transaction's work: what is decided is gathered here, and written in one fixed order at the end.

The order (attempts, outcomes, entries, messages, images, credits, balances, rollups, the chain's head; each sorted) is
the same in every process, so that transactions wait for each other and never in a circle.
"""

import json
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, cast

from imagequeue.config.errors import LedgerBreach
from imagequeue.ledger.api import WebhookDue
from imagequeue.ledger.entries import Entry, Head, Link, link
from imagequeue.ledger.moments import day
from imagequeue.ledger.rows import NO_TAGS, AttemptColumns, OutcomeColumns, tags_key
from imagequeue.ledger.schema_reports import DIMENSIONS, MEASURES
from imagequeue.ledger.transaction import Parameters, Query, Transaction

NO_LIMIT: Final = 2**63 - 1

RollupKey = tuple[str, str, str, str, str, str]
"""The DIMENSIONS (day, org, model, tenant, priority), then the tags as canonical JSON."""


class Conflict(Exception):  # nothing is wrong: the transaction starts over
    """Another process changed what this transaction had read."""


@dataclass(kw_only=True, slots=True)
class Unit:
    """What one transaction reads with, and what it will write."""

    transaction: Transaction
    now_us: int
    next_id: Callable[[], int]
    held: Mapping[int, AttemptColumns] = field(default_factory=dict)  # attempts that need not be read, see `held`
    day: str = ""
    attempts: list[Parameters] = field(default_factory=list)
    resolutions: list[Parameters] = field(default_factory=list)
    outcomes: list[Parameters] = field(default_factory=list)
    entries: list[Entry] = field(default_factory=list)
    webhooks: list[Parameters] = field(default_factory=list)
    images: dict[tuple[str, str], Parameters] = field(default_factory=dict)  # by digest and tenant
    draws: list[Parameters] = field(default_factory=list)
    returns: list[Parameters] = field(default_factory=list)
    grant_moves: list[Parameters] = field(default_factory=list)
    balances: defaultdict[str, int] = field(default_factory=lambda: defaultdict(int))
    limits: dict[str, int] = field(default_factory=dict)
    answered: list[AttemptColumns] = field(default_factory=list)  # brought images for an intent
    warnings: list[Parameters] = field(default_factory=list)
    rollups: dict[RollupKey, dict[str, int]] = field(default_factory=dict)
    touched: bool = False  # something was written outside the lists above

    def __post_init__(self) -> None:
        self.day = day(self.now_us)

    def count(self, key: RollupKey, **measures: int) -> None:
        """Add to the rollup row of `key`."""
        sums = self.rollups.get(key)
        if sums is None:
            sums = self.rollups[key] = dict.fromkeys(MEASURES, 0)
        for name, amount in measures.items():
            sums[name] += amount

    def send(self, job_id: str, messages: Iterable[WebhookDue]) -> None:
        """Put messages into the outbox."""
        for due in messages:
            self.webhooks.append(
                {
                    "id": self.next_id(),
                    "job_id": job_id,
                    "url": due.url,
                    "event": due.event,
                    "payload": due.payload,
                    "created_at_us": self.now_us,
                    "due_at_us": self.now_us,
                    "tries": 0,
                    "delivered_at_us": None,
                    "gave_up_at_us": None,
                    "last_error": None,
                }
            )

    def lock_balances(self, scopes: Iterable[str]) -> dict[str, int]:
        """Return what the scopes have used, this unit's own changes included; nobody else can change them now."""
        wanted = self.scopes_to_lock(scopes)
        return self.used_of(wanted, self.transaction.rows(*self.balances_query(wanted)))

    def scopes_to_lock(self, scopes: Iterable[str]) -> list[str]:
        """Return the scopes, and those of this unit's own changes, in the order in which every writer locks them."""
        return sorted({*scopes, *self.balances})

    def balances_query(self, scopes: list[str]) -> Query:
        """Return what asks for the balances of `scopes_to_lock`, locked."""
        return self.transaction.statements.lock_scopes, {"scopes": self.transaction.listed(scopes)}

    def used_of(self, scopes: list[str], rows: list[object]) -> dict[str, int]:
        """Return `lock_balances` of what `balances_query` found; scopes without a row get one."""
        found = _used(rows)
        if missing := [{"scope": scope} for scope in scopes if scope not in found]:
            self.transaction.run_all([(self.transaction.statements.add_scope, missing)])
            found = _used(self.transaction.rows(*self.balances_query(scopes)))
        return {scope: found[scope] + self.balances.get(scope, 0) for scope in scopes}

    def attempts_by_id(self, attempt_ids: list[int]) -> dict[int, AttemptColumns]:
        """Return the attempts, locked; those that this writer holds itself as it remembers them."""
        known = {attempt_id: self.held[attempt_id] for attempt_id in attempt_ids if attempt_id in self.held}
        wanted = [attempt_id for attempt_id in attempt_ids if attempt_id not in known]
        if not wanted:
            return known
        rows = self.transaction.rows(*self.listed(self.transaction.statements.attempts_by_id, wanted))
        return known | {row["id"]: row for row in cast("list[AttemptColumns]", rows)}

    def attempts_of_job(self, job_id: str) -> list[AttemptColumns]:
        """Return a job's attempts in the order of their ids, locked."""
        query = self.listed(self.transaction.statements.attempts_by_job, [job_id])
        return cast("list[AttemptColumns]", self.transaction.rows(*query))

    def outcomes_by_job(self, job_ids: list[str]) -> dict[str, OutcomeColumns]:
        """Return the jobs' outcomes that stand, locked."""
        rows = self.transaction.rows(*self.listed(self.transaction.statements.outcomes_by_job, job_ids))
        return {row["job_id"]: row for row in cast("list[OutcomeColumns]", rows)}

    def listed(self, text: str, ids: Sequence[int] | Sequence[str]) -> Query:
        """Return the query for the rows of some ids."""
        return text, {"ids": self.transaction.listed(ids)}

    def first_answers(self, rows: Sequence[Parameters]) -> set[tuple[str, str]]:
        """Note which attempts answered an intent; return the tenants and intents that had no answer before."""
        if not rows:
            return set()
        found = self.transaction.rows(self.transaction.statements.add_first_answers, {"rows": json.dumps(rows)})
        return {(row["tenant"], row["intent"]) for row in cast("list[dict[str, str]]", found)}

    def write(self, head: Head, batches: int) -> Head | None:
        """Write everything and return the chain's new head, or None when there was nothing to write.

        Conflict when another process was faster; LedgerBreach when another one writes under this writer's number.
        """
        if not self._anything():
            return None
        links = link(head, self.entries, self.now_us)
        after = Head(writer_id=head.writer_id, seq=links[-1].seq, hash=links[-1].hash) if links else head
        moved = {"of": head.writer_id, "before": batches, "head_seq": after.seq, "head_hash": after.hash}
        moves, statements = self._balance_moves(), self.transaction.statements
        _, resolved, _, _, _, _, _, returned, granted, fitting, _, _, _, _, heads = self.transaction.run_all(
            [
                (statements.insert_attempt, self.attempts),
                (statements.resolve_attempt, self.resolutions),
                (statements.insert_outcome, self.outcomes),
                (statements.insert_entry, [_entry_row(one) for one in links]),
                (statements.insert_webhook, self.webhooks),
                (statements.insert_image, [row for _, row in sorted(self.images.items())]),
                (statements.insert_draw, self.draws),
                (statements.return_draw, self.returns),
                (statements.move_grant, self.grant_moves),
                (statements.move_balance, moves),
                (statements.add_rollup, self._rollup_rows()),
                (statements.add_tags, self._tag_sets()),
                (statements.add_tag_rollup, self._tag_rows()),
                (statements.add_warning, self.warnings),
                (statements.move_head, [moved]),
            ]
        )
        changed = (resolved, returned, granted, fitting)
        if changed != (len(self.resolutions), len(self.returns), len(self.grant_moves), len(moves)):
            raise Conflict("rows were changed since they were read")
        if heads != 1:
            raise LedgerBreach(f"ledger: something else writes as writer {head.writer_id}")
        return after

    def _anything(self) -> bool:
        lists = (
            self.attempts,
            self.resolutions,
            self.outcomes,
            self.entries,
            self.webhooks,
            self.images,
            self.warnings,
        )
        return self.touched or any(lists) or bool(self.rollups)

    def _balance_moves(self) -> list[Parameters]:
        return [
            {"of": scope, "delta": delta, "limit": self.limits.get(scope, NO_LIMIT)}
            for scope, delta in sorted(self.balances.items())
            if delta or scope in self.limits
        ]

    def _rollup_rows(self) -> list[Parameters]:
        together: dict[tuple[str, ...], dict[str, int]] = {}
        for key, sums in self.rollups.items():
            added = together.setdefault(key[:-1], dict.fromkeys(MEASURES, 0))
            for name, amount in sums.items():
                added[name] += amount
        return [
            {**dict(zip(DIMENSIONS, key, strict=True)), **sums}
            for key, sums in sorted(together.items())
            if any(sums.values())
        ]

    def _tag_rows(self) -> list[Parameters]:
        rows = [
            {**dict(zip(DIMENSIONS, key[:-1], strict=True)), "tags_key": tags_key(key[-1]), **sums}
            for key, sums in self.rollups.items()
            if key[-1] != NO_TAGS and any(sums.values())
        ]
        return sorted(rows, key=lambda row: tuple(str(row[name]) for name in (*DIMENSIONS, "tags_key")))

    def _tag_sets(self) -> list[Parameters]:
        every = {tags_key(tags): tags for *_, tags in self.rollups if tags != NO_TAGS}
        return [{"key": key, "tags": tags} for key, tags in sorted(every.items())]


def _used(rows: list[object]) -> dict[str, int]:
    return {row["scope"]: row["used_nano"] for row in cast("list[dict[str, int]]", rows)}  # type: ignore[misc]  # one column is text


def _entry_row(link: Link) -> Parameters:
    entry = link.entry
    return {
        "writer_id": link.writer_id,
        "seq": link.seq,
        "attempt_id": entry.attempt_id,
        "kind": entry.kind,
        "debit": entry.debit,
        "credit": entry.credit,
        "amount_nano": entry.amount_nano,
        "day": entry.day,
        "at_us": link.at_us,
        "catalog_version": entry.catalog_version,
        "memo": entry.memo,
        "hash": link.hash,
    }
