"""The one place where the HTTP client is set up: httpx as the interface, aiohttp as its transport.

httpx's own connection pool is scanned on every event, which at 2,000 calls in flight costs more than all else together
(docs/benchmarks.md); aiohttp's does not. No retries here: the queue retries.
"""

import aiohttp
import httpx
from httpx_aiohttp import AiohttpTransport

CONNECT_SECONDS_MAX = 10.0
KEEPALIVE_SECONDS = 10.0  # shorter than servers keep an idle connection, so that a call seldom meets one being closed
DNS_CACHE_SECONDS = 30


def open_client(*, read_seconds: float) -> httpx.AsyncClient:
    """Return a client for thousands of calls in flight; must be made inside the running event loop."""
    connector = aiohttp.TCPConnector(limit=0, keepalive_timeout=KEEPALIVE_SECONDS, ttl_dns_cache=DNS_CACHE_SECONDS)
    session = aiohttp.ClientSession(connector=connector, cookie_jar=aiohttp.DummyCookieJar())
    return httpx.AsyncClient(
        transport=AiohttpTransport(client=session),
        timeout=httpx.Timeout(read_seconds, connect=CONNECT_SECONDS_MAX, pool=None),
        trust_env=False,
        follow_redirects=False,
    )


def never_sent(error: httpx.TransportError) -> bool:
    """Return whether it is certain that no byte of the request left.

    The transport reports a server that hung up in the middle as a ConnectTimeout too, so its own name is not to be
    trusted with money; the cause is.
    """
    cause = error.__cause__
    if cause is None:
        return isinstance(error, httpx.ConnectError)
    return isinstance(cause, aiohttp.ClientConnectorError | aiohttp.ConnectionTimeoutError)
