"""The state of one simulated provider: organizations, gates, fault plan, bill, log of calls, links to images."""

import secrets
import time
from collections import OrderedDict
from collections.abc import Sequence
from itertools import count
from random import Random
from typing import Final

from imagequeue.config.catalog import Model, load_catalog
from imagequeue.simulator.batch import Batch
from imagequeue.simulator.bill import Bill
from imagequeue.simulator.calls import CallLog
from imagequeue.simulator.config import SimulatedOrg, SimulatorConfig
from imagequeue.simulator.faults import Fault, FaultPlan
from imagequeue.simulator.files import Files
from imagequeue.simulator.limits import Gates
from imagequeue.simulator.picture import Picture

LINKS_MAX: Final = 100_000


class Provider:
    """Everything that requests share. One per server."""

    def __init__(self, config: SimulatorConfig) -> None:
        self.config = config
        self.catalog = load_catalog(config.catalog)
        for org in config.orgs:
            self.catalog.tier(org.tier)  # an unknown tier is a ConfigError now and not at the first call
        self.bill = Bill(config.bill_path)
        self.calls = CallLog()
        self.files = Files()
        self.batches: dict[str, Batch] = {}
        self._start_name = secrets.token_hex(6)
        self._numbers = count(1)
        self._by_key = {org.api_key: org for org in config.orgs}
        self._by_admin_key = {org.admin_key: org for org in config.orgs}
        self._links: OrderedDict[str, tuple[Picture, float]] = OrderedDict()
        self._begin()

    def _begin(self) -> None:
        seed = self.config.seed
        self._random = Random(seed)  # noqa: S311  # reproducible delays, not secrets
        self._fault_random = Random(None if seed is None else seed + 1)  # noqa: S311  # as above
        self.gates = Gates(self.catalog)
        self.faults = FaultPlan(self.config.faults, self._fault_random)

    def reset(self) -> None:
        """Return to the state at the start: empty bill and log, full buckets, the configured faults, the seed."""
        self.bill.clear()
        self.calls.clear()
        self._links.clear()
        self.files.clear()
        self.batches.clear()
        self._begin()

    def set_faults(self, faults: Sequence[Fault]) -> None:
        """Replace the fault rules."""
        self.faults = FaultPlan(faults, self._fault_random)

    def org_of_key(self, key: str) -> SimulatedOrg | None:
        """Return the organization that an API key belongs to."""
        return self._by_key.get(key)

    def org_of_admin_key(self, key: str) -> SimulatedOrg | None:
        """Return the organization that an admin key belongs to."""
        return self._by_admin_key.get(key)

    def new_request_id(self) -> str:
        """Return an id that no other start of a simulator gives."""
        return f"req_{self._start_name}{next(self._numbers):020x}"

    def latency_seconds(self, model: str) -> float:
        """Draw how long a call of this model takes."""
        return self.config.latency_by_model.get(model, self.config.latency).draw(self._random)

    def serves(self, org: SimulatedOrg, model: Model) -> bool:
        """Whether the model is neither retired nor beyond the organization's tier."""
        return model.name not in self.config.retired_models and self.gates.ceilings(org, model).served

    def link(self, name: str, picture: Picture) -> None:
        """Keep what a link shows; beyond LINKS_MAX the oldest link dies."""
        self._links[name] = (picture, time.monotonic() + self.config.url_seconds)
        if len(self._links) > LINKS_MAX:
            self._links.popitem(last=False)

    def linked(self, name: str) -> Picture | None:
        """Return what a link shows, None when there is none or it has expired."""
        picture, until = self._links.get(name, (None, 0.0))
        return picture if time.monotonic() < until else None


def org_id(org: SimulatedOrg) -> str:
    """Return the organization's id as headers and messages name it."""
    return f"org-sim-{org.name}"
