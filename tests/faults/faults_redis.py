"""Faults of Redis: each breaks the server of a scene for the length of a block."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from faults_scene import Scene
from redis import Redis
from redis.exceptions import RedisError
from soak_processes import free_port

SLEEP_SECONDS = 2.5
LOADING_US = 20_000


@contextmanager
def restarted(stage: Scene) -> Iterator[None]:
    """Killed, and started again on its append-only file."""
    stage.site.server.kill()
    yield
    stage.site.server.start()


@contextmanager
def read_only(stage: Scene) -> Iterator[None]:
    """A replica of a master that is not there: it answers reads and refuses writes."""
    with Redis(port=stage.site.port) as admin:
        admin.replicaof("127.0.0.1", str(free_port()))
        yield
        admin.replicaof("NO", "ONE")


@contextmanager
def frozen(stage: Scene) -> Iterator[None]:
    """Stopped as a frozen machine or a black hole: connections stand, nothing answers."""
    stage.site.server.signal(signal.SIGSTOP)
    try:
        yield
    finally:
        stage.site.server.signal(signal.SIGCONT)


@contextmanager
def busy(stage: Scene) -> Iterator[None]:
    """Somebody's endless script: every command is answered with BUSY."""
    with Redis(port=stage.site.port) as admin, Redis(port=stage.site.port) as other:
        admin.config_set("lua-time-limit", 50)
        thread = threading.Thread(target=_endless, args=(other,))
        thread.start()
        yield
        admin.script_kill()
        thread.join()


def _endless(client: Redis) -> None:
    with suppress(RedisError):
        client.eval("while true do end", 0)


@contextmanager
def loading(stage: Scene) -> Iterator[None]:
    """Killed and started again with much to read: it answers LOADING for a while."""
    stage.site.server.kill()
    stage.site.server.start(wait=False, loading_us=LOADING_US)
    yield


@contextmanager
def asleep(stage: Scene) -> Iterator[None]:
    """One command that takes seconds: DEBUG SLEEP."""
    with Redis(port=stage.site.port, socket_timeout=None) as other:
        thread = threading.Thread(target=lambda: other.execute_command("DEBUG", "SLEEP", str(SLEEP_SECONDS)))
        thread.start()
        yield
        thread.join()


@contextmanager
def full(stage: Scene) -> Iterator[None]:
    """At `maxmemory` without eviction: every write that grows is refused."""
    with Redis(port=stage.site.port) as admin:
        admin.config_set("maxmemory", 1)
        yield
        admin.config_set("maxmemory", 0)
