"""What every part of one worker stands on: the settings, the catalog, what is open, and what is known of the pools."""

from dataclasses import dataclass

from imagequeue.config.catalog import Catalog
from imagequeue.config.clock import Clock, SystemClock
from imagequeue.config.settings import Settings
from imagequeue.config.tracing import spans
from imagequeue.queue.scripts import Scripts
from imagequeue.worker.board import Board
from imagequeue.worker.health import Health
from imagequeue.worker.meter import Meter
from imagequeue.worker.opened import Opened
from imagequeue.worker.plan import PaceSettings
from imagequeue.worker.watching import Watch


@dataclass(frozen=True, kw_only=True)
class Ground:
    """One worker's. Its parts share these objects: what one of them notes in `health`, the others see."""

    settings: Settings
    catalog: Catalog
    opened: Opened
    scripts: Scripts
    board: Board
    watch: Watch
    meter: Meter
    health: Health
    clock: Clock


def ground_of(settings: Settings, catalog: Catalog, opened: Opened, *, only: tuple[str, ...] = ()) -> Ground:
    """Return a worker's ground. `only`: the queues that it serves; empty: all."""
    scripts, meter = Scripts(opened.redis, settings.keys), Meter()
    return Ground(
        settings=settings,
        catalog=catalog,
        opened=opened,
        scripts=scripts,
        board=Board(catalog=catalog, orgs=settings.orgs, pace=pace_of(settings), preferred=settings.models, only=only),
        watch=Watch(meter, spans(), scripts),
        meter=meter,
        health=Health(),
        clock=SystemClock(),
    )


def pace_of(settings: Settings) -> PaceSettings:
    """Return what the settings say of how fast and in which order jobs start."""
    return PaceSettings(
        fraction=settings.pace_fraction,
        burst_seconds=settings.burst_seconds,
        share_default=settings.share_default,
        share_low=settings.share_low,
        tenant_weights=settings.tenant_weights,
    )
