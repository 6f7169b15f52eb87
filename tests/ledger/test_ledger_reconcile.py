"""A day of the books beside the provider's bill: what the bill decides, and what nothing explains."""

import asyncio
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ledger_values import ManualClock, ending, held, opened, settlement

from imagequeue.ledger.reconcile import (
    BilledModel,
    BookedModel,
    DoubtedAttempt,
    UnreadableBill,
    billed_models,
    explain,
    read_costs,
    read_usage,
    reconcile,
)

DAY = "2026-11-22"
START = 1_795_305_600  # 2026-11-22T00:00:00Z
AMOUNTS = st.integers(0, 16)


def doubts(*bounds: int) -> tuple[DoubtedAttempt, ...]:
    return tuple(DoubtedAttempt(attempt_id=at, bound_nano=bound) for at, bound in enumerate(bounds))


def costs(*results: Any, start: int = START) -> list[object]:
    return [{"start_time": start, "end_time": start + 86_400, "results": list(results)}]


def cost(value: object, line_item: str | None = "dall-e-3, images") -> dict[str, object]:
    return {"amount": {"value": value, "currency": "usd"}, "line_item": line_item}


@pytest.mark.parametrize(
    ("bounds", "difference", "billed"),
    [
        ((40, 40, 40), 0, 0),
        ((40, 40, 40), 80, 2),
        ((40, 40, 40), 120, 3),
        ((40, 80), 120, 2),
        ((40, 80), 0, 0),
        ((0, 0), 0, 2),
    ],
)
def test_the_bill_decides_doubts_that_explain_the_difference(
    bounds: tuple[int, ...], difference: int, billed: int
) -> None:
    verdicts = explain(doubts(*bounds), difference)
    assert [one.decision for one in verdicts] == ["billed"] * billed + ["not_billed"] * (len(bounds) - billed)


@pytest.mark.parametrize(
    ("bounds", "difference"), [((40, 40), 41), ((40, 40), 120), ((40, 80), 80), ((40,), -40), ((), 5), ((0,), 5)]
)
def test_a_difference_that_doubts_do_not_explain_decides_none(bounds: tuple[int, ...], difference: int) -> None:
    assert explain(doubts(*bounds), difference) == ()


@given(st.lists(AMOUNTS, max_size=4), AMOUNTS, AMOUNTS, AMOUNTS)
def test_verdicts_and_the_unexplained_rest_always_make_up_the_bill(
    bounds: list[int], spent: int, corrected: int, billed: int
) -> None:
    booked = BookedModel(spent_nano=spent, corrected_nano=corrected, doubts=doubts(*bounds))
    (one,) = reconcile({"m": booked}, {"m": BilledModel(usd_nano=billed)})
    found = sum(bounds[verdict.attempt_id] for verdict in one.verdicts if verdict.decision == "billed")
    assert spent + corrected + found + one.unexplained_nano == billed
    assert one.unexplained_nano == 0 or not one.verdicts


def test_nothing_is_decided_while_calls_are_under_way() -> None:
    booked = BookedModel(spent_nano=40, held=1, doubts=doubts(40))
    (one,) = reconcile({"m": booked}, {"m": BilledModel(usd_nano=40)})
    assert one.verdicts == ()


def test_models_that_only_one_side_knows_are_shown() -> None:
    ours, theirs = reconcile({"a": BookedModel(spent_nano=3)}, {"b": BilledModel(usd_nano=4)})
    assert (ours.model, ours.unexplained_nano, theirs.model, theirs.unexplained_nano) == ("a", -3, "b", 4)


def test_costs_are_summed_by_model_exactly() -> None:
    lines = [cost(0.1), cost("0.2"), cost(0.000000001, "gpt-image-2, input_tokens"), cost(0.04, "other")]
    assert read_costs(costs(*lines), DAY) == {"dall-e-3": 300_000_000, "gpt-image-2": 1, "other": 40_000_000}


def test_other_days_are_left_out() -> None:
    assert read_costs(costs(cost(1), start=START - 86_400) + costs(cost(2)), DAY) == {"dall-e-3": 2_000_000_000}


def test_usage_is_summed_by_model() -> None:
    result = {"images": 2, "num_model_requests": 1, "model": "dall-e-3"}
    assert read_usage(costs(result, result), DAY) == {"dall-e-3": (4, 2)}
    merged = billed_models({"a": 5}, {"b": (1, 1)})
    assert merged == {"a": BilledModel(usd_nano=5), "b": BilledModel(images=1, calls=1)}


@pytest.mark.parametrize(
    "buckets",
    [
        [None],
        [{"start_time": START}],
        [{"start_time": "x", "results": []}],
        costs({"amount": {"value": 1, "currency": "eur"}}),
        costs(cost("much")),
        costs(cost("NaN")),
        costs(cost(None)),
    ],
)
def test_a_bill_of_another_shape_is_refused(buckets: list[object]) -> None:
    with pytest.raises(UnreadableBill, match="provider"):
        read_costs(json.loads(json.dumps(buckets)), DAY)


def test_a_day_reconciles_to_the_bill_and_a_second_time_changes_nothing(ledger_url: str) -> None:
    async def story() -> None:
        async with opened(ledger_url, ManualClock()) as ledger:
            settled, billed, other = [await held(ledger) for _ in range(3)]
            await ledger.settle(settled.attempt_id, settlement())
            await ledger.doubt(billed.attempt_id, ending())
            await ledger.doubt(other.attempt_id, ending())
            bill = {"dall-e-3": BilledModel(usd_nano=80_000_000), "unknown": BilledModel(usd_nano=5)}
            ours, unknown = await ledger.reconcile("main", DAY, bill)
            assert [one.decision for one in ours.verdicts] == ["billed", "not_billed"]
            for verdict in ours.verdicts:
                assert await ledger.resolve(verdict.attempt_id, verdict.decision, reason="bill", by="test")
            for _ in range(2):
                await ledger.correct("main", DAY, unknown.unexplained_nano, model="unknown", reason="other", source="1")
            again = await ledger.reconcile("main", DAY, bill)
            assert [(one.unexplained_nano, one.verdicts) for one in again] == [(0, ()), (0, ())]
            total = (await ledger.summary()).total
            assert total.settled_nano + total.corrected_nano == 80_000_005

    asyncio.run(story())
