"""The door's composition root: builds every part from the settings, serves until told to stop, takes it apart again."""

import asyncio
import gc
import os
import resource
import signal
import socket
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from typing import Final

import structlog
import uvicorn
import uvloop

from imagequeue.config.catalog import load_catalog
from imagequeue.config.clock import SystemClock
from imagequeue.config.errors import ConfigError
from imagequeue.config.settings import Settings
from imagequeue.config.tracing import start_tracing
from imagequeue.producer.client import AsyncImageQueue
from imagequeue.producer.door.access import Access, check_may_open, is_loopback
from imagequeue.producer.door.announcements import Announcements
from imagequeue.producer.door.app import build_app
from imagequeue.producer.door.budgets import Budgets
from imagequeue.producer.door.gathering import Gathering
from imagequeue.producer.door.key_file import KeyFile
from imagequeue.producer.door.mounts import MountContext, installed_mounts, mount_all
from imagequeue.producer.door.origin import check_same_machine
from imagequeue.producer.door.ownership import ImageOwners
from imagequeue.producer.door.parts import Door
from imagequeue.producer.door.rates import Rates
from imagequeue.producer.door.recent import RecentAgreement, RecentCounts, RecentStatus
from imagequeue.producer.door.wire import HEADER_BYTES_MAX, DoorProtocol
from imagequeue.producer.inputs import Inputs
from imagequeue.queue.acts import Acts
from imagequeue.queue.announcing import Announcer
from imagequeue.queue.reading import JobReader
from imagequeue.queue.status_reading import StatusReader
from imagequeue.queue.tenant_counts import TenantCounter
from imagequeue.store.store import open_store

BACKLOG: Final = 2_048
KEEP_ALIVE_SECONDS: Final = 30
GC_THRESHOLDS: Final = (20_000, 20, 50)
"""What the door is made of stays and is not looked through again and again; requests leave few circles behind."""
log = structlog.get_logger("imagequeue.door")


def run_door(settings: Settings, *, host: str, port: int, on_ready: Callable[[str], None]) -> None:
    """Serve until SIGTERM or SIGINT. ConfigError when it may not open or the address is not to be had."""
    check_may_open(host, KeyFile(settings.api_keys_file).book())
    with _listening(host, port) as listener:
        _raise_open_files()
        if trouble := start_tracing("imagequeue-api", os.environ):
            log.warning(trouble)
        uvloop.run(_serve(settings, host, listener, on_ready))


async def _serve(settings: Settings, host: str, listener: socket.socket, on_ready: Callable[[str], None]) -> None:
    async with opened_door(settings, may_be_open=is_loopback(host)) as door:
        mounted = mount_all(_context(door), installed_mounts())
        config = uvicorn.Config(
            build_app(door, mounted),
            http=DoorProtocol,
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            backlog=BACKLOG,
            timeout_keep_alive=KEEP_ALIVE_SECONDS,
            timeout_graceful_shutdown=round(settings.drain_seconds),
            h11_max_incomplete_event_size=HEADER_BYTES_MAX,
        )
        server = DoorServer(config, on_stop=door.announcements.close)
        _spare_what_stays()
        on_ready(_address(listener))
        await server.serve(sockets=[listener])
    log.info("door closed")


class DoorServer(uvicorn.Server):
    """uvicorn's server, but for signals: it says at once that it stops, and ending on request is no failure."""

    def __init__(self, config: uvicorn.Config, on_stop: Callable[[], None]) -> None:
        super().__init__(config)
        self._on_stop = on_stop

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Stop on SIGTERM and SIGINT, on a second SIGINT at once."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._told_to_stop, number)
        yield

    def _told_to_stop(self, number: int) -> None:
        self.handle_exit(number, None)
        self._on_stop()


@asynccontextmanager
async def opened_door(settings: Settings, *, may_be_open: bool) -> AsyncIterator[Door]:
    """Give everything behind the door for the length of a block."""
    clock = SystemClock()
    catalog = load_catalog(settings.catalog)
    async with AsyncImageQueue(settings) as queue:
        ledger = await queue.ledger()
        store = open_store(settings.store_url)
        announcements = Announcements(queue.scripts)
        listening = asyncio.create_task(announcements.run())
        try:
            yield Door(
                settings=settings,
                catalog=catalog,
                clock=clock,
                queue=queue,
                gathering=Gathering(queue),
                scripts=queue.scripts,
                ledger=ledger,
                store=store,
                reader=JobReader(queue.scripts, ledger, settings, catalog),
                acts=Acts(
                    queue.scripts,
                    ledger,
                    ttl_seconds=settings.result_ttl_seconds,
                    announcer=Announcer(queue.scripts, ledger, settings, clock),
                ),
                status=RecentStatus(StatusReader(queue.scripts, settings, catalog)),
                tenant_counts=RecentCounts(TenantCounter(queue.scripts)),
                agreement=RecentAgreement(ledger, settings),
                announcements=announcements,
                access=Access(KeyFile(settings.api_keys_file), clock, may_be_open=may_be_open),
                rates=Rates(queue.scripts),
                budgets=Budgets(queue.scripts, catalog, clock),
                owners=ImageOwners(ledger),
                inputs=Inputs(store, ledger, catalog),
            )
        finally:
            listening.cancel()
            with suppress(asyncio.CancelledError):
                await listening
            await store.aclose()


def _context(door: Door) -> MountContext:
    return MountContext(
        settings=door.settings,
        catalog=door.catalog,
        scripts=door.scripts,
        ledger=door.ledger,
        store=door.store,
        reader=door.reader,
        acts=door.acts,
        status=door.status,
        is_open=lambda: door.access.open,
        is_closing=lambda: door.announcements.closing,
        key_of=door.access.key_of,
        check_same_machine=check_same_machine,
    )


def _spare_what_stays() -> None:
    gc.collect()
    gc.freeze()
    gc.set_threshold(*GC_THRESHOLDS)


@contextmanager
def _listening(host: str, port: int) -> Iterator[socket.socket]:
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        listener = socket.create_server((host, port), family=family, backlog=BACKLOG)
    except OSError as error:
        raise ConfigError(f"--host {host} --port {port}: {error.strerror or error}") from error
    with listener:
        yield listener


def _address(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _raise_open_files() -> None:
    """Take as many open files as this process may have: each connection is one."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    with suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
