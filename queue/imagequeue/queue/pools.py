"""The state of pools (one organization's limit group each): pace, pauses, suspensions, as everybody sees them."""

from collections.abc import Mapping
from dataclasses import dataclass

from imagequeue.queue.scripts import Scripts

FACTOR_RECOVERY_PER_SECOND = 0.02  # the same figure as in claim.lua and pool.lua
REASON_CHARACTERS_MAX = 500


@dataclass(frozen=True, kw_only=True)
class PoolState:
    """One pool as stored. Times are Unix microseconds of the server, 0 for never; `factor` is the learned share of the pace."""

    name: str
    paused_until_us: int = 0
    pause_reason: str = ""
    suspended: str = ""
    factor: float = 1.0
    starts: int = 0
    refused: int = 0
    image_tat_us: int = 0
    token_tat_us: int = 0


def pool_name(org: str, limit_group: str) -> str:
    """Return the name of a pool, e.g. `main|dall-e-3`."""
    return f"{org}|{limit_group}"


async def refuse(scripts: Scripts, pool: str, *, wait_us: int, reason: str, images: int) -> None:
    """The provider refused a call for its rate: nothing starts in this pool for `wait_us`."""
    await scripts.run("pool", [pool, "refused", wait_us, reason[:REASON_CHARACTERS_MAX], images])


async def suspend(scripts: Scripts, pool: str, *, reason: str) -> None:
    """Nothing starts in this pool until it is resumed."""
    await scripts.run("pool", [pool, "suspend", reason[:REASON_CHARACTERS_MAX], 0])


async def resume(scripts: Scripts, pool: str) -> None:
    """End the pool's suspension, pause and lowered pace."""
    await scripts.run("pool", [pool, "resume"])


async def states(scripts: Scripts, names: tuple[str, ...] = ()) -> dict[str, PoolState]:
    """Return the states of the named pools, or of all that were ever touched."""
    redis, keys = scripts.redis, scripts.keys
    known = names or tuple(sorted(name.decode() for name in await redis.smembers(f"{keys.own}:pools")))
    pipe = redis.pipeline(transaction=False)
    for name in known:
        pipe.hgetall(f"{keys.own}:pool:{name}")
    rows = await pipe.execute() if known else []
    return {name: _state(name, row, now_us=await _now_us(scripts)) for name, row in zip(known, rows, strict=True)}


async def _now_us(scripts: Scripts) -> int:
    seconds, micros = await scripts.redis.time()
    return int(seconds) * 1_000_000 + int(micros)


def _state(name: str, row: Mapping[bytes, bytes], *, now_us: int) -> PoolState:
    def whole(field: bytes) -> int:
        return int(float(row.get(field, b"0")))

    factor = float(row.get(b"factor", b"1"))
    if factor < 1:
        factor = min(1.0, factor + (now_us - whole(b"factor_at")) / 1e6 * FACTOR_RECOVERY_PER_SECOND)
    return PoolState(
        name=name,
        paused_until_us=whole(b"paused_until"),
        pause_reason=row.get(b"pause_reason", b"").decode(),
        suspended=row.get(b"suspended", b"").decode(),
        factor=factor,
        starts=whole(b"starts"),
        refused=whole(b"refused"),
        image_tat_us=whole(b"image_tat"),
        token_tat_us=whole(b"token_tat"),
    )
