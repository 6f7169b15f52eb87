"""Which of the calls in doubt a bill shows, and at what amount. Pure.

Three kinds of evidence, from the strongest to the weakest:

- Amounts: the difference between bill and books is exactly what some of the doubts cost. Prices that are known before
  a call (by image) leave few ways to make up a sum.
- Minutes: the usage report counts calls by minute. What is left when our answered calls are taken out must be ours in
  doubt, or somebody else's who uses the same key. So a price by tokens, which is only known from the answer, can be
  shared out among the calls that were counted.
- Silence: no call is left over in any of the minutes in which a doubt could have been counted: it was not billed.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from imagequeue.ledger.api import Decision

STEPS_MAX: Final = 100_000
"""How many ways of making up a sum are tried; beyond it, the sum counts as not explained."""

Minutes = Mapping[int, int]


@dataclass(frozen=True, kw_only=True, slots=True)
class DoubtedAttempt:
    """An attempt in doubt: the most it may have cost, and the Unix minutes in which it may have been counted.

    `open_ended`: it may also have been counted on the next day, so this day's silence says nothing.
    """

    attempt_id: int
    bound_nano: int
    first_minute: int = 0
    last_minute: int = 0
    open_ended: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class AnsweredCall:
    """A call on our books, and the Unix minutes in which it may have been counted: more likely the last ones."""

    first_minute: int
    last_minute: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Verdict:
    """What the bill says of one attempt in doubt. `usd_nano` is 0 unless it was billed."""

    attempt_id: int
    decision: Decision
    usd_nano: int


def left_over(by_minute: Minutes, answered: Sequence[AnsweredCall]) -> dict[int, int]:
    """Return the counted calls by minute that none of our answered calls accounts for."""
    left = dict(by_minute)
    for call in sorted(answered, key=lambda call: (call.last_minute - call.first_minute, call.last_minute)):
        minute = next((at for at in range(call.last_minute, call.first_minute - 1, -1) if left.get(at, 0)), None)
        if minute is not None:
            left[minute] -= 1
    return {minute: calls for minute, calls in left.items() if calls}


def counted(doubts: Sequence[DoubtedAttempt], left: Minutes) -> tuple[DoubtedAttempt, ...]:
    """Return the doubts that the calls left over can be, as many as possible: who must be served first comes first."""
    room = dict(left)
    found = []
    for doubt in sorted(doubts, key=lambda doubt: (doubt.last_minute, doubt.attempt_id)):
        minute = next((at for at in sorted(room) if doubt.first_minute <= at <= doubt.last_minute and room[at]), None)
        if minute is not None:
            room[minute] -= 1
            found.append(doubt)
    return tuple(found)


def explain(
    doubts: Sequence[DoubtedAttempt], difference_nano: int, left: Minutes | None = None
) -> tuple[Verdict, ...] | None:
    """Return a verdict on every doubt when together they make up the difference exactly, otherwise None.

    `left` None: the provider counted no calls, so that amounts are all there is.
    """
    if difference_nano < 0 or (not doubts and difference_nano):
        return None
    seen = () if left is None else counted(doubts, left)
    calls = None if left is None else sum(left.values())
    if calls is not None and calls == len(seen) and len({doubt.bound_nano for doubt in doubts}) > 1:
        exact = sum(doubt.bound_nano for doubt in seen)
        if exact == difference_nano:
            return _verdicts(doubts, {doubt.attempt_id: doubt.bound_nano for doubt in seen})
    chosen = _made_up(doubts, difference_nano, calls, preferred={doubt.attempt_id for doubt in seen})
    if chosen is not None:
        return _verdicts(doubts, chosen)
    if calls and calls == len(seen) and 0 < difference_nano <= sum(doubt.bound_nano for doubt in seen):
        return _verdicts(doubts, _shared(seen, difference_nano))
    return None


def silent(doubts: Sequence[DoubtedAttempt], left: Minutes | None) -> tuple[Verdict, ...]:
    """Return "not billed" for the doubts in whose minutes no call is left over."""
    if left is None:
        return ()
    return tuple(
        Verdict(attempt_id=doubt.attempt_id, decision="not_billed", usd_nano=0)
        for doubt in sorted(doubts, key=lambda doubt: doubt.attempt_id)
        if not any(doubt.first_minute <= minute <= doubt.last_minute for minute in left)
    )


def _verdicts(doubts: Sequence[DoubtedAttempt], billed: Mapping[int, int]) -> tuple[Verdict, ...]:
    return tuple(
        Verdict(attempt_id=doubt.attempt_id, decision="billed", usd_nano=billed[doubt.attempt_id])
        if doubt.attempt_id in billed
        else Verdict(attempt_id=doubt.attempt_id, decision="not_billed", usd_nano=0)
        for doubt in sorted(doubts, key=lambda doubt: doubt.attempt_id)
    )


def _made_up(
    doubts: Sequence[DoubtedAttempt], difference_nano: int, calls: int | None, preferred: set[int]
) -> dict[int, int] | None:
    """Return doubts whose amounts make up the difference, as many as were counted; of one price, the preferred first.

    Doubts that cost nothing are decided with the others: by their number if calls were counted, else as not billed.
    """
    by_price: dict[int, list[DoubtedAttempt]] = defaultdict(list)
    for doubt in sorted(doubts, key=lambda doubt: (doubt.attempt_id not in preferred, doubt.attempt_id)):
        by_price[doubt.bound_nano].append(doubt)
    prices = sorted((price for price in by_price if price), reverse=True)
    limits = [len(by_price[price]) for price in prices]
    free = len(by_price.get(0, []))
    counts = _counts(prices, limits, difference_nano, calls, free)
    if counts is None:
        return None
    return {
        doubt.attempt_id: price
        for price, count in zip(prices, counts, strict=True)
        for doubt in by_price[price][:count]
    }


def _counts(
    prices: Sequence[int], limits: Sequence[int], total: int, calls: int | None, free: int
) -> tuple[int, ...] | None:
    """Return how many of each price add up to `total` with `calls` in all (`free` of them may be free), or None."""
    steps = 0

    def fits(so_far: int) -> bool:
        return calls is None or so_far <= calls <= so_far + free

    def search(at: int, rest: int, so_far: int) -> tuple[int, ...] | None:
        nonlocal steps
        steps += 1
        if at == len(prices):
            return () if rest == 0 and fits(so_far) else None
        most = min(limits[at], rest // prices[at])
        possible = range(most, -1, -1)
        if at == len(prices) - 1:  # of the last price there is one possible number
            possible = range(most, most - 1, -1) if rest == most * prices[at] else range(0)
        for count in possible:
            if steps > STEPS_MAX:
                return None
            found = search(at + 1, rest - count * prices[at], so_far + count)
            if found is not None:
                return count, *found
        return None

    return search(0, total, 0)


def _shared(seen: Sequence[DoubtedAttempt], total_nano: int) -> dict[int, int]:
    """Return the total shared out in proportion to the bounds, to the nano-dollar."""
    bounds_nano = sum(doubt.bound_nano for doubt in seen)
    shares: dict[int, int] = {}
    so_far_nano = given_nano = 0
    for doubt in sorted(seen, key=lambda doubt: doubt.attempt_id):
        so_far_nano += doubt.bound_nano
        upto_nano = total_nano * so_far_nano // bounds_nano
        shares[doubt.attempt_id] = upto_nano - given_nano
        given_nano = upto_nano
    return shares
