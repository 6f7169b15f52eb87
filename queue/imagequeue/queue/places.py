"""Where queued jobs stand: what is served before them, by turns of tenants, shares of priorities, and arrivals."""

import json
import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from imagequeue.config.job import PRIORITIES, queue_name
from imagequeue.queue.claims import ClaimPlan
from imagequeue.queue.forecast import Rival, Stream
from imagequeue.queue.record import JobRecord
from imagequeue.queue.scripts import Argument, Scripts
from imagequeue.queue.text import text
from imagequeue.queue.waits import Place, Scene

LINES_LOOKED_AT_MAX: Final = 1_000
"""Lines of one queue that are looked at to foretell a start; the rest would change little."""
JOBS_LOOKED_AT_MAX: Final = 512
"""Jobs of one queue, and of one line in it, whose size is looked at; the others are taken to be like them."""


@dataclass(frozen=True, kw_only=True)
class Line:
    """One tenant's line in a queue: when its next turn is, in virtual time, how many jobs wait, and how large they are.

    `first` are the images of the jobs that come first; the others are like their mean.
    """

    at: float
    length: int
    first: tuple[int, ...] = (1,)
    mean_tokens: float = 0.0

    @property
    def mean_images(self) -> float:
        """Images of one job."""
        return sum(self.first) / len(self.first)

    @property
    def images(self) -> float:
        """How many images wait."""
        return self.length * self.mean_images


@dataclass(frozen=True, kw_only=True)
class Size:
    """One job that was looked at: its place in its line (0 first) and its images and tokens."""

    rank: int
    images: int
    tokens: int


@dataclass(frozen=True, kw_only=True)
class Standing:
    """How one queue stands: its tenants' lines, jobs that join a second, and sizes of jobs of single lines."""

    lines: Mapping[str, Line] = field(default_factory=dict)
    arriving: float = 0.0
    sizes: Mapping[str, tuple[Size, ...]] = field(default_factory=dict)

    @property
    def images(self) -> float:
        """How many images wait and may start."""
        return sum(line.images for line in self.lines.values())

    @property
    def mean_images(self) -> float:
        """Images of one job; 1 where none waits."""
        return _mean_images([self])

    @property
    def images_arriving(self) -> float:
        """Images that join a second, if those that join are like those that wait."""
        return self.arriving * self.mean_images


SAME: Final = 1e-6
"""Turns are kept in millionths; what is closer is the same."""
EMPTY: Final = Standing()


async def sample_flow(scripts: Scripts, plan: ClaimPlan) -> None:
    """Measure how many jobs join each queue, and how many images each busy pool starts; any worker may ask any time."""
    pools = {pool.name: pool.queues() for pool in plan.pools if pool.queues()}
    if pools:
        await scripts.run("flow", [json.dumps({"queues": plan.queues(), "pools": pools})])


async def read_places(scripts: Scripts, records: Sequence[JobRecord], scene: Scene) -> dict[str, Place]:
    """Return where queued jobs stand; those that are not in a line yet are left out."""
    wanted: dict[str, set[str]] = {}
    for record in records:
        wanted.setdefault(record.queue, set()).add(record.tenant)
        for name in _beside(record.queue, scene):
            wanted.setdefault(name, set())
    standings = {queue: await _standing(scripts, queue, tenants) for queue, tenants in wanted.items()}
    pipe = scripts.redis.pipeline(transaction=False)
    for record in records:
        pipe.zrank(_line(scripts, record.queue, record.tenant), record.id)
    ranks = await pipe.execute() if records else []
    return {
        record.id: place_of(record, int(rank), standings, scene)
        for record, rank in zip(records, ranks, strict=True)
        if rank is not None
    }


def place_of(record: JobRecord, rank: int, standings: Mapping[str, Standing], scene: Scene) -> Place:
    """Return where a job stands that is the `rank`-th (0 first) of its tenant's line. Pure."""
    standing = standings.get(record.queue, EMPTY)
    sizes = [size for size in standing.sizes.get(record.tenant, ()) if size.rank < rank]
    mean = sum(size.images for size in sizes) / len(sizes) if sizes else float(record.n)
    own = rank * mean
    classes = [_class(record.queue, priority, standings, scene) for priority in PRIORITIES]
    mine = PRIORITIES.index(record.priority) if record.priority in PRIORITIES else len(PRIORITIES) - 1
    rivals = _tenants_before(record, own, standing, scene.tenant_weights)
    turns = rank + sum(rival.before / standing.mean_images for rival in rivals) + 1
    rivals += _models_before(turns, {name: each for name, each in classes[mine].items() if name != record.queue})
    line = standing.lines.get(record.tenant)
    return Place(
        rank=rank,
        length=max(line.length if line else 0, rank + 1),
        own=own,
        rivals=tuple(rivals),
        streams=_streams(record.queue, mine, classes, scene),
        mine=mine,
        tokens_per_image=_tokens_per_image(record, standing),
    )


def _streams(queue: str, mine: int, classes: Sequence[Mapping[str, Standing]], scene: Scene) -> tuple[Stream, ...]:
    serving = scene.pools_for(queue.rpartition(".")[0])
    shares = (0.0, scene.share_default, scene.share_low)
    return tuple(
        Stream(
            images=0.0 if index == mine else sum(each.images for each in standings.values()),
            arriving=sum(each.images_arriving for each in standings.values()),
            share=share,
            job_images=_mean_images(standings.values()),
            lacks=tuple(-scene.state(pool).owed.get(priority, share - 1) for pool in serving),
        )
        for index, (priority, share, standings) in enumerate(zip(PRIORITIES, shares, classes, strict=True))
    )


def _mean_images(standings: Collection[Standing]) -> float:
    jobs = sum(line.length for standing in standings for line in standing.lines.values())
    return sum(standing.images for standing in standings) / jobs if jobs else 1.0


def _tenants_before(record: JobRecord, own: float, standing: Standing, weights: Mapping[str, float]) -> list[Rival]:
    """What is served before, of its queue: whose turn comes first in virtual time (start-time fair queueing)."""
    mine = standing.lines.get(record.tenant)
    if mine is None:
        return []
    start = mine.at + own / weights.get(record.tenant, 1.0)
    per_image = standing.images_arriving / standing.images if standing.images else 0.0
    return [
        Rival(
            before=_images_before(line, (start - line.at) * weights.get(tenant, 1.0), first=tenant < record.tenant),
            has=line.images,
            grows=per_image * line.images,
        )
        for tenant, line in standing.lines.items()
        if tenant != record.tenant
    ]


def _images_before(line: Line, ahead: float, *, first: bool) -> float:
    """Images of the jobs whose turn comes within `ahead` images; at the same time the line that is `first` goes."""
    taken = 0.0
    for images in line.first:
        if not _goes(taken, ahead, first=first):
            return taken
        taken += images
    if not _goes(taken, ahead, first=first):
        return taken
    jobs = (ahead - taken) / line.mean_images
    whole = math.floor(jobs + SAME)
    return taken + line.mean_images * (whole + _goes(whole, jobs, first=first))


def _goes(turn: float, ahead: float, *, first: bool) -> bool:
    return turn < ahead - SAME or (first and turn <= ahead + SAME)


def _models_before(turns: float, others: Mapping[str, Standing]) -> list[Rival]:
    """Models that share the pool take turns, job by job."""
    return [
        Rival(before=turns * each.mean_images, has=each.images, grows=each.images_arriving) for each in others.values()
    ]


def _tokens_per_image(record: JobRecord, standing: Standing) -> float:
    tokens = sum(line.length * line.mean_tokens for line in standing.lines.values())
    return tokens / standing.images if standing.images else record.tokens / record.n


def _class(queue: str, priority: str, standings: Mapping[str, Standing], scene: Scene) -> dict[str, Standing]:
    """The queues of one priority that share a pool with a queue."""
    serving = scene.pools_for(queue.rpartition(".")[0])
    names = {queue_name(model, priority) for pool in serving for model in pool.models}
    return {name: standings.get(name, EMPTY) for name in names - scene.suspended_queues.keys()}


def _beside(queue: str, scene: Scene) -> set[str]:
    serving = scene.pools_for(queue.rpartition(".")[0])
    return {queue_name(model, priority) for pool in serving for model in pool.models for priority in PRIORITIES}


async def _standing(scripts: Scripts, queue: str, tenants: set[str]) -> Standing:
    arguments: list[Argument] = [queue, LINES_LOOKED_AT_MAX, JOBS_LOOKED_AT_MAX, *sorted(tenants)]
    arriving, lines, wanted = await scripts.run("standing", arguments)
    return Standing(
        lines={text(row[0]): _read_line(row) for row in lines},
        arriving=float(arriving),
        sizes={text(row[0]): _read_sizes(row[1:]) for row in wanted},
    )


def _read_line(row: Sequence[Any]) -> Line:
    _, at, length, tokens, images = row
    first = tuple(int(each) for each in images) or (1,)
    return Line(at=float(at), length=int(length), first=first, mean_tokens=int(tokens) / len(first))


def _read_sizes(numbers: Sequence[bytes]) -> tuple[Size, ...]:
    found = [int(number) for number in numbers]
    return tuple(
        Size(rank=rank, images=images, tokens=tokens)
        for rank, images, tokens in zip(found[0::3], found[1::3], found[2::3], strict=True)
    )


def _line(scripts: Scripts, queue: str, tenant: str) -> str:
    return f"{scripts.keys.own}:line:{queue}:{tenant}"
