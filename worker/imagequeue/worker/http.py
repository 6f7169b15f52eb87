"""The one place where the HTTP transport is set up: httpx as the interface, aiohttp underneath.

httpx's own connection pool is scanned on every event, which at 2,000 calls in flight costs more than all else together
(docs/benchmarks.md); aiohttp's does not. Calls go straight to the transport: cookies, redirects, proxies and auth flows
of the client on top are of no use here and cost a fifth of a call. No retries: the queue retries.
"""

import asyncio

import aiohttp
import httpx
from aiohttp.client_reqrep import ConnectionKey
from aiohttp.connector import Connection
from aiohttp.tracing import Trace
from httpx_aiohttp import AiohttpTransport

CONNECT_SECONDS_MAX = 10.0
KEEPALIVE_SECONDS = 10.0  # shorter than servers keep an idle connection, so that a call seldom meets one being closed
DNS_CACHE_SECONDS = 30


class CleanConnector(aiohttp.TCPConnector):
    """Never uses a connection again on which more came than one answer to each request.

    What came would be taken for the answer to the next request: its job would get another's images. aiohttp looks for
    it when an answer has ended, and not when the connection is taken up again; `_get` is where it takes one up.
    """

    async def _get(self, key: ConnectionKey, traces: list[Trace]) -> Connection | None:
        while (connection := await super()._get(key, traces)) is not None:
            await asyncio.sleep(0)  # what has arrived is read now
            protocol = connection.protocol
            if protocol is not None and protocol.is_connected() and not protocol.should_close:
                return connection
            connection.close()
        return None


def open_transport() -> httpx.AsyncBaseTransport:
    """Return a transport for thousands of calls in flight; must be made inside the running event loop."""
    connector = CleanConnector(limit=0, keepalive_timeout=KEEPALIVE_SECONDS, ttl_dns_cache=DNS_CACHE_SECONDS)
    session = aiohttp.ClientSession(connector=connector, cookie_jar=aiohttp.DummyCookieJar())
    return AiohttpTransport(client=session)


TRANSPORT_ERRORS = (httpx.TransportError, aiohttp.ClientError, OSError)
"""Everything that a call's connection may raise; the transport lets some of aiohttp's own errors through."""


NEVER_SENT = (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError, aiohttp.InvalidURL, httpx.ConnectError)


def never_sent(error: Exception) -> bool:
    """Return whether it is certain that no byte of the request left.

    The transport reports a server that hung up in the middle as a ConnectTimeout too, so its own name is not to be
    trusted with money; the cause is.
    """
    return isinstance(cause_of(error), NEVER_SENT)


def cause_of(error: Exception) -> BaseException:
    """Return what really happened, of an error that a transport raised."""
    return error.__cause__ or error
