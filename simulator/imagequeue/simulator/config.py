"""What the simulated provider is told at the start: organizations, limits, latency, images, faults. Values only.

Every value can be written as JSON (`load_config`); unknown names are refused. The keys here open a simulator and
nothing else, so they are plain text.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal

from pydantic import ConfigDict, JsonValue, TypeAdapter, ValidationError

from imagequeue.config.errors import ConfigError
from imagequeue.simulator.faults import Fault
from imagequeue.simulator.latency import Latency

IMAGE_BYTES_MAX: Final = 3_145_728
BUCKET_SECONDS_MAX: Final = 60.0
ORGS_MAX: Final = 100

STRICT: Final = ConfigDict(extra="forbid")


@dataclass(frozen=True, kw_only=True)
class GroupLimits:
    """Ceilings of one limit group in images and tokens a minute; None means that this dimension is not limited."""

    __pydantic_config__ = STRICT

    images_per_minute: float | None = None
    tokens_per_minute: float | None = None

    def __post_init__(self) -> None:
        for name in ("images_per_minute", "tokens_per_minute"):
            value = getattr(self, name)
            if value is not None and not 0 < value < 1e9:
                raise ValueError(f"{name}: more than 0 and less than 1000000000, or null for no limit")


@dataclass(frozen=True, kw_only=True)
class SimulatedOrg:
    """One customer of the simulated provider.

    `limits` (by model or limit group) beat the published table of `tier`. `true_limits` is what is enforced when
    that differs from what is published. `bucket_seconds` is how many seconds of the rate may arrive at once;
    one request always fits an idle bucket. With `refused_calls_count` a refused call uses up the limit as well.
    Empty keys and project follow from the name: `sk-sim-NAME`, `sk-admin-sim-NAME`, `proj_NAME`.
    """

    __pydantic_config__ = STRICT

    name: str = "main"
    api_key: str = ""
    admin_key: str = ""
    project: str = ""
    tier: str = "5"
    limits: dict[str, GroupLimits] = field(default_factory=dict)
    true_limits: dict[str, GroupLimits] = field(default_factory=dict)
    bucket_seconds: float = 1.0
    refused_calls_count: bool = False

    def __post_init__(self) -> None:
        if not 0 < self.bucket_seconds <= BUCKET_SECONDS_MAX:
            raise ValueError(f"bucket_seconds: more than 0 and at most {BUCKET_SECONDS_MAX:g}")
        derived = {"api_key": "sk-sim-", "admin_key": "sk-admin-sim-", "project": "proj_"}
        for name, prefix in derived.items():
            if not getattr(self, name):
                object.__setattr__(self, name, prefix + self.name)


@dataclass(frozen=True, kw_only=True)
class SimulatorConfig:
    """Everything a simulator is told. `seed` None draws another one at each start.

    `latency_by_model` beats `latency`. `image_bytes` is the size of each image file; a picture that needs more
    keeps its own size. `render` is `full` (text over the whole picture) or `fast` (one line of text).
    `retired_models` answer 404. `bill_path` names a JSONL file to which each bill row is appended as it is made
    and from which the bill continues after a restart. `url_seconds` is how long an image link lives.
    `batch_seconds` is how long a batch takes; the provider says 24 hours at most.
    `report_delay_seconds` is how late the costs and usage reports show a bill row.
    `catalog` is laid over the packaged catalog, in the same shape as the `[catalog]` table of the settings.
    """

    __pydantic_config__ = STRICT

    orgs: tuple[SimulatedOrg, ...] = (SimulatedOrg(),)
    latency: Latency = Latency(kind="fixed")  # noqa: RUF009  # frozen, so one value may serve all
    latency_by_model: dict[str, Latency] = field(default_factory=dict)
    image_bytes: int = 20_000
    render: Literal["fast", "full"] = "full"
    seed: int | None = None
    retired_models: tuple[str, ...] = ()
    faults: tuple[Fault, ...] = ()
    bill_path: Path | None = None
    url_seconds: float = 3600.0
    report_delay_seconds: float = 0.0
    batch_seconds: float = 1.0
    catalog: dict[str, JsonValue] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not 0 <= self.image_bytes <= IMAGE_BYTES_MAX:
            raise ValueError(f"image_bytes: 0 to {IMAGE_BYTES_MAX}")
        if self.render not in ("fast", "full"):
            raise ValueError(f"render: fast or full, not {self.render!r}")
        if not 1 <= len(self.orgs) <= ORGS_MAX:
            raise ValueError(f"orgs: 1 to {ORGS_MAX} organizations")
        if len({org.name for org in self.orgs}) < len(self.orgs):
            raise ValueError("orgs: every name once")
        if len({key for org in self.orgs for key in (org.api_key, org.admin_key)}) < 2 * len(self.orgs):
            raise ValueError("orgs: every key once")


_ADAPTER: Final = TypeAdapter(SimulatorConfig)


def load_config(text: str | bytes) -> SimulatorConfig:
    """Return the configuration in JSON text; ConfigError names the first wrong field."""
    try:
        return _ADAPTER.validate_json(text)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = ".".join(str(part) for part in first["loc"]) or "simulator configuration"
        raise ConfigError(f"{place}: {first['msg'].removeprefix('Value error, ')}") from error


def dump_config(config: SimulatorConfig) -> bytes:
    """Return the configuration as JSON that `load_config` reads back to an equal value."""
    return _ADAPTER.dump_json(config)
