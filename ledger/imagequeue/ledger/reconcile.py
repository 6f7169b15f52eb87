"""Compares a day of our books with the provider's bill, and says what the bill explains. Pure.

The provider's costs come in whole UTC days by line item (`dall-e-3, images`), so that is how exact a comparison can
be: a day and a model, to the cent and below. A call that was sent and not answered is in doubt until the bill of its
day is out. The bill then says how many of the calls in doubt were billed; which of them cannot be told, and does not
change any sum. What is left after that is the unexplained rest.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import ROUND_HALF_EVEN, Decimal, InvalidOperation
from typing import Final

from imagequeue.config.errors import ImageQueueError
from imagequeue.config.money import NANO_PER_USD, format_usd
from imagequeue.ledger.api import Decision

BUCKETS_MAX: Final = 1_000
RESULTS_MAX: Final = 100_000


class UnreadableBill(ImageQueueError):  # named for what it is
    """The provider's report is not of the shape that its description promises; the text says where."""


@dataclass(frozen=True, kw_only=True, slots=True)
class DoubtedAttempt:
    """An attempt in doubt: what it may have cost."""

    attempt_id: int
    bound_nano: int


@dataclass(frozen=True, kw_only=True, slots=True)
class BookedModel:
    """What our books say of one model on one day. `corrected_nano` was booked by earlier reconciliations."""

    spent_nano: int = 0
    corrected_nano: int = 0
    images: int = 0
    calls: int = 0
    held: int = 0
    doubts: tuple[DoubtedAttempt, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class BilledModel:
    """What the provider says of one model on one day; images and calls are None where its report has none."""

    usd_nano: int = 0
    images: int | None = None
    calls: int | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Verdict:
    """What the bill says of one attempt in doubt."""

    attempt_id: int
    decision: Decision


@dataclass(frozen=True, kw_only=True, slots=True)
class ModelReconciliation:
    """One model of the day: both sides, what the bill decides, and what nothing explains (negative: billed less)."""

    model: str
    booked: BookedModel
    billed: BilledModel
    verdicts: tuple[Verdict, ...]
    unexplained_nano: int

    def as_json(self) -> dict[str, object]:
        """Return it as `ledger reconcile --json` prints it."""
        billed = sum(verdict.decision == "billed" for verdict in self.verdicts)
        return {
            "model": self.model,
            "booked_usd": format_usd(self.booked.spent_nano),
            "corrected_usd": format_usd(self.booked.corrected_nano),
            "billed_usd": format_usd(self.billed.usd_nano),
            "booked_images": self.booked.images,
            "billed_images": self.billed.images,
            "booked_calls": self.booked.calls,
            "billed_calls": self.billed.calls,
            "held": self.booked.held,
            "in_doubt": len(self.booked.doubts),
            "found_billed": billed,
            "found_not_billed": len(self.verdicts) - billed,
            "unexplained_usd": format_usd(self.unexplained_nano),
        }


def reconcile(booked: Mapping[str, BookedModel], billed: Mapping[str, BilledModel]) -> tuple[ModelReconciliation, ...]:
    """Return the comparison of a day, by model in order."""
    models = sorted({*booked, *billed})
    return tuple(
        _reconcile(model, booked.get(model, BookedModel()), billed.get(model, BilledModel())) for model in models
    )


def _reconcile(model: str, booked: BookedModel, billed: BilledModel) -> ModelReconciliation:
    difference = billed.usd_nano - booked.spent_nano - booked.corrected_nano
    verdicts = () if booked.held else explain(booked.doubts, difference)
    bounds = {doubt.attempt_id: doubt.bound_nano for doubt in booked.doubts}
    found_nano = sum(bounds[verdict.attempt_id] for verdict in verdicts if verdict.decision == "billed")
    return ModelReconciliation(
        model=model, booked=booked, billed=billed, verdicts=verdicts, unexplained_nano=difference - found_nano
    )


def explain(doubts: tuple[DoubtedAttempt, ...], difference_nano: int) -> tuple[Verdict, ...]:
    """Return a verdict on every doubt when together they explain the difference exactly, otherwise none.

    They do when it is zero (none was billed), their sum (all were), or, all being of one price, a multiple of it:
    then the oldest are taken as billed.
    """
    prices = {doubt.bound_nano for doubt in doubts}
    if not doubts or difference_nano < 0:
        return ()
    if difference_nano == sum(doubt.bound_nano for doubt in doubts):
        return _verdicts(doubts, len(doubts))
    if difference_nano == 0:
        return _verdicts(doubts, 0)
    price = max(prices)
    if len(prices) == 1 and price and difference_nano % price == 0 and difference_nano // price <= len(doubts):
        return _verdicts(doubts, difference_nano // price)
    return ()


def _verdicts(doubts: tuple[DoubtedAttempt, ...], billed: int) -> tuple[Verdict, ...]:
    oldest_first = sorted(doubts, key=lambda doubt: doubt.attempt_id)
    return tuple(
        Verdict(attempt_id=doubt.attempt_id, decision="billed" if at < billed else "not_billed")
        for at, doubt in enumerate(oldest_first)
    )


def read_costs(buckets: Iterable[object], day: str) -> dict[str, int]:
    """Return nano-dollars by model of the day's buckets of `GET /organization/costs`, grouped by line item.

    Amounts are decimal dollars; finer than a nano-dollar they are rounded, half to even.
    """
    found: dict[str, Decimal] = defaultdict(Decimal)
    for result in _results(buckets, day):
        amount = result.get("amount")
        if not isinstance(amount, Mapping) or amount.get("currency") != "usd":
            raise UnreadableBill("provider's costs: amount in usd is missing")
        found[_model_of(result.get("line_item"))] += _dollars(amount.get("value"))
    return {model: _nano(dollars) for model, dollars in found.items()}


def read_usage(buckets: Iterable[object], day: str) -> dict[str, tuple[int, int]]:
    """Return images and calls by model of the day's buckets of `GET /organization/usage/images`, grouped by model."""
    found: dict[str, tuple[int, int]] = {}
    for result in _results(buckets, day):
        images, calls = result.get("images"), result.get("num_model_requests")
        if not isinstance(images, int) or not isinstance(calls, int):
            raise UnreadableBill("provider's usage: images and num_model_requests are missing")
        model = str(result.get("model"))
        before = found.get(model, (0, 0))
        found[model] = before[0] + images, before[1] + calls
    return found


def billed_models(costs: Mapping[str, int], usage: Mapping[str, tuple[int, int]]) -> dict[str, BilledModel]:
    """Return both reports of the provider as one."""
    return {
        model: BilledModel(
            usd_nano=costs.get(model, 0),
            images=usage[model][0] if model in usage else None,
            calls=usage[model][1] if model in usage else None,
        )
        for model in {*costs, *usage}
    }


def _results(buckets: Iterable[object], day: str) -> list[Mapping[str, object]]:
    found: list[Mapping[str, object]] = []
    for at, bucket in enumerate(buckets):
        if at >= BUCKETS_MAX or len(found) >= RESULTS_MAX:
            raise UnreadableBill(f"provider's report: more than {BUCKETS_MAX} buckets or {RESULTS_MAX} results")
        results = bucket.get("results") if isinstance(bucket, Mapping) else None
        if not isinstance(bucket, Mapping) or not isinstance(results, list):
            raise UnreadableBill("provider's report: a bucket with results is missing")
        if _day_of(bucket.get("start_time")) == day:
            found += [result for result in results if isinstance(result, Mapping)]
    return found


def _day_of(start_time: object) -> str:
    if not isinstance(start_time, int):
        raise UnreadableBill("provider's report: start_time in Unix seconds is missing")
    return datetime.fromtimestamp(start_time, UTC).date().isoformat()


def _model_of(line_item: object) -> str:
    """Return the model of `gpt-image-2, output_tokens`; a line without one stands for itself."""
    return str(line_item or "no line item").rpartition(", ")[0] or str(line_item or "no line item")


def _dollars(value: object) -> Decimal:
    try:
        dollars = Decimal(str(value))
    except InvalidOperation as error:
        raise UnreadableBill(f"provider's costs: {value!r} is no amount") from error
    if not dollars.is_finite():
        raise UnreadableBill(f"provider's costs: {value!r} is no amount")
    return dollars


def _nano(dollars: Decimal) -> int:
    return int((dollars * NANO_PER_USD).to_integral_value(rounding=ROUND_HALF_EVEN))
