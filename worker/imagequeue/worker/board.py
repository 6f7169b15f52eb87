"""The board: which queues there are, who serves them, and the claim plan that follows; looked up again all the time."""

from collections.abc import Collection, Mapping

from imagequeue.config.catalog import Catalog
from imagequeue.config.job import PRIORITIES, queue_name
from imagequeue.config.orgs import Org
from imagequeue.queue.claims import ClaimPlan, PoolPlan
from imagequeue.queue.scripts import Scripts
from imagequeue.queue.text import text
from imagequeue.worker.plan import PaceSettings, Pool, claim_plan, pools_of


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
        self._gone: set[tuple[str, str]] = set()
        self._make()

    def _make(self) -> None:
        pools = pools_of(self._catalog, self._orgs, self._gone)
        self._pools = {pool.name: pool for pool in pools}
        self._plan = claim_plan(
            pools,
            self._pace,
            known_queues=self._known,
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
            self._gone.add((org, model))
            self._make()

    async def refresh(self, scripts: Scripts) -> None:
        """Look up the queues that exist, and the models that organizations turned out not to serve."""
        keys = scripts.keys
        prefix = keys.queue("")
        stored = await scripts.redis.smembers(keys.queues)
        names = {text(name).removeprefix(prefix) for name in stored}
        rows = await scripts.redis.hkeys(f"{keys.own}:unserved")
        gone = {_pair(text(row)) for row in rows}
        if gone != self._gone or not names <= self._known:
            self._known |= names
            self._gone = gone
            self._make()


def _pair(field: str) -> tuple[str, str]:
    org, _, model = field.partition("|")
    return org, model
