"""A name that changes its mind between check and connection leads nowhere: the connection goes to what was checked.

The resolver is the test's own, and so is what stands behind the public addresses; all between is the product's.
"""

import asyncio
import socket
import ssl
import threading
from asyncio.selector_events import BaseSelectorEventLoop
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx
import pytest
from webhook_receiver import endpoint

from imagequeue.config.clock import SystemClock
from imagequeue.config.orgs import Org
from imagequeue.ledger.api import WebhookRow
from imagequeue.worker.download import Downloader, NotFetched
from imagequeue.worker.http import open_transport
from imagequeue.worker.redelivery import Arrived, Failed
from imagequeue.worker.sender import Sender

NAME = "rebind.example"
PUBLIC, OTHER_PUBLIC = "93.184.215.14", "93.184.215.15"
INSIDE = ("127.0.0.1", "10.0.0.7", "169.254.169.254", "::1", "::ffff:127.0.0.1", "::ffff:10.0.0.7", "64:ff9b::7f00:1")
SECRET = b"of the inside"
ORG = Org.model_validate({"name": "main", "api_key": "sk-x", "base_url": "http://127.0.0.1:9/v1"})

PUBLIC_ONLY = endpoint(f"https://{NAME}/", allow_private=False)


@dataclass
class Network:
    """Answers of the resolver in turn, the last one for ever; where connections went, and what came there."""

    answers: list[Sequence[str]] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)
    connected: list[tuple[str, int]] = field(default_factory=list)
    hosts: list[str | None] = field(default_factory=list)
    redirect_to: str = ""
    port: int = 0

    def resolve(self, host: Any, port: Any, *_: Any, **__: Any) -> list[Any]:
        """Stand in for `socket.getaddrinfo`."""
        self.asked.append(str(host))
        found = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        return [_info(address, int(port)) for address in found]


def _info(address: str, port: int) -> tuple[Any, ...]:
    if ":" in address:
        return socket.AF_INET6, socket.SOCK_STREAM, 6, "", (address, port, 0, 0)
    return socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)


@pytest.fixture
def network(monkeypatch: pytest.MonkeyPatch) -> Iterator[Network]:
    """Yield a network in which the public addresses are a server of this test, and all others are real."""
    made, connect = Network(), BaseSelectorEventLoop.sock_connect

    async def sock_connect(loop: BaseSelectorEventLoop, sock: socket.socket, address: Any) -> None:
        made.connected.append((address[0], address[1]))
        public = address[0] in (PUBLIC, OTHER_PUBLIC)
        await connect(loop, sock, ("127.0.0.1", made.port) if public else address)

    with ThreadingHTTPServer(("127.0.0.1", 0), _handler(made)) as server:
        made.port = server.server_port
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        monkeypatch.setattr(socket, "getaddrinfo", made.resolve)
        monkeypatch.setattr(BaseSelectorEventLoop, "sock_connect", sock_connect)
        yield made
        server.shutdown()
        thread.join()


def _handler(network: Network) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            network.hosts.append(self.headers["host"])
            self.rfile.read(int(self.headers.get("content-length", "0")))
            self.send_response(302 if network.redirect_to else 200)
            self.send_header("Location", network.redirect_to)
            self.send_header("Content-Length", str(len(SECRET)))
            self.end_headers()
            self.wfile.write(SECRET)

        do_POST = do_GET  # noqa: N815 - as http.server names them

        def log_message(self, *_: object) -> None:
            pass

    return Handler


Way = Callable[[httpx.AsyncBaseTransport, str], Awaitable[object]]


async def provider_image(transport: httpx.AsyncBaseTransport, url: str) -> object:
    """Fetch an image that a provider's answer names."""
    return await Downloader(transport).fetch(url, ORG)


async def input_image(transport: httpx.AsyncBaseTransport, url: str) -> object:
    """Fetch an image that a job names."""
    return await Downloader(transport).fetch_input(url, 1_000)


async def webhook(transport: httpx.AsyncBaseTransport, url: str) -> object:
    """Deliver a message; one that fails for its address is told as the downloads tell it."""
    now = datetime.now(UTC)
    row = WebhookRow(webhook_id=1, job_id="a", url=url, event="job.failed", payload="{}", tries=1, created_at=now)
    told = await Sender(transport, SystemClock(), timeout_seconds=5).send(row, PUBLIC_ONLY)
    if isinstance(told, Failed):
        raise NotFetched(told.why)
    assert isinstance(told, Arrived)
    return SECRET


WAYS = pytest.mark.parametrize("way", [provider_image, input_image, webhook])


def go(way: Way, *urls: str) -> list[object]:
    """Return what each address brings, one after the other over one transport; what is refused as its error."""

    async def story() -> list[object]:
        transport = open_transport()
        try:
            return [await _told(way(transport, url)) for url in urls]
        finally:
            await transport.aclose()

    return asyncio.run(story())


async def _told(work: Awaitable[object]) -> object:
    try:
        return await work
    except NotFetched as refused:
        return refused


@WAYS
def test_a_name_is_resolved_once_and_the_connection_goes_to_what_was_checked(way: Way, network: Network) -> None:
    network.answers = [[PUBLIC], ["127.0.0.1"]]
    assert go(way, f"http://{NAME}/a.png") == [SECRET]
    assert network.asked == [NAME]
    assert network.connected == [(PUBLIC, 80)]
    assert network.hosts == [NAME]


@WAYS
def test_a_name_that_has_changed_is_refused_the_next_time_whatever_was_good_before(way: Way, network: Network) -> None:
    network.answers = [[PUBLIC], ["127.0.0.1"]]
    first, second = go(way, f"http://{NAME}/a.png", f"http://{NAME}/b.png")
    assert first == SECRET
    assert "which is no public address" in str(second)
    assert "127.0.0.1" not in str(second), "what a name means inside is not told"
    assert network.connected == [(PUBLIC, 80)]


@WAYS
@pytest.mark.parametrize("inside", INSIDE)
@pytest.mark.parametrize("public_first", [True, False])
def test_one_address_inside_among_public_ones_is_enough_to_refuse(
    way: Way,
    network: Network,
    inside: str,
    public_first: bool,  # noqa: FBT001 - a parameter
) -> None:
    network.answers = [[PUBLIC, inside] if public_first else [inside, PUBLIC]]
    (told,) = go(way, f"http://{NAME}/a.png")
    assert "which is no public address" in str(told)
    assert (network.connected, network.hosts) == ([], [])


@WAYS
def test_of_many_public_addresses_only_a_checked_one_is_connected(way: Way, network: Network) -> None:
    network.answers = [[OTHER_PUBLIC, PUBLIC], ["127.0.0.1"]]
    assert go(way, f"http://{NAME}/a.png") == [SECRET]
    assert network.connected == [(OTHER_PUBLIC, 80)]


@WAYS
@pytest.mark.parametrize("to", ["http://127.0.0.1:{port}/", "http://rebind.example/b", "//169.254.169.254/", "/b"])
def test_redirects_lead_nowhere(way: Way, network: Network, to: str) -> None:
    network.answers = [[PUBLIC], ["127.0.0.1"]]
    network.redirect_to = to.format(port=network.port)
    (told,) = go(way, f"http://{NAME}/a.png")
    assert "302" in str(told)
    assert (network.connected, network.asked) == ([(PUBLIC, 80)], [NAME])


@WAYS
@pytest.mark.parametrize("host", ["127.0.0.1", "[::1]", "[::ffff:127.0.0.1]", "2130706433", "0x7f.1", "localhost."])
def test_an_address_inside_is_refused_in_every_spelling(
    way: Way, network: Network, host: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.undo()  # the machine's own resolver decides what these mean
    (told,) = go(way, f"http://{host}/a.png")
    assert "which is no public address" in str(told) or "no image from" in str(told) or "not reached" in str(told)
    assert network.hosts == []


@WAYS
def test_over_tls_the_name_is_what_is_asked_for_and_not_the_address(way: Way, network: Network) -> None:
    """The handshake is not completed: only what the client says first matters here."""
    named: list[str | None] = []
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.sni_callback = lambda _sock, name, _context: named.append(name)

    def serve(listener: socket.socket) -> None:
        connection, _ = listener.accept()
        with connection:
            try:
                context.wrap_socket(connection, server_side=True).close()
            except OSError:  # no certificate to show
                return

    network.answers = [[PUBLIC], ["127.0.0.1"]]
    with socket.create_server(("127.0.0.1", 0)) as listener:
        network.port = listener.getsockname()[1]
        listener.settimeout(10)
        thread = threading.Thread(target=serve, args=(listener,))
        thread.start()
        (told,) = go(way, f"https://{NAME}/a.png")
        thread.join(10)
    assert isinstance(told, NotFetched)
    assert named == [NAME]
    assert network.connected == [(PUBLIC, 443)]
