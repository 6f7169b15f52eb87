"""A day of the books beside the provider's bill: what the bill decides, and what nothing explains."""

import asyncio
import json
from collections import Counter
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from ledger_values import NOON, ManualClock, ending, held, opened, settlement

from imagequeue.config.orgs import Org
from imagequeue.ledger.bill import Bill, BilledModel, Projects, UnreadableBill, read_bill, read_costs, read_usage
from imagequeue.ledger.explain import AnsweredCall, DoubtedAttempt, explain, left_over
from imagequeue.ledger.ledger import Ledger
from imagequeue.ledger.provider_state import OrgAgreement, ProviderState
from imagequeue.ledger.reconcile import BookedModel, DayReconciliation, reconcile
from imagequeue.ledger.reconciliations import DayState
from imagequeue.ledger.reconciling import DayReport, is_complete, reconcile_day
from imagequeue.ledger.schedule import CHECKS_AFTER, due_days, next_check, retry_after
from imagequeue.producer.checkup.provider import judge_provider

DAY = "2026-11-22"
START = 1_795_305_600  # 2026-11-22T00:00:00Z
MINUTE = START // 60
AMOUNTS = st.integers(0, 16)
ORG = Org(name="main", base_url="http://127.0.0.1:1/v1")
PRICE = 40_000_000


def doubts(*bounds: int, minute: int = 0) -> tuple[DoubtedAttempt, ...]:
    return tuple(
        DoubtedAttempt(attempt_id=at, bound_nano=bound, first_minute=minute, last_minute=minute)
        for at, bound in enumerate(bounds)
    )


def compared(booked: BookedModel, billed: BilledModel, *, complete: bool = True) -> DayReconciliation:
    return reconcile({"m": booked}, Bill(models={"m": billed}), complete=complete)


def costs(*results: Any, start: int = START) -> list[object]:
    return [{"start_time": start, "end_time": start + 86_400, "results": list(results)}]


def cost(value: object, line_item: str | None = "dall-e-3, images", **more: object) -> dict[str, object]:
    return {"amount": {"value": value, "currency": "usd"}, "line_item": line_item, **more}


@pytest.mark.parametrize(
    ("bounds", "difference", "billed"),
    [
        ((40, 40, 40), 0, []),
        ((40, 40, 40), 80, [0, 1]),
        ((40, 40, 40), 120, [0, 1, 2]),
        ((40, 80), 120, [0, 1]),
        ((40, 80), 80, [1]),
        ((40, 80, 40), 80, [1]),
        ((40, 80, 50), 90, [0, 2]),
        ((40, 80), 0, []),
        ((0, 0), 0, []),
    ],
)
def test_amounts_decide_doubts_that_make_up_the_difference(
    bounds: tuple[int, ...], difference: int, billed: list[int]
) -> None:
    verdicts = explain(doubts(*bounds), difference)
    assert verdicts is not None
    assert [one.attempt_id for one in verdicts if one.decision == "billed"] == billed
    assert len(verdicts) == len(bounds)


@pytest.mark.parametrize(
    ("bounds", "difference"), [((40, 40), 41), ((40, 40), 120), ((40, 80), 60), ((40,), -40), ((), 5), ((0,), 5)]
)
def test_a_difference_that_doubts_do_not_make_up_decides_none(bounds: tuple[int, ...], difference: int) -> None:
    assert explain(doubts(*bounds), difference) is None


def test_the_number_of_counted_calls_chooses_among_the_ways_of_making_up_a_sum() -> None:
    of_two = explain(doubts(40, 80, 40), 80, {0: 2})
    of_one = explain(doubts(40, 80, 40), 80, {0: 1})
    assert of_two is not None
    assert of_one is not None
    assert [one.usd_nano for one in of_two] == [40, 0, 40]
    assert [one.usd_nano for one in of_one] == [0, 80, 0]


def test_of_equal_doubts_those_are_billed_whose_minute_has_a_call_left_over() -> None:
    early = DoubtedAttempt(attempt_id=1, bound_nano=40, first_minute=5, last_minute=7)
    late = DoubtedAttempt(attempt_id=2, bound_nano=40, first_minute=20, last_minute=22)
    left = left_over({3: 1, 21: 1}, [AnsweredCall(first_minute=2, last_minute=3)])
    assert left == {21: 1}
    verdicts = explain([early, late], 40, left)
    assert verdicts is not None
    assert [(one.attempt_id, one.decision) for one in verdicts] == [(1, "not_billed"), (2, "billed")]


def test_a_price_by_tokens_is_shared_out_among_the_counted_calls() -> None:
    verdicts = explain(doubts(300, 100, 100), 203, {0: 2})
    assert verdicts is not None
    assert [(one.decision, one.usd_nano) for one in verdicts] == [("billed", 152), ("billed", 51), ("not_billed", 0)]


@given(st.lists(AMOUNTS, max_size=5), AMOUNTS, st.none() | st.integers(0, 6))
def test_what_is_explained_always_adds_up(bounds: list[int], difference: int, calls: int | None) -> None:
    verdicts = explain(doubts(*bounds), difference, None if calls is None else {0: calls})
    if verdicts is not None:
        assert len(verdicts) == len(bounds)
        assert sum(one.usd_nano for one in verdicts) == difference
        assert all(one.usd_nano <= bounds[one.attempt_id] for one in verdicts)
        assert calls is None or calls == sum(one.decision == "billed" for one in verdicts) or 0 in bounds


@given(st.lists(AMOUNTS, max_size=4), AMOUNTS, AMOUNTS, AMOUNTS)
def test_verdicts_and_the_unexplained_rest_always_make_up_the_bill(
    bounds: list[int], spent: int, corrected: int, billed: int
) -> None:
    booked = BookedModel(spent_nano=spent, corrected_nano=corrected, doubts=doubts(*bounds))
    (one,) = compared(booked, BilledModel(usd_nano=billed)).models
    found = sum(verdict.usd_nano for verdict in one.verdicts)
    assert spent + corrected + found + one.unexplained_nano == billed


def test_nothing_is_decided_while_calls_are_under_way() -> None:
    booked = BookedModel(spent_nano=40, held=1, doubts=doubts(40))
    assert compared(booked, BilledModel(usd_nano=40)).models[0].verdicts == ()


def test_another_app_on_the_same_key_is_unexplained_and_leaves_doubts_that_it_could_be() -> None:
    quiet = DoubtedAttempt(attempt_id=1, bound_nano=40, first_minute=50, last_minute=60)
    busy = DoubtedAttempt(attempt_id=2, bound_nano=40, first_minute=9, last_minute=10)
    booked = BookedModel(spent_nano=40, doubts=(quiet, busy), answered=(AnsweredCall(first_minute=3, last_minute=3),))
    billed = BilledModel(usd_nano=240, calls=6, calls_by_minute={3: 1, 10: 5})
    (one,) = compared(booked, billed).models
    assert [(verdict.attempt_id, verdict.decision) for verdict in one.verdicts] == [(1, "not_billed")]
    assert (one.unexplained_nano, one.open) == (200, 1)


def test_a_bill_that_may_still_grow_decides_nothing_by_what_is_not_on_it() -> None:
    booked = BookedModel(spent_nano=40, doubts=doubts(40, 40))
    (one,) = compared(booked, BilledModel(usd_nano=80), complete=False).models
    assert [verdict.decision for verdict in one.verdicts] == ["billed"]


def test_figures_that_are_behind_decide_nothing() -> None:
    booked = BookedModel(spent_nano=80, doubts=doubts(40))
    (one,) = compared(booked, BilledModel(usd_nano=40, calls=1, calls_by_minute={0: 1})).models
    assert (one.verdicts, one.unexplained_nano) == ((), -40)


def test_a_call_over_midnight_stands_on_either_bill() -> None:
    ours = BookedModel(spent_nano=80, early_nano=(40,), late_nano=(30, 30))
    for billed, carried in ((40, -40), (80, 0), (110, 30), (140, 60), (70, -10)):
        (one,) = compared(ours, BilledModel(usd_nano=billed)).models
        assert (one.carried_nano, one.unexplained_nano) == (carried, 0)


def test_a_doubt_over_midnight_is_not_decided_by_the_first_days_silence() -> None:
    doubt = DoubtedAttempt(attempt_id=1, bound_nano=40, first_minute=1, last_minute=2, open_ended=True)
    (one,) = compared(BookedModel(spent_nano=40, doubts=(doubt,)), BilledModel(usd_nano=40)).models
    assert one.verdicts == ()


def test_an_admin_key_of_another_organization_warns_and_decides_nothing() -> None:
    booked = {"m": BookedModel(spent_nano=40, doubts=doubts(40))}
    found = reconcile(booked, Bill(models={}))
    assert found.warning is not None
    assert "another organization" in found.warning
    assert found.models[0].verdicts == ()


def test_a_key_that_never_showed_costs_decides_no_doubt_by_silence() -> None:
    booked = {"m": BookedModel(doubts=doubts(40))}
    assert reconcile(booked, Bill(models={}, proven=False)).warning is not None
    assert [one.decision for one in reconcile(booked, Bill(models={}, proven=True)).models[0].verdicts] == [
        "not_billed"
    ]


def test_models_that_only_one_side_knows_are_shown() -> None:
    found = reconcile({"a": BookedModel(spent_nano=3)}, Bill(models={"b": BilledModel(usd_nano=4)}))
    ours, theirs = found.models
    assert (ours.model, ours.unexplained_nano, theirs.model, theirs.unexplained_nano) == ("a", -3, "b", 4)


def test_a_snapshot_on_the_bill_is_the_model_that_was_asked_for() -> None:
    """A provider may name what it billed with the day of the snapshot; a doubt is not "not billed" for that."""
    seen = Bill(models={"m-2026-04-21": BilledModel(usd_nano=40, images=1, calls=1, calls_by_minute={0: 1})})
    (one,) = reconcile({"m": BookedModel(doubts=doubts(40))}, seen).models
    assert (one.model, one.unexplained_nano) == ("m", 0)
    assert [(verdict.decision, verdict.usd_nano) for verdict in one.verdicts] == [("billed", 40)]
    both = Bill(models={**seen.models, "m": BilledModel(usd_nano=2, images=1, calls=2, calls_by_minute={0: 1, 7: 1})})
    (one,) = reconcile({"m": BookedModel(spent_nano=42)}, both).models
    assert one.billed == BilledModel(usd_nano=42, images=2, calls=3, calls_by_minute={0: 2, 7: 1})
    (one,) = reconcile({"m-2026-04-21": BookedModel(spent_nano=40)}, seen).models
    assert (one.model, one.unexplained_nano) == ("m-2026-04-21", 0)


def test_costs_are_summed_by_model_exactly() -> None:
    lines = [cost(0.1), cost("0.2"), cost(0.000000001, "gpt-image-2, input_tokens"), cost(0.04, "other")]
    assert read_costs(costs(*lines), DAY) == {"dall-e-3": 300_000_000, "gpt-image-2": 1, "other": 40_000_000}


def test_other_days_are_left_out_and_prove_the_key() -> None:
    found = read_bill(costs(cost(1), start=START - 86_400), [], DAY)
    assert found == Bill(models={}, proven=True)
    assert read_bill([], [], DAY) == Bill(models={}, proven=False)


def test_other_projects_are_left_out() -> None:
    lines = costs(cost(1, project_id="ours"), cost(2, project_id="theirs"), cost(4))
    assert read_costs(lines, DAY, Projects(only="ours")) == {"dall-e-3": 5_000_000_000}
    assert read_costs(lines, DAY, Projects(others=frozenset({"ours"}))) == {"dall-e-3": 6_000_000_000}


def test_usage_is_summed_by_model_and_minute() -> None:
    result = {"images": 2, "num_model_requests": 1, "model": "dall-e-3"}
    buckets = costs(result, result) + costs(result, start=START + 60)
    assert read_usage(buckets, DAY) == {"dall-e-3": (6, 3)}
    model = read_bill([], buckets, DAY).models["dall-e-3"]
    assert model.calls_by_minute == {MINUTE: 2, MINUTE + 1: 1}


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


async def booked(
    ledger: Ledger, bill: Bill, *, complete: bool = True, correct: str | None = None, org: Org = ORG
) -> DayReport:
    """Reconcile the day with a bill."""

    async def fetch(_org: Org, _day: str) -> Bill:
        return bill

    return await reconcile_day(ledger, org, DAY, fetch, complete=complete, correct=correct)


async def spent(ledger: Ledger) -> int:
    total = (await ledger.summary()).total
    return total.settled_nano + total.corrected_nano


def test_a_day_reconciles_to_the_bill_and_a_second_time_changes_nothing(ledger_url: str) -> None:
    async def story() -> None:
        async with opened(ledger_url, ManualClock()) as ledger:
            settled, billed, other = [await held(ledger) for _ in range(3)]
            await ledger.settle(settled.attempt_id, settlement())
            await ledger.doubt(billed.attempt_id, ending())
            await ledger.doubt(other.attempt_id, ending())
            bill = Bill(models={"dall-e-3": BilledModel(usd_nano=2 * PRICE), "unknown": BilledModel(usd_nano=5)})
            first = await booked(ledger, bill)
            assert (first.in_doubt, first.unexplained_nano, len(first.booked)) == (0, 5, 2)
            corrected = await booked(ledger, bill, correct="another app")
            assert (corrected.unexplained_nano, len(corrected.booked)) == (0, 1)
            again = await booked(ledger, bill, correct="another app")
            assert (again.booked, again.unexplained_nano, again.in_doubt) == ((), 0, 0)
            assert await spent(ledger) == 2 * PRICE + 5

    asyncio.run(story())


def test_usage_that_appears_later_is_booked_as_a_correction_that_names_the_attempts(ledger_url: str) -> None:
    async def story() -> None:
        async with opened(ledger_url, ManualClock()) as ledger:
            settled, doubted = await held(ledger), await held(ledger)
            await ledger.settle(settled.attempt_id, settlement())
            await ledger.doubt(doubted.attempt_id, ending())
            early = await booked(ledger, Bill(models={"dall-e-3": BilledModel(usd_nano=PRICE)}), complete=False)
            assert (early.booked, early.in_doubt) == ((), 1)
            silent = await booked(ledger, Bill(models={"dall-e-3": BilledModel(usd_nano=PRICE)}))
            assert [booking["decision"] for booking in silent.booked] == ["not_billed"]
            bill = Bill(models={"dall-e-3": BilledModel(usd_nano=2 * PRICE)})
            late = await booked(ledger, bill)
            assert str(doubted.attempt_id) in str(late.booked[0]["reason"])
            assert late.unexplained_nano == 0
            assert (await booked(ledger, bill)).booked == ()
            assert await spent(ledger) == 2 * PRICE

    asyncio.run(story())


def test_calls_count_on_the_day_of_their_answer(ledger_url: str) -> None:
    async def story() -> None:
        clock = ManualClock(datetime(2026, 11, 21, 23, 59, 50, tzinfo=UTC))
        async with opened(ledger_url, clock) as ledger:
            hold = await held(ledger)
            clock.forward(seconds=20)
            sent = datetime(2026, 11, 21, 23, 59, 51, tzinfo=UTC)
            await ledger.settle(hold.attempt_id, settlement(sent_at=sent, ended_at=clock.now()))
            found = await booked(ledger, Bill(models={"dall-e-3": BilledModel(usd_nano=PRICE)}))
            assert (found.unexplained_nano, found.found.models[0].carried_nano) == (0, 0)
            over = await booked(ledger, Bill(models={"other": BilledModel(usd_nano=1)}))
            assert (over.unexplained_nano, over.found.models[0].carried_nano) == (1, -PRICE)

    asyncio.run(story())


def test_each_day_is_looked_at_three_times_and_then_left() -> None:
    end = datetime(2026, 11, 23, tzinfo=UTC)
    checks: dict[str, datetime | None] = {}
    for after in CHECKS_AFTER:
        assert due_days([DAY], checks, end + after - timedelta(seconds=1)) == []
        assert due_days([DAY], checks, end + after) == [DAY]
        checks[DAY] = next_check(DAY, end + after)
    assert due_days([DAY], checks, end + timedelta(days=20)) == []
    assert (is_complete(DAY, end), is_complete(DAY, end + CHECKS_AFTER[1])) == (False, True)


def test_days_that_were_missed_are_made_up_for_oldest_first_and_not_for_ever() -> None:
    days = [date(2026, 9, 1).isoformat(), "2026-11-20", "2026-11-21", "2026-11-30"]
    assert due_days(days, {}, datetime(2026, 11, 30, 12, tzinfo=UTC)) == ["2026-11-20", "2026-11-21"]


def test_failures_are_tried_again_later_each_time() -> None:
    waits = [retry_after(tries).total_seconds() for tries in range(1, 40)]
    assert waits == sorted(waits)
    assert (waits[0], waits[-1]) == (300.0, 21_600.0)


ATTEMPTS = st.lists(
    st.tuples(
        st.sampled_from([PRICE, 2 * PRICE, 3 * PRICE]),
        st.sampled_from(["settled", "voided", "billed", "not billed"]),
        st.integers(0, 600),
    ),
    min_size=1,
    max_size=8,
)


@settings(max_examples=6, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(attempts=ATTEMPTS)
def test_any_day_reconciles_to_the_bill_with_nothing_left_in_doubt(
    ledger_url: str, attempts: list[tuple[int, str, int]]
) -> None:
    org = f"o{uuid4().hex}"  # a ledger may hold other organizations' books

    async def story() -> None:
        async with opened(ledger_url, ManualClock(NOON)) as ledger:
            by_minute: Counter[int] = Counter()
            billed_nano = 0
            for price, end, minute in attempts:
                sent = NOON + timedelta(minutes=minute)
                hold = await held(ledger, org=org, upper_bound_nano=price)
                if end == "settled":
                    await ledger.settle(hold.attempt_id, settlement(price, sent_at=sent, ended_at=sent))
                elif end == "voided":
                    await ledger.void(hold.attempt_id, ending(sent_at=sent, ended_at=sent))
                else:
                    await ledger.doubt(hold.attempt_id, ending(sent_at=sent, ended_at=sent))
                if end in ("settled", "billed"):
                    by_minute[int(sent.timestamp()) // 60] += 1
                    billed_nano += price
            calls = sum(by_minute.values())
            model = BilledModel(usd_nano=billed_nano, images=calls, calls=calls, calls_by_minute=by_minute)
            bill = Bill(models={"dall-e-3": model} if calls else {})
            for again in (False, True):
                report = await booked(ledger, bill, org=ORG.model_copy(update={"name": org}))
                assert (report.warning, report.in_doubt, report.unexplained_nano) == (None, 0, 0)
                assert not (again and report.booked)
            groups = (await ledger.summary(["org"])).groups
            (ours,) = [group.figures for group in groups if group.key["org"] == org]
            assert (ours.settled_nano, ours.in_doubt) == (billed_nano, 0)

    asyncio.run(story())


def test_doctor_says_what_is_open_between_ledger_and_bill() -> None:
    now = datetime(2026, 11, 25, tzinfo=UTC)
    day = DayState(
        org="main",
        day=DAY,
        checked_at=now,
        next_at=None,
        failures=0,
        billed_nano=1,
        unexplained_nano=5,
        in_doubt=2,
        note="",
    )
    agreed = OrgAgreement(org="main", last=replace(day, unexplained_nano=0, in_doubt=0), open_days=(), due=())
    clean = ProviderState(orgs=(agreed,), in_doubt=0, in_doubt_nano=0, doubt_oldest=None, batches=())
    assert [finding.status for finding in judge_provider(clean, now)] == ["ok"]
    late = replace(agreed, open_days=(day,), due=("2026-11-20", "2026-11-21"))
    old = replace(clean, orgs=(late,), in_doubt=2, in_doubt_nano=80_000_000, doubt_oldest=now - timedelta(days=4))
    said = [finding.says for finding in judge_provider(old, now)]
    assert [finding.status for finding in judge_provider(old, now)] == ["warn"] * 3
    assert "2 attempts stay in doubt" in said[0]
    assert "2 days wait" in said[1]
    assert "$0.080000000" in said[2]
