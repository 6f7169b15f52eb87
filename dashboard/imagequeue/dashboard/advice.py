"""What would help in the longer run: ceilings near their end, models that end, many regenerations. Pure."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Final

from imagequeue.config.catalog import Catalog, lifecycle
from imagequeue.config.settings import Settings
from imagequeue.dashboard.shown import share
from imagequeue.dashboard.values import Json, at, number_at, rows_at, text_at, texts_at

USED_SHARE: Final = 0.8
REGENERATIONS: Final = 2.0
ADVICE_MAX: Final = 20


@dataclass(frozen=True, kw_only=True)
class Advised:
    """What others say: the catalog about models, and the door's own advice when it has any."""

    endings: Sequence[str] = ()
    from_door: Sequence[str] = ()


def advice(status: Json, month: Json, advised: Advised) -> list[str]:
    """Return sentences, at most ADVICE_MAX. Where the door advises from recorded hours, that stands for ceilings."""
    now = [] if advised.from_door else [*_about_ceilings(status)]
    return [*dict.fromkeys([*advised.from_door, *now, *advised.endings, *_about_regenerations(month)])][:ADVICE_MAX]


def endings(catalog: Catalog, settings: Settings, today: date) -> list[str]:
    """Return which of the models that are preferred end, have ended, or are announced to."""
    known = [catalog.models[name] for name in settings.models if name in catalog.models]
    states = [(model.name, lifecycle(model, today)) for model in known]
    return [f"{name} {state.describe()}." for name, state in states if state.state != "active"]


def said_by(body: Json) -> list[str]:
    """Return the sentences of the door's advice: texts, or objects with one."""
    listed = rows_at(body, "advice")
    return [text for row in listed if (text := text_at(row, "text") or text_at(row, "message"))] or texts_at(
        at(body), "advice"
    )


def _about_ceilings(status: Json) -> Iterable[str]:
    for pool in rows_at(status, "pools"):
        used = number_at(pool, "used_share")
        if used is not None and used > USED_SHARE:
            yield (
                f"{text_at(pool, 'name')} uses {share(used)} of its ceiling now. If it stays so: the next usage tier, "
                "another organization, a cheaper model for overflow, the cache, or batches."
            )


def _about_regenerations(month: Json) -> Iterable[str]:
    again = number_at(month, "regenerations_per_intent")
    if again is not None and again > REGENERATIONS:
        yield (
            f"This month every intended image was made again {again:.1f} times. The prompt check (imagequeue enqueue "
            "--check) finds prompts that are likely to need it."
        )
