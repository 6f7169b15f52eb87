"""The board: which queues there are, who serves them, and the claim plan that follows; looked up again all the time."""

from collections.abc import Collection, Mapping

from imagequeue.config.catalog import Catalog, Limits
from imagequeue.config.job import PRIORITIES, queue_name
from imagequeue.config.orgs import Org
from imagequeue.queue.ceilings import Lowered, Pool, pools_of
from imagequeue.queue.claims import ClaimPlan, PoolPlan
from imagequeue.queue.reported import read_reported
from imagequeue.queue.scripts import Scripts
from imagequeue.queue.switches import suspended_queues
from imagequeue.queue.text import text
from imagequeue.worker.plan import PaceSettings, claim_plan


class Board:
    """What one worker serves at present. `preferred` models' queues are served before anybody used them."""

    def __init__(
        self,
        *,
        catalog: Catalog,
        orgs: tuple[Org, ...],
        pace: PaceSettings,
        preferred: Collection[str],
        only: Collection[str],
    ) -> None:
        self._catalog = catalog
        self._orgs = orgs
        self._pace = pace
        self._only = tuple(only)
        self._known: set[str] = {queue_name(model, priority) for model in preferred for priority in PRIORITIES}
        self._gone: frozenset[tuple[str, str]] = frozenset()
        self._reported: Mapping[str, Limits] = {}
        self._lowered: Mapping[str, Lowered] = {}
        self._suspended: frozenset[str] = frozenset()
        self._make()

    def _make(self) -> None:
        pools = pools_of(self._catalog, self._orgs, self._gone, self._reported, self._lowered)
        self._pools = {pool.name: pool for pool in pools}
        self._plan = claim_plan(
            pools,
            self._pace,
            known_queues=self._known - self._suspended,
            catalog_models=self._catalog.models.keys(),
            only_queues=self._only,
        )
        self._encoded = self._plan.encode()

    @property
    def plan(self) -> ClaimPlan:
        """What to claim."""
        return self._plan

    @property
    def encoded(self) -> str:
        """The plan as the claim script reads it."""
        return self._encoded

    @property
    def queues(self) -> tuple[str, ...]:
        """Every queue that is served."""
        return self._plan.queues()

    @property
    def pools(self) -> Mapping[str, Pool]:
        """Pools by name."""
        return self._pools

    def pool_plan(self, name: str) -> PoolPlan | None:
        """Return how a pool may be used, None when there is no such pool."""
        return next((pool for pool in self._plan.pools if pool.name == name), None)

    def is_served(self, model: str) -> bool:
        """Return whether any organization of this worker serves the model."""
        return any(model in pool.models for pool in self._pools.values())

    def model_gone(self, org: str, model: str) -> None:
        """An organization said that it does not serve a model."""
        if (org, model) not in self._gone:
            self._gone |= {(org, model)}
            self._make()

    async def refresh(self, scripts: Scripts) -> None:
        """Look up the queues that exist and those suspended, and what providers said of their limits and models."""
        keys, gone_before = scripts.keys, self._gone
        prefix = keys.queue("")
        stored = await scripts.redis.smembers(keys.queues)
        names = {text(name).removeprefix(prefix) for name in stored}
        reported = await read_reported(scripts)
        suspended = frozenset(await suspended_queues(scripts))
        told_meanwhile = self._gone - gone_before
        now = (told_meanwhile.union(reported.gone), reported.limits, reported.lowered, suspended)
        if now != (self._gone, self._reported, self._lowered, self._suspended) or not names <= self._known:
            self._known |= names
            self._gone, self._reported, self._lowered, self._suspended = now
            self._make()
