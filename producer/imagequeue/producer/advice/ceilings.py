"""Advice about ceilings that have been nearly used for a week, and about months that will cost too much. Pure."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from imagequeue.config.money import format_usd
from imagequeue.producer.advice.facts import Facts, NextTier, PoolFacts, SpendFacts
from imagequeue.producer.advice.findings import Finding, Option
from imagequeue.queue.hours import UsedHour

USED_SHARE: Final = 0.8
DAYS_RUNNING: Final = 7
HOURS_A_DAY: Final = 24
ELAPSED_MIN: Final = 1 / 60
"""Half a day of a month; earlier, nothing can be said of the whole."""


def about_ceilings(facts: Facts) -> Iterator[Finding]:
    """Yield the pools whose busiest hour used over 80 % of a ceiling on each of the last seven days."""
    for pool in facts.pools:
        peaks = daily_peaks(pool.hours)
        days = days_running(peaks, facts.today)
        if days >= DAYS_RUNNING:
            yield _full(pool, facts, peaks, days)


def daily_peaks(hours: Sequence[UsedHour]) -> Mapping[int, float]:
    """Return the share that was used in the busiest hour, by UTC day."""
    peaks: dict[int, float] = {}
    for hour in hours:
        day = hour.hour // HOURS_A_DAY
        peaks[day] = max(hour.share, peaks.get(day, 0.0))
    return peaks


def days_running(peaks: Mapping[int, float], today: int) -> int:
    """Return on how many days up to yesterday, without a gap, the busiest hour used over 80 %."""
    days = 0
    while peaks.get(today - 1 - days, 0.0) > USED_SHARE:
        days += 1
    return days


def _full(pool: PoolFacts, facts: Facts, peaks: Mapping[int, float], days: int) -> Finding:
    week = [hour for hour in pool.hours if facts.today - DAYS_RUNNING <= hour.hour // HOURS_A_DAY < facts.today]
    peak = max(peaks[facts.today - 1 - ago] for ago in range(DAYS_RUNNING))
    over = sum(hour.share > USED_SHARE for hour in week)
    return Finding(
        code="ceiling_used",
        severity="warning",
        subject=pool.name,
        text=(
            f"{pool.name} used over {USED_SHARE:.0%} of its ceiling in the busiest hour of each of the last {days} "
            f"days, up to {peak:.0%}; {over} hours of the last {DAYS_RUNNING} days were over {USED_SHARE:.0%}."
        ),
        figures={
            "days": days,
            "peak_share": round(peak, 4),
            "mean_share": round(sum(hour.share for hour in week) / len(week), 4),
            "hours_over": over,
            "images": sum(hour.images for hour in week),
            "images_per_minute": pool.images_per_minute,
            "tokens_per_minute": pool.tokens_per_minute,
        },
        options=tuple(_more_room(pool, facts, peak)),
    )


def _more_room(pool: PoolFacts, facts: Facts, peak: float) -> Iterator[Option]:
    if pool.next_tier is not None:
        yield _promotion(pool, pool.next_tier, peak)
    yield Option(
        code="second_organization",
        text=f"A second organization of the same tier: the busiest hour would use {peak / 2:.0%} of both ceilings.",
        figures={"peak_share": round(peak / 2, 4)},
    )
    if pool.others:
        names = ", ".join(pool.others)
        yield Option(code="overflow", text=f"Jobs with `overflow` move on to {names} when refused.", figures={})
    needed = 1 - USED_SHARE / peak
    now = "unknown" if facts.hit_ratio is None else f"{facts.hit_ratio:.0%}"
    yield Option(
        code="cache",
        text=(
            f"Answer {needed:.0%} more of the images from the cache (now {now}, setting `cache = {facts.cache}`), "
            f"and the busiest hour uses {USED_SHARE:.0%}."
        ),
        figures={"needed_ratio": round(needed, 4), "hit_ratio": facts.hit_ratio},
    )
    if pool.batchable:
        yield Option(
            code="batch",
            text=f"What may take a day, with `delivery: batch`: {needed:.0%} of the busiest hour's images is enough.",
            figures={"needed_ratio": round(needed, 4)},
        )


def _promotion(pool: PoolFacts, tier: NextTier, peak: float) -> Option:
    higher = _times_higher(pool, tier)
    condition = f" (condition: {tier.qualification})" if tier.qualification else ""
    use = "" if higher is None else f"; the busiest hour would use {peak / higher:.0%}"
    ceiling = ", ".join(
        f"{rate:,.10g} {unit} a minute"
        for rate, unit in ((tier.images_per_minute, "images"), (tier.tokens_per_minute, "tokens"))
        if rate is not None
    )
    return Option(
        code="next_tier",
        text=f"Promotion to {tier.label}{condition}: {ceiling or 'no published ceiling'}{use}.",
        figures={
            "tier": tier.label,
            "qualification": tier.qualification,
            "images_per_minute": tier.images_per_minute,
            "tokens_per_minute": tier.tokens_per_minute,
            "peak_share": None if higher is None else round(peak / higher, 4),
            "monthly_limit_usd": _usd(tier.monthly_limit_nano),
        },
    )


def _times_higher(pool: PoolFacts, tier: NextTier) -> float | None:
    pairs = ((tier.images_per_minute, pool.images_per_minute), (tier.tokens_per_minute, pool.tokens_per_minute))
    ratios = [after / before for after, before in pairs if after and before]
    return min(ratios, default=None)


def about_spending(facts: Facts) -> Iterator[Finding]:
    """Yield organizations whose month is on the way to more than 80 % of a limit."""
    for spend in facts.spends:
        if spend.elapsed >= ELAPSED_MIN and _whole_month(spend) > USED_SHARE * spend.limit_nano:
            yield _dear(spend)


def _whole_month(spend: SpendFacts) -> int:
    return round(spend.used_nano / spend.elapsed)


def _dear(spend: SpendFacts) -> Finding:
    month = _whole_month(spend)
    over = month > spend.limit_nano
    return Finding(
        code="month_spent",
        severity="warning" if over else "info",
        subject=spend.org,
        text=(
            f"At this month's rate {spend.org} spends ${_usd(month)}, "
            f"{_ratio(month, spend.limit_nano):.0%} of its {spend.limit} of ${_usd(spend.limit_nano)}."
        ),
        figures={
            "used_usd": _usd(spend.used_nano),
            "month_usd": _usd(month),
            "limit_usd": _usd(spend.limit_nano),
            "share": round(_ratio(month, spend.limit_nano), 4),
        },
        options=(
            Option(code="raise_limit", text=f"Raise the {spend.limit}, or let the jobs beyond it wait."),
            Option(code="batch", text="What may take a day, with `delivery: batch`, costs half."),
        ),
    )


def _ratio(amount: int, of: int) -> float:
    return amount / of if of else 1.0


def _usd(nano: int | None) -> str | None:
    return None if nano is None else format_usd(nano)
