"""The Redis or Valkey server: whether it can be reached, and whether it can lose what was queued.

The settings that decide about loss are `maxmemory-policy` (an evicting server drops queued jobs) and `appendonly` (a
restart without it forgets them); see "Key eviction" and "Persistence" in the Redis and Valkey documentation.
"""

import asyncio
import time
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Final
from urllib.parse import urlsplit

from redis.asyncio import Redis
from redis.exceptions import RedisError

from imagequeue.config.settings import Settings
from imagequeue.producer.checkup.finding import Finding, fail, ok, warn
from imagequeue.queue.connection import connect

CHECK: Final = "server"
ANSWER_SECONDS_MAX: Final = 5.0
VERSION_MIN: Final = (6, 2)
MEMORY_SHARE_MAX: Final = 0.8
CLOCK_WARN_SECONDS: Final = 2.0
CLOCK_FAIL_SECONDS: Final = 60.0


@dataclass(frozen=True, kw_only=True)
class ServerFacts:
    """What a server says about itself. `clock_ahead_seconds` is its clock minus ours."""

    name: str
    version: tuple[int, ...]
    memory_bytes: int
    memory_bytes_max: int
    eviction: str
    append_only: bool
    append_only_ok: bool
    fsync: str | None
    cluster: bool
    role: str
    off_loopback: bool
    open_to_all: bool
    clock_ahead_seconds: float


async def check_server(settings: Settings) -> list[Finding]:
    """Start the embedded server if it is the one to use, ask the server about itself, and judge the answers."""
    url = await asyncio.to_thread(_url, settings)
    client = connect(url, answer_seconds=ANSWER_SECONDS_MAX, connections=1)
    try:
        facts = await _facts(client, url)
    except (RedisError, OSError) as error:
        said = " ".join(str(error).split())
        return [fail(CHECK, f"{_address(url)} cannot be used: {said}", "see IMAGEQUEUE_REDIS_URL, and whether it runs")]
    finally:
        await client.aclose()
    return judge(facts, _address(url))


def judge(facts: ServerFacts, address: str) -> list[Finding]:
    """Return the findings about a server. Pure."""
    version = ".".join(str(part) for part in facts.version)
    findings = [ok(CHECK, f"{facts.name} {version} answers at {address}")]
    if facts.version < VERSION_MIN:
        findings = [fail(CHECK, f"{facts.name} {version} is too old", "use Redis 6.2 or later, or Valkey")]
    return [*findings, *_memory(facts), *_persistence(facts), *_place(facts), *_clock(facts)]


def _memory(facts: ServerFacts) -> list[Finding]:
    check = "server memory"
    if facts.eviction != "noeviction":
        drops = f"maxmemory-policy is {facts.eviction}: the server may drop queued jobs"
        do = "set maxmemory-policy noeviction"
        return [fail(check, drops, do) if facts.memory_bytes_max else warn(check, f"{drops} once maxmemory is set", do)]
    if facts.memory_bytes_max and facts.memory_bytes > MEMORY_SHARE_MAX * facts.memory_bytes_max:
        used = f"{facts.memory_bytes} of {facts.memory_bytes_max} bytes are used"
        if facts.memory_bytes >= facts.memory_bytes_max:
            return [fail(check, f"it is full, and refuses new jobs: {used}", "raise maxmemory")]
        return [warn(check, f"{used}; a full server refuses jobs", "raise maxmemory")]
    return [ok(check, "nothing is evicted (noeviction)")]


def _persistence(facts: ServerFacts) -> list[Finding]:
    check = "server persistence"
    if not facts.append_only:
        return [fail(check, "appendonly is off: a restart forgets what is queued", "set appendonly yes")]
    if not facts.append_only_ok:
        return [fail(check, "the last write to the append-only file failed", "see the server's disk and log")]
    if facts.fsync == "no":
        return [warn(check, "appendfsync is no: a power cut loses what the kernel has not written", "set everysec")]
    return [ok(check, f"append-only, fsync {facts.fsync or 'not shown to us'}")]


def _place(facts: ServerFacts) -> list[Finding]:
    findings = []
    if facts.cluster:
        findings.append(fail("server mode", "it is a cluster; scripts here use keys of many slots", "use one server"))
    if facts.role != "master":
        findings.append(
            fail("server mode", f"its role is {facts.role}, which takes no writes", "connect to the primary")
        )
    if facts.off_loopback and facts.open_to_all:
        says = "anybody who reaches its port may read and write: the default user has no password"
        findings.append(fail("server access", says, "set requirepass or an ACL user, and TLS (rediss://)"))
    return findings


def _clock(facts: ServerFacts) -> list[Finding]:
    ahead = facts.clock_ahead_seconds
    says = f"the server's clock is {abs(ahead):.2f} s {'ahead of' if ahead >= 0 else 'behind'} ours"
    if abs(ahead) > CLOCK_FAIL_SECONDS:
        return [fail("clocks", says, "set both by NTP: deadlines and caps by day go by them")]
    if abs(ahead) > CLOCK_WARN_SECONDS:
        return [warn("clocks", says, "set both by NTP")]
    return [ok("clocks", says)]


async def _facts(client: Redis, url: str) -> ServerFacts:
    info = {str(name): str(value) for name, value in (await client.info()).items()}
    off_loopback = _is_off_loopback(url)
    return ServerFacts(
        name="Valkey" if "valkey_version" in info else "Redis",
        version=_version(info.get("valkey_version") or info.get("redis_version", "")),
        memory_bytes=int(info.get("used_memory", "0")),
        memory_bytes_max=int(info.get("maxmemory", "0")),
        eviction=info.get("maxmemory_policy", "noeviction"),
        append_only=info.get("aof_enabled") == "1",
        append_only_ok=info.get("aof_last_write_status", "ok") == "ok",
        fsync=await _fsync(client),
        cluster=info.get("cluster_enabled") == "1",
        role=info.get("role", "master"),
        off_loopback=off_loopback,
        open_to_all=off_loopback and await _is_open_to_all(url),
        clock_ahead_seconds=await _clock_ahead_seconds(client),
    )


async def _fsync(client: Redis) -> str | None:
    """Return `appendfsync`, or None where CONFIG is not allowed, as with most hosted servers."""
    try:
        answer = await client.config_get("appendfsync")
    except RedisError:
        return None
    return next((value.decode() if isinstance(value, bytes) else str(value) for value in answer.values()), None)


async def _clock_ahead_seconds(client: Redis) -> float:
    before = time.time()
    seconds, microseconds = await client.time()
    return float(seconds) + float(microseconds) / 1e6 - (before + time.time()) / 2


async def _is_open_to_all(url: str) -> bool:
    parts = urlsplit(url)
    stranger = connect(
        parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl(),
        answer_seconds=ANSWER_SECONDS_MAX,
        connections=1,
    )
    try:
        return bool(await stranger.ping())
    except (RedisError, OSError):
        return False
    finally:
        await stranger.aclose()


def _url(settings: Settings) -> str:
    if settings.redis_url is not None:
        return settings.redis_url.get_secret_value()
    from imagequeue.config.embedded import ensure_server

    return ensure_server(settings.data_dir)


def _address(url: str) -> str:
    """Return the URL without user and password."""
    parts = urlsplit(url)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2], query="").geturl()


def _is_off_loopback(url: str) -> bool:
    parts = urlsplit(url)
    if parts.scheme == "unix":
        return False
    host = parts.hostname or "localhost"
    try:
        return not ip_address(host).is_loopback
    except ValueError:
        return host != "localhost"


def _version(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in text.split(".") if part.isdecimal())
