"""Images that a server gives by address instead of by value: fetched with a guard, as the address is not ours.

Only http and https; only the organization's own host, or a host whose every address is public; no redirects; a
deadline and a bound on bytes. The connection is made to the address that was checked, so that a name cannot change its
mind in between.
"""

import asyncio
import ipaddress
import socket
from collections.abc import Sequence
from urllib.parse import urljoin, urlsplit

import httpx

from imagequeue.config.errors import ImageQueueError
from imagequeue.config.orgs import Org
from imagequeue.worker.http import CONNECT_SECONDS_MAX, TRANSPORT_ERRORS

IMAGE_BYTES_MAX = 64 * 1024 * 1024
DOWNLOAD_SECONDS_MAX = 60.0
PORTS = {"http": 80, "https": 443}


class NotFetched(ImageQueueError):
    """An image's address is not fetched, or brought nothing; the text says why."""


class Downloader:
    """Fetches images over a transport, which others may share."""

    def __init__(self, transport: httpx.AsyncBaseTransport) -> None:
        self._transport = transport

    async def fetch(self, url: str, org: Org) -> bytes:
        """Return the bytes behind an address from an answer of `org`; NotFetched when it may not or cannot be had."""
        address = urljoin(org.base_url + "/", url)
        try:
            async with asyncio.timeout(DOWNLOAD_SECONDS_MAX):
                return await self._get(await _request(address, org))
        except TimeoutError as error:
            raise NotFetched(f"no image from {urlsplit(address).hostname} in {DOWNLOAD_SECONDS_MAX:g} s") from error
        except TRANSPORT_ERRORS as error:
            raise NotFetched(f"no image from {urlsplit(address).hostname}: {type(error).__name__}") from error

    async def _get(self, request: httpx.Request) -> bytes:
        response = await self._transport.handle_async_request(request)
        try:
            if response.status_code != 200:
                raise NotFetched(f"{request.headers['host']} answered {response.status_code} for an image")
            return await _read(response)
        finally:
            await response.aclose()


async def _read(response: httpx.Response) -> bytes:
    chunks, total = [], 0
    async for chunk in response.aiter_raw():
        total += len(chunk)
        if total > IMAGE_BYTES_MAX:
            raise NotFetched(f"an image of more than {IMAGE_BYTES_MAX} bytes")
        chunks.append(chunk)
    return b"".join(chunks)


async def _request(address: str, org: Org) -> httpx.Request:
    parts = urlsplit(address)
    if parts.scheme not in PORTS or not parts.hostname:
        raise NotFetched(f"an image address of scheme {parts.scheme or 'none'}; http and https are accepted")
    own = urlsplit(org.base_url)
    extensions: dict[str, object] = {"timeout": {"connect": CONNECT_SECONDS_MAX, "read": DOWNLOAD_SECONDS_MAX}}
    headers = {"host": parts.netloc.rpartition("@")[2], "accept-encoding": "identity"}
    url = httpx.URL(address)
    if (parts.hostname, parts.port) != (own.hostname, own.port):
        url = url.copy_with(host=await _public_address(parts.hostname, parts.port or PORTS[parts.scheme]))
        extensions["sni_hostname"] = parts.hostname
    return httpx.Request("GET", url, headers=headers, extensions=extensions)


async def _public_address(host: str, port: int) -> str:
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    addresses = [str(entry[4][0]) for entry in found]
    return checked(host, addresses)


def checked(host: str, addresses: Sequence[str]) -> str:
    """Return the first address when all are public; NotFetched otherwise. IPv4 inside IPv6 counts as what it is."""
    for text in addresses:
        address = ipaddress.ip_address(text.partition("%")[0])
        if isinstance(address, ipaddress.IPv6Address):
            address = address.ipv4_mapped or address.sixtofour or _nat64(address) or address
        if not address.is_global or address.is_multicast:
            raise NotFetched(f"{host} leads to {text}, which is no public address")
    if not addresses:
        raise NotFetched(f"{host} has no address")
    return addresses[0]


def _nat64(address: ipaddress.IPv6Address) -> ipaddress.IPv4Address | None:
    """The IPv4 address in a well-known NAT64 address (RFC 6052), else None."""
    if address in ipaddress.IPv6Network("64:ff9b::/96"):
        return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return None
