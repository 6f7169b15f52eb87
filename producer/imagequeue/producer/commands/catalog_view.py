"""The catalog as tables for people: every figure with source and date, and where sources disagree."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from typing import Final

from rich.text import Text

from imagequeue.config.catalog import Catalog, CatalogRow, Model
from imagequeue.config.catalog.records import ImagePrices, Record, Sourced, TierLimit, TokenPrices, TokenRates
from imagequeue.config.money import format_usd
from imagequeue.producer.commands.output import Cell, print_line, print_table

STATE_STYLES: Final = {"active": "green", "ending": "yellow", "retired": "red"}
TOKEN_KINDS: Final = tuple(TokenRates.model_fields)


def show_all(known: Catalog, rows: Sequence[CatalogRow], today: date) -> None:
    """Print the overview: models, published ceilings, tiers and disagreements."""
    print_line(f"Catalog {known.version}, on {today.isoformat()}")
    print_line("")
    print_table(
        ("model", "state", "price", "source", "date"),
        [
            (row.model.name, _state(row), _price(prices), *_cited(prices))
            for row in rows
            for prices in [_newest(row.model)]
        ],
        title="Models",
    )
    print_line("")
    _show_limits(known, [row.model for row in rows])
    print_line("")
    _show_tiers(known)
    print_line("")
    _show_disagreements(known)
    print_line("")
    print_line("imagequeue catalog --model NAME shows every figure of a model, with notes and the titles of sources.")


def _show_limits(known: Catalog, models: Iterable[Model]) -> None:
    rows = {
        (model.limit_group, *(_limit(model, tier) for tier in known.tiers), *_cited(model.limits)): None
        for model in models  # a group's models mostly have one table: shown once
    }
    print_table(
        ("limit group", *known.tiers, "source", "date"),
        list(rows),
        right=list(known.tiers),
        title="Published ceilings by tier: images per minute / tokens per minute (0: not served, -: not published)",
    )


def _show_tiers(known: Catalog) -> None:
    print_table(
        ("tier", "label", "qualification", "monthly limit", "source", "date", "note"),
        [
            (
                name,
                tier.label,
                tier.qualification or "not published",
                "-" if tier.monthly_limit_nano_usd is None else _dollars(tier.monthly_limit_nano_usd),
                *_cited(tier),
                tier.note,
            )
            for name, tier in known.tiers.items()
        ],
        right=["monthly limit"],
        title="Tiers",
    )


def _show_disagreements(known: Catalog) -> None:
    print_line("Where sources disagree", style="bold")
    for disagreement in known.disagreements:
        print_line(f"- {disagreement}")


def show_models(known: Catalog, rows: Iterable[CatalogRow]) -> None:
    """Print every figure of each model, the sources it names, and the disagreements that concern it."""
    for row in rows:
        print_line(row.model.name, style="bold")
        print_table(("what", "figure", "source", "date", "note"), list(_figures(row)))
        for source in sorted(_sources(row.model)):
            found = known.sources.get(source)
            if found is not None:
                print_line(f"{source}: {found.title}, {found.as_of} {found.url}".rstrip())
        for disagreement in known.disagreements:
            if row.model.name in disagreement:
                print_line(f"Sources disagree. {disagreement}")
        print_line("")


def _figures(row: CatalogRow) -> Iterable[tuple[Cell, ...]]:
    model, accepts = row.model, row.model.accepts
    yield ("state", _state(row), *_cited(model.lifecycle), model.lifecycle.note)
    yield ("limit group", model.limit_group, "", "", "models of one group share its ceilings")
    for field in ("operations", "sizes", "qualities", "styles", "backgrounds", "output_formats", "responses"):
        values = getattr(accepts, field)
        yield (field, ", ".join(values) or "none", *_cited(accepts), "")
    if accepts.free_size is not None:
        yield ("free sizes", accepts.free_size.describe().removeprefix("or "), *_cited(accepts), "")
    standard = ", ".join(filter(None, (accepts.standard_size, accepts.standard_quality)))
    yield ("standard", standard, *_cited(accepts), accepts.note)
    yield (
        "at most",
        f"n {accepts.n_max}, prompt of {accepts.prompt_characters_max:,} characters",
        *_cited(accepts),
        "",
    )
    yield from _prices(model)
    yield (
        "batch",
        "not offered" if model.batch_percent is None else f"{model.batch_percent}% of the price",
        "",
        "",
        model.batch_note,
    )
    for tier, limit in model.limits.tiers.items():
        yield (
            f"ceiling, tier {tier}",
            _rate_words(limit),
            *_cited(limit, model.limits),
            limit.note or model.limits.note,
        )
    for report in model.limits.reports:
        yield (f"users report, tier {report.tier}", _rate_words(report), *_cited(report), report.note)


def _prices(model: Model) -> Iterable[tuple[Cell, ...]]:
    for prices in model.image_prices:
        for quality, sizes in prices.nano_usd.items():
            figures = ", ".join(f"{size} {_dollars(nano)}" for size, nano in sizes.items())
            yield (f"image, {quality}, from {prices.from_day.isoformat()}", figures, *_cited(prices), prices.note)
    for token_prices in model.token_prices:
        label = f"1M tokens, from {token_prices.from_day.isoformat()}"
        yield (label, _rates(token_prices.rates), *_cited(token_prices), token_prices.note)
    if model.priced_by == "token":
        yield from _tokens(model)


def _tokens(model: Model) -> Iterable[tuple[Cell, ...]]:
    into, out = model.input_tokens, model.output_tokens
    for quality, row in out.table.items():
        figures = ", ".join(f"{size} {count}" for size, count in row.items())
        yield (f"tokens per image, {quality}", figures, *_cited(out), out.note)
    if out.long_grid:
        grid = ", ".join(f"{quality} {cells}" for quality, cells in out.long_grid.items())
        yield ("tokens per image", f"by formula from the size, grid {grid}", *_cited(out), out.note)
    yield ("tokens per input image", f"at most {into.per_image_max}", *_cited(into), into.note)


def _state(row: CatalogRow) -> Text:
    return Text(row.lifecycle.describe(), style=STATE_STYLES[row.lifecycle.state])


def _newest(model: Model) -> ImagePrices | TokenPrices:
    prices: tuple[ImagePrices | TokenPrices, ...] = (*model.image_prices, *model.token_prices)
    return max(prices, key=lambda record: record.from_day)


def _price(prices: ImagePrices | TokenPrices) -> str:
    if isinstance(prices, TokenPrices):
        return f"1M tokens: text {_dollars(prices.rates.text_input)}, image made {_dollars(prices.rates.image_output)}"
    figures = [nano for sizes in prices.nano_usd.values() for nano in sizes.values()]
    return f"image: {_dollars(min(figures))} to {_dollars(max(figures))}"


def _rates(rates: TokenRates) -> str:
    figures = {kind: getattr(rates, kind) for kind in TOKEN_KINDS}
    return ", ".join(f"{kind.replace('_', ' ')} {_dollars(nano)}" for kind, nano in figures.items() if nano is not None)


def _limit(model: Model, tier: str) -> str:
    limit = model.limits.tiers.get(tier)
    if limit is None:
        return "-"
    tokens = "" if limit.tokens_per_minute is None else f" / {_short(limit.tokens_per_minute)}"
    return ("-" if limit.images_per_minute is None else f"{limit.images_per_minute:,.10g}") + tokens


def _short(rate: float) -> str:
    """Return a rate with k or M where that loses no digit."""
    for unit, letter in ((1_000_000, "M"), (1_000, "k")):
        if rate >= unit and rate % unit == 0:
            return f"{rate / unit:,.0f}{letter}"
    return f"{rate:,.10g}"


def _rate_words(limit: TierLimit) -> str:
    if 0 in (limit.images_per_minute, limit.tokens_per_minute):
        return "not served"
    rates = {"images": limit.images_per_minute, "tokens": limit.tokens_per_minute}
    words = [f"{rate:,.10g} {what} a minute" for what, rate in rates.items() if rate is not None]
    return ", ".join(words) or "not limited"


def _cited(record: Sourced, otherwise: Sourced | None = None) -> tuple[str, str]:
    """Return source ids and date of a record, or of the table that it leaves them to."""
    if not record.source and otherwise is not None:
        record = otherwise
    return ", ".join(record.source) or "yours", record.date


def _sources(record: object) -> set[str]:
    """Return the ids of all sources that a record and the records under it name."""
    found = set(record.source) if isinstance(record, Sourced) else set[str]()
    if isinstance(record, Mapping):
        return found.union(*map(_sources, record.values()))
    if isinstance(record, tuple):
        return found.union(*map(_sources, record))
    return found.union(*(_sources(value) for _, value in record)) if isinstance(record, Record) else found


def _dollars(nano: int) -> str:
    """Return dollars without needless zeros: $0.04, $1,000."""
    whole, _, decimals = format_usd(nano).partition(".")
    decimals = decimals.rstrip("0")
    return f"${int(whole):,}" + (f".{decimals.ljust(2, '0')}" if decimals else "")
