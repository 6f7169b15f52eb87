"""Reads the provider's reports of costs and usage into one bill of a UTC day. Pure.

`GET /organization/costs` has whole days by project and line item (`dall-e-3, images`), in decimal dollars.
`GET /organization/usage/images` has images and calls by project and model, in buckets of a minute.
"""

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from decimal import ROUND_HALF_EVEN, Decimal, InvalidOperation
from typing import Final

from imagequeue.config.errors import ImageQueueError
from imagequeue.config.money import NANO_PER_USD

BUCKETS_MAX: Final = 3_000
RESULTS_MAX: Final = 200_000
MINUTE_SECONDS: Final = 60
SNAPSHOT: Final = re.compile(r"-[0-9]{4}-[0-9]{2}-[0-9]{2}$")
"""How a snapshot's name ends, by the day that it was made."""


class UnreadableBill(ImageQueueError):
    """The provider's report is not of the shape that its description promises; the text says where."""


@dataclass(frozen=True, kw_only=True, slots=True)
class BilledModel:
    """What the provider says of one model on one day; images and calls are None where its report has none.

    `calls_by_minute`: Unix minute (seconds // 60) -> calls that it counted then.
    """

    usd_nano: int = 0
    images: int | None = None
    calls: int | None = None
    calls_by_minute: Mapping[int, int] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, slots=True)
class Bill:
    """A day of the provider's bill. `proven`: its admin key has shown money before, so it is the right one."""

    models: Mapping[str, BilledModel]
    proven: bool = True

    def named_as(self, known: Collection[str]) -> "Bill":
        """Return the bill with snapshots (`gpt-image-2-2026-04-21`) under the models that our books know them as."""
        models: dict[str, BilledModel] = {}
        for name, billed in self.models.items():
            model = SNAPSHOT.sub("", name)
            ours = name if name in known or model not in known else model
            models[ours] = _together(models[ours], billed) if ours in models else billed
        return replace(self, models=models)


def _together(one: BilledModel, other: BilledModel) -> BilledModel:
    minutes = Counter(one.calls_by_minute)
    minutes.update(other.calls_by_minute)
    return BilledModel(
        usd_nano=one.usd_nano + other.usd_nano,
        images=_sum(one.images, other.images),
        calls=_sum(one.calls, other.calls),
        calls_by_minute=dict(minutes),
    )


def _sum(one: int | None, other: int | None) -> int | None:
    return other if one is None else one + (other or 0)


@dataclass(frozen=True, kw_only=True, slots=True)
class Projects:
    """Which projects of the provider's organization are asked about: `only` this one, or all but `others`."""

    only: str | None = None
    others: frozenset[str] = frozenset()

    def include(self, project: object) -> bool:
        """Whether a result of this project counts; one that names no project always does."""
        if not isinstance(project, str):
            return True
        return project == self.only if self.only is not None else project not in self.others


ALL_PROJECTS: Final = Projects()


@dataclass(slots=True)
class _Usage:
    images: int = 0
    calls: int = 0
    by_minute: dict[int, int] = field(default_factory=lambda: defaultdict(int))


def read_bill(costs: Iterable[object], usage: Iterable[object], day: str, projects: Projects = ALL_PROJECTS) -> Bill:
    """Return the bill of a day; days before it in `costs` only show whether the key is the right one."""
    every_cost = list(costs)
    money = read_costs(every_cost, day, projects)
    counted = _read_usage(usage, day, projects)
    models = {
        model: BilledModel(
            usd_nano=money.get(model, 0),
            images=counted[model].images if model in counted else None,
            calls=counted[model].calls if model in counted else None,
            calls_by_minute=dict(counted[model].by_minute) if model in counted else {},
        )
        for model in {*money, *counted}
    }
    proven = bool(counted) or any(_dollars_of(result) for _, result in _results(every_cost, lambda _: True, projects))
    return Bill(models=models, proven=proven)


def read_costs(buckets: Iterable[object], day: str, projects: Projects = ALL_PROJECTS) -> dict[str, int]:
    """Return nano-dollars by model of a day's costs; finer than a nano-dollar they are rounded, half to even."""
    found: dict[str, Decimal] = defaultdict(Decimal)
    for _, result in _results(buckets, _is(day), projects):
        found[_model_of(result.get("line_item"))] += _dollars_of(result)
    return {model: _nano(dollars) for model, dollars in found.items()}


def read_usage(buckets: Iterable[object], day: str, projects: Projects = ALL_PROJECTS) -> dict[str, tuple[int, int]]:
    """Return images and calls by model of a day's usage."""
    return {model: (one.images, one.calls) for model, one in _read_usage(buckets, day, projects).items()}


def _read_usage(buckets: Iterable[object], day: str, projects: Projects) -> dict[str, _Usage]:
    found: dict[str, _Usage] = defaultdict(_Usage)
    for start, result in _results(buckets, _is(day), projects):
        images, calls = result.get("images"), result.get("num_model_requests")
        if not isinstance(images, int) or not isinstance(calls, int):
            raise UnreadableBill("provider's usage: images and num_model_requests are missing")
        one = found[str(result.get("model"))]
        one.images, one.calls = one.images + images, one.calls + calls
        one.by_minute[start // MINUTE_SECONDS] += calls
    return found


def _is(day: str) -> Callable[[str], bool]:
    return lambda found: found == day


def _results(
    buckets: Iterable[object], wanted: Callable[[str], bool], projects: Projects
) -> Iterator[tuple[int, Mapping[str, object]]]:
    """Yield the results of the wanted days and projects, with the Unix second at which their bucket starts."""
    seen = 0
    for at, bucket in enumerate(buckets):
        results = bucket.get("results") if isinstance(bucket, Mapping) else None
        if not isinstance(bucket, Mapping) or not isinstance(results, list):
            raise UnreadableBill("provider's report: a bucket with results is missing")
        seen += len(results)
        if at >= BUCKETS_MAX or seen > RESULTS_MAX:
            raise UnreadableBill(f"provider's report: more than {BUCKETS_MAX} buckets or {RESULTS_MAX} results")
        start = bucket.get("start_time")
        if not isinstance(start, int):
            raise UnreadableBill("provider's report: start_time in Unix seconds is missing")
        if wanted(datetime.fromtimestamp(start, UTC).date().isoformat()):
            for result in results:
                if isinstance(result, Mapping) and projects.include(result.get("project_id")):
                    yield start, result


def _model_of(line_item: object) -> str:
    """Return the model of `gpt-image-2, output_tokens`; a line without one stands for itself."""
    return str(line_item or "no line item").rpartition(", ")[0] or str(line_item or "no line item")


def _dollars_of(result: Mapping[str, object]) -> Decimal:
    amount = result.get("amount")
    if not isinstance(amount, Mapping) or amount.get("currency") != "usd":
        raise UnreadableBill("provider's costs: amount in usd is missing")
    value = amount.get("value")
    try:
        dollars = Decimal(str(value))
    except InvalidOperation as error:
        raise UnreadableBill(f"provider's costs: {value!r} is no amount") from error
    if not dollars.is_finite():
        raise UnreadableBill(f"provider's costs: {value!r} is no amount")
    return dollars


def _nano(dollars: Decimal) -> int:
    return int((dollars * NANO_PER_USD).to_integral_value(rounding=ROUND_HALF_EVEN))
