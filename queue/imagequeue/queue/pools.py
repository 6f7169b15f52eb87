"""The state of pools (one organization's limit group each): pace, pauses, suspensions, as everybody sees them."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from imagequeue.queue.scripts import Scripts
from imagequeue.queue.text import text

FACTOR_RECOVERY_PER_SECOND = 0.02  # the same figure as in pace.lua
REASON_CHARACTERS_MAX = 500
OWED_FIELDS = {"default": b"owed_default", "low": b"owed_low"}
PRESSED_AGAIN_US = 30_000_000
"""A pool whose limit was nearly reached twice within this time is taken to stay as slow as it is."""
FLOW_US_MAX = 10_000_000
"""A rate that was measured longer ago says nothing of now."""
TROUBLE_US_MAX = 60_000_000
"""A call that failed longer ago says nothing of now; waits between attempts are not longer than this."""


@dataclass(frozen=True, kw_only=True)
class PoolState:
    """One pool as stored. Times are the server's Unix microseconds, 0 for never.

    `served_per_s`: images it really started a second of late, while jobs were waiting; 0 when that is not known.
    `factor` is the share of the pace that is used at present, `slowed` why it was lowered if not by refusals.
    `owed` is what lower priorities are owed of it, in images (claim.lua); `stays_slow`: it is lowered
    again and again.
    `tokens` are the estimates of all calls that started, `paused_us` the time that the provider's pauses took so far.
    `trouble` is what the latest call without images came to, of the last minute.
    """

    name: str
    paused_until_us: int = 0
    pause_reason: str = ""
    suspended: str = ""
    suspended_until_us: int = 0
    factor: float = 1.0
    slowed: str = ""
    starts: int = 0
    served_per_s: float = 0.0
    refused: int = 0
    tokens: int = 0
    paused_us: int = 0
    image_tat_us: int = 0
    token_tat_us: int = 0
    owed: Mapping[str, float] = field(default_factory=dict)
    stays_slow: bool = False
    trouble: str = ""


def pool_name(org: str, limit_group: str) -> str:
    """Return the name of a pool, e.g. `main|dall-e-3`."""
    return f"{org}|{limit_group}"


async def refuse(scripts: Scripts, pool: str, *, wait_us: int, reason: str) -> None:
    """The provider refused a call for its rate: nothing starts in this pool for `wait_us`."""
    await scripts.run("pool", [pool, "refused", wait_us, reason[:REASON_CHARACTERS_MAX]])


async def press(scripts: Scripts, pool: str, *, reason: str) -> None:
    """An answer said that nearly nothing is left of the limit: the pace is lowered a little, for a while."""
    await scripts.run("pool", [pool, "pressed", reason[:REASON_CHARACTERS_MAX]])


async def trouble(scripts: Scripts, pool: str, *, reason: str) -> None:
    """A call brought no images and will be made again: noted for who asks why so little comes."""
    await scripts.run("pool", [pool, "troubled", reason[:REASON_CHARACTERS_MAX]])


async def suspend(scripts: Scripts, pool: str, *, reason: str, for_us: int = 0) -> None:
    """Nothing starts in this pool until it is resumed, or for `for_us` microseconds when that is given."""
    await scripts.run("pool", [pool, "suspend", reason[:REASON_CHARACTERS_MAX], for_us])


async def resume(scripts: Scripts, pool: str) -> None:
    """End the pool's suspension, pause and lowered pace, also what refusals taught."""
    await scripts.run("pool", [pool, "resume"])


async def states(scripts: Scripts, names: tuple[str, ...] = ()) -> dict[str, PoolState]:
    """Return the states of the named pools, or of all that were ever touched."""
    redis, keys = scripts.redis, scripts.keys
    touched = await redis.smembers(f"{keys.own}:pools")
    known = names or tuple(sorted(map(text, touched)))
    pipe = redis.pipeline(transaction=False)
    for name in known:
        pipe.hgetall(f"{keys.own}:pool:{name}")
    rows = await pipe.execute() if known else []
    now_us = await server_now_us(scripts)
    return {name: _state(name, row, now_us=now_us) for name, row in zip(known, rows, strict=True)}


async def server_now_us(scripts: Scripts) -> int:
    """Return the server's time in Unix microseconds."""
    seconds, micros = await scripts.redis.time()
    return int(seconds) * 1_000_000 + int(micros)


def _suspended(row: Mapping[bytes, bytes], until_us: int, now_us: int) -> str:
    return "" if until_us and until_us <= now_us else row.get(b"suspended", b"").decode()


def _state(name: str, row: Mapping[bytes, bytes], *, now_us: int) -> PoolState:
    def whole(field: bytes) -> int:
        return int(float(row.get(field, b"0")))

    factor = float(row.get(b"factor", b"1"))
    if factor < 1:
        factor = min(1.0, factor + max(now_us - whole(b"factor_at"), 0) / 1e6 * FACTOR_RECOVERY_PER_SECOND)
    return PoolState(
        name=name,
        paused_until_us=whole(b"paused_until"),
        pause_reason=row.get(b"pause_reason", b"").decode(),
        suspended=_suspended(row, whole(b"suspended_until"), now_us),
        suspended_until_us=whole(b"suspended_until"),
        factor=factor,
        slowed=row.get(b"pressed_reason", b"").decode() if whole(b"pressed_at") > whole(b"refused_at") else "",
        starts=whole(b"starts"),
        served_per_s=float(row.get(b"served", b"0")) if now_us - whole(b"flow_at") < FLOW_US_MAX else 0.0,
        refused=whole(b"refused"),
        tokens=whole(b"tokens"),
        paused_us=max(whole(b"paused_us") - max(whole(b"paused_until") - now_us, 0), 0),
        image_tat_us=whole(b"image_tat"),
        token_tat_us=whole(b"token_tat"),
        owed={priority: float(row[name]) for priority, name in OWED_FIELDS.items() if name in row},
        stays_slow=factor < 1 and whole(b"pressed_at") - whole(b"pressed_before") < PRESSED_AGAIN_US,
        trouble=row.get(b"trouble", b"").decode() if now_us - whole(b"trouble_at") < TROUBLE_US_MAX else "",
    )
