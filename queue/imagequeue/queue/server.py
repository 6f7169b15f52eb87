"""What keeps a Redis server from taking new jobs, as it says of itself. Pure."""

from collections.abc import Mapping

Info = Mapping[str, object]
"""The fields of INFO."""


def trouble(info: Info) -> str:
    """Return one line, '' when it takes them."""
    if info.get("role") == "slave":
        return "the Redis server is a replica: it refuses all writes, nothing can be queued, claimed or settled"
    if info.get("aof_enabled") and info.get("aof_last_write_status") == "err":
        return "the Redis server cannot write its append-only file (is its disk full?): it refuses all writes"
    limit, used = _bytes(info, "maxmemory"), _bytes(info, "used_memory")
    if 0 < limit <= used:
        return f"the Redis server is at its memory limit ({used:,} of {limit:,} bytes): no new jobs, the queue drains"
    return ""


def _bytes(info: Info, field: str) -> int:
    value = info.get(field)
    return value if isinstance(value, int) else 0
