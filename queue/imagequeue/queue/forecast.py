"""How long the images before a job take: the claim script's rule for priorities and tenants, as a flow. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import inf
from typing import Final

from imagequeue.queue.pools import FACTOR_RECOVERY_PER_SECOND

PHASES_MAX: Final = 32
"""More often than this the order of service does not change: each priority empties once, and pays its debt once."""
ROUNDS_MAX: Final = 6
"""How often the images that others add meanwhile are counted anew."""
NOTHING: Final = 1e-9


@dataclass(frozen=True, kw_only=True)
class Stream:
    """One priority: images that wait, images that join a second, its guaranteed share, and what it lacks of a turn.

    `lacks`: for each pool, images of its share that have to come together there before the first of them starts;
    a turn takes `job_images`.
    """

    images: float = 0.0
    arriving: float = 0.0
    share: float = 0.0
    lacks: tuple[float, ...] = ()
    job_images: float = 1.0

    def lacking(self, before: float) -> float:
        """Return what is lacked by the image that has `before` others of this priority before it, beyond those."""
        if self.share <= 0 or not self.lacks:
            return 0.0
        pools = len(self.lacks)
        if pools == 1:
            return self.lacks[0]
        rounds, pool = divmod(int(before / self.job_images + NOTHING), pools)
        return max(pools * (rounds * self.job_images + sorted(self.lacks)[pool]) - before, 0.0)


@dataclass(frozen=True, kw_only=True)
class Rival:
    """Another line of the same priority: images with a turn before the job's, those it has, and its growth a second."""

    before: float
    has: float
    grows: float = 0.0

    def images(self, seconds: float) -> float:
        """Return how many images of it are served before the job, if that takes so long."""
        return min(self.before, self.has + self.grows * seconds)


def seconds_until(own: float, rivals: Sequence[Rival], streams: Sequence[Stream], mine: int, rate: float) -> float:
    """Return the seconds until a job starts at `rate` images a second, inf for never.

    `own` images of its own line are before it. `streams` are the priorities from the highest down, `mine` is its own:
    of that one `share` and `lacks` count, the images are those of its line and its rivals.
    """
    seconds = 0.0
    for _ in range(ROUNDS_MAX):
        before = own + sum(rival.images(seconds) for rival in rivals)
        again = _flow_seconds(before, streams, mine, rate)
        if again == inf or abs(again - seconds) <= 0.01 * again:
            return again
        seconds = again
    return seconds


def slowed_seconds(seconds: float, factor: float, *, recovers: bool) -> float:
    """Return how long work of `seconds` at full pace takes at a lowered one, which comes back if it `recovers`."""
    if not 0 < factor < 1 or not recovers:
        return seconds / factor if factor > 0 else inf
    back = (1 - factor) / FACTOR_RECOVERY_PER_SECOND
    done = back * (1 + factor) / 2
    if seconds >= done:
        return seconds - done + back
    root = factor * factor + 2 * FACTOR_RECOVERY_PER_SECOND * seconds
    return float((root**0.5 - factor) / FACTOR_RECOVERY_PER_SECOND)


def _flow_seconds(before: float, streams: Sequence[Stream], mine: int, rate: float) -> float:
    """Go from one change of the order to the next until the job's turn: nothing before it, and its share has come."""
    left = [stream.images for stream in streams]
    left[mine] = before
    lacks = [stream.lacking(before if index == mine else 0) for index, stream in enumerate(streams)]
    seconds = 0.0
    for _ in range(PHASES_MAX):
        flows, spare = _flows(left, lacks, streams, mine, rate)
        if left[mine] <= NOTHING and (spare or (streams[mine].share > 0 and lacks[mine] <= NOTHING)):
            return seconds
        step = _next_change(left, lacks, flows, streams, mine, rate)
        if step == inf:
            return inf
        seconds += step
        for index, stream in enumerate(streams):
            joins = 0.0 if index == mine else stream.arriving
            if _waits(left, mine, index):
                lacks[index] = max(lacks[index] - stream.share * rate * step, 0.0)
            left[index] = max(left[index] + (joins - flows[index]) * step, 0.0)
    return inf


def _waits(left: Sequence[float], mine: int, index: int) -> bool:
    return index == mine or left[index] > NOTHING


def _flows(
    left: Sequence[float], lacks: Sequence[float], streams: Sequence[Stream], mine: int, rate: float
) -> tuple[list[float], bool]:
    """Images a second that each priority gets, and whether the job's own gets more than its share."""
    flows = []
    for index, stream in enumerate(streams):
        waits = _waits(left, mine, index)
        due = stream.share * rate if waits and lacks[index] <= NOTHING else 0.0
        flows.append(due if waits else min(stream.share * rate, stream.arriving))
    rest, spare = rate - sum(flows), False
    for index, stream in enumerate(streams):
        wanted = inf if _waits(left, mine, index) else max(stream.arriving - flows[index], 0.0)
        more = min(max(rest, 0.0), wanted)
        spare = spare or (index == mine and more > NOTHING)
        flows[index] += more
        rest -= more
    if left[mine] <= NOTHING:
        flows[mine] = 0.0
    return flows, spare


def _next_change(
    left: Sequence[float],
    lacks: Sequence[float],
    flows: Sequence[float],
    streams: Sequence[Stream],
    mine: int,
    rate: float,
) -> float:
    """Seconds until a priority has nothing left, or has come to its share's first turn."""
    steps = [inf]
    for index, stream in enumerate(streams):
        drains = flows[index] - (0.0 if index == mine else stream.arriving)
        if left[index] > NOTHING and drains > NOTHING:
            steps.append(left[index] / drains)
        if lacks[index] > NOTHING and stream.share > 0 and _waits(left, mine, index):
            steps.append(lacks[index] / (stream.share * rate))
    return min(steps)
