"""A server that answers and takes no commands is away like one that does not answer: tried again, never given up."""

import asyncio
import threading
from contextlib import suppress

import pytest
from queue_server import RunningServer, running_server
from redis import Redis
from redis.exceptions import RedisError

from imagequeue.config.errors import QueueUnavailable
from imagequeue.config.keys import Keys
from imagequeue.queue.connection import ServerRefuses, connect
from imagequeue.queue.scripts import TROUBLE, Scripts
from imagequeue.queue.server import trouble


def endless(url: str) -> None:
    with Redis.from_url(url) as client, suppress(RedisError):
        client.eval("while true do end", 0)


async def asked(server: RunningServer) -> tuple[str, bool]:
    """Return what a script of ours and what a plain command meet."""
    client = connect(server.url())
    try:
        with pytest.raises(QueueUnavailable) as refused:
            await Scripts(client, Keys.under("rq")).run("pending", ["q"])
        with pytest.raises(TROUBLE):
            await client.smembers("s")
        async with client.pipeline(transaction=False) as pipe:
            pipe.get("x")
            with pytest.raises(TROUBLE):
                await pipe.execute()
    finally:
        await client.aclose()
    return str(refused.value), isinstance(refused.value.__cause__, ServerRefuses)


def test_a_server_held_up_by_somebodys_script_is_away(tmp_path_factory: pytest.TempPathFactory) -> None:
    with running_server(tmp_path_factory.mktemp("busy")) as server, Redis.from_url(server.url()) as admin:
        admin.config_set("lua-time-limit", 1)
        thread = threading.Thread(target=endless, args=(server.url(),))
        thread.start()
        try:
            while True:
                try:
                    admin.ping()
                except RedisError:
                    break
            text, refusal = asyncio.run(asked(server))
        finally:
            admin.script_kill()
            thread.join()
    assert "busy" in text.lower()
    assert refusal


def test_a_server_that_may_not_write_without_its_replicas_is_away(tmp_path_factory: pytest.TempPathFactory) -> None:
    async def written(server: RunningServer) -> None:
        client = connect(server.url())
        try:
            with pytest.raises(ServerRefuses):
                await client.set("x", 1)
        finally:
            await client.aclose()

    with running_server(tmp_path_factory.mktemp("alone")) as server, Redis.from_url(server.url()) as admin:
        admin.config_set("min-replicas-to-write", 1)
        asyncio.run(written(server))


@pytest.mark.parametrize(
    ("info", "said"),
    [
        ({"role": "master", "maxmemory": 0, "used_memory": 10, "aof_enabled": 1, "aof_last_write_status": "ok"}, ""),
        ({"role": "master", "maxmemory": 11, "used_memory": 10}, ""),
        ({"role": "slave"}, "replica"),
        ({"role": "master", "aof_enabled": 1, "aof_last_write_status": "err"}, "append-only file"),
        ({"role": "master", "maxmemory": 10, "used_memory": 10}, "memory limit"),
        ({}, ""),
    ],
)
def test_the_server_says_itself_what_keeps_it_from_taking_jobs(info: dict[str, object], said: str) -> None:
    line = trouble(info)
    assert said in line
    assert bool(line) == bool(said)
