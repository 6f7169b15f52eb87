"""Images that are given by address instead of by value: fetched with a guard, as the address is not ours.

Answers name images of the organization's server, jobs name input images anywhere. Only http and https; only a trusted
host, or one whose every address is public; no redirects, no proxies; a deadline and a bound on bytes. The connection
is made to the address that was checked, so that a name cannot change its mind in between. Addresses in jobs come from
strangers: only the standard ports, and no user names.
"""

import asyncio
import ipaddress
import socket
from collections.abc import Collection, Sequence
from urllib.parse import SplitResult, urljoin, urlsplit

import httpx

from imagequeue.config.errors import ImageQueueError
from imagequeue.config.orgs import Org
from imagequeue.worker.http import CONNECT_SECONDS_MAX, TRANSPORT_ERRORS

IMAGE_BYTES_MAX = 64 * 1024 * 1024
DOWNLOAD_SECONDS_MAX = 60.0
PORTS = {"http": 80, "https": 443}
TEMPORARY = frozenset({408, 425, 429})
INNER_IPV4 = tuple(
    ipaddress.IPv6Network(block) for block in ("::/96", "::ffff:0:0:0/96", "64:ff9b::/96", "64:ff9b:1::/48")
)
"""IPv6 addresses that lead to the IPv4 address in their last 32 bits: the old compatible form, and translators' own
(RFC 4291 section 2.5.5.1, RFC 2765, RFC 6052, RFC 8215)."""


class NotFetched(ImageQueueError):
    """An image's address is not fetched, or brought nothing; the text says why. `temporary`: another try may help."""

    def __init__(self, message: str, *, temporary: bool = False) -> None:
        super().__init__(message)
        self.temporary = temporary


class Downloader:
    """Fetches images over a transport, which others may share. `input_hosts` (HOST or HOST:PORT) may be private."""

    def __init__(self, transport: httpx.AsyncBaseTransport, input_hosts: Collection[str] = ()) -> None:
        self._transport = transport
        self._input_hosts = frozenset(host.lower() for host in input_hosts)

    async def fetch(self, url: str, org: Org) -> bytes:
        """Return the bytes behind an address from an answer of `org`; NotFetched when it may not or cannot be had."""
        address = urljoin(org.base_url + "/", url)
        parts, own = _parts(address), urlsplit(org.base_url)
        return await self._fetch(address, trusted=(parts.hostname, parts.port) == (own.hostname, own.port))

    async def fetch_input(self, url: str, bytes_max: int) -> bytes:
        """Return the bytes behind an address in a job; NotFetched when it may not or cannot be had."""
        parts = _parts(url)
        trusted = parts.netloc.lower() in self._input_hosts
        if parts.username is not None or parts.password is not None:
            raise NotFetched("an image address with a user name; one without is accepted")
        if not trusted and parts.port not in (None, PORTS[parts.scheme]):
            raise NotFetched(f"an image address with port {parts.port}; the standard ports 80 and 443 are accepted")
        return await self._fetch(url, trusted=trusted, bytes_max=bytes_max)

    async def _fetch(self, address: str, *, trusted: bool, bytes_max: int = IMAGE_BYTES_MAX) -> bytes:
        host = urlsplit(address).hostname
        try:
            async with asyncio.timeout(DOWNLOAD_SECONDS_MAX):
                return await self._get(await _request(address, trusted=trusted), bytes_max)
        except TimeoutError as error:
            raise NotFetched(f"no image from {host} in {DOWNLOAD_SECONDS_MAX:g} s", temporary=True) from error
        except TRANSPORT_ERRORS as error:
            raise NotFetched(f"no image from {host}: {type(error).__name__}", temporary=True) from error
        except (UnicodeError, httpx.InvalidURL) as error:
            raise NotFetched("an image address that names no host") from error

    async def _get(self, request: httpx.Request, bytes_max: int) -> bytes:
        response = await self._transport.handle_async_request(request)
        try:
            status = response.status_code
            if status != 200:
                message = f"{request.headers['host']} answered {status} for an image"
                raise NotFetched(message, temporary=status in TEMPORARY or status >= 500)
            return await _read(response, bytes_max)
        finally:
            await response.aclose()


async def _read(response: httpx.Response, bytes_max: int) -> bytes:
    chunks, total = [], 0
    async for chunk in response.aiter_raw():
        total += len(chunk)
        if total > bytes_max:
            raise NotFetched(f"an image of more than {bytes_max} bytes")
        chunks.append(chunk)
    return b"".join(chunks)


def _parts(address: str) -> SplitResult:
    """The address taken apart; NotFetched unless it is of http or https and has a host."""
    try:
        parts = urlsplit(address)
        named = parts.scheme in PORTS and parts.hostname and (parts.port is None or parts.port > 0)
    except ValueError as error:
        raise NotFetched("an image address that cannot be read") from error
    if not named:
        raise NotFetched(f"an image address of scheme {parts.scheme or 'none'}; http and https are accepted")
    return parts


async def _request(address: str, *, trusted: bool) -> httpx.Request:
    parts = _parts(address)
    extensions: dict[str, object] = {"timeout": {"connect": CONNECT_SECONDS_MAX, "read": DOWNLOAD_SECONDS_MAX}}
    headers = {"host": parts.netloc.rpartition("@")[2], "accept-encoding": "identity"}
    url = httpx.URL(address)
    if not trusted:
        url = url.copy_with(host=await _public_address(str(parts.hostname), parts.port or PORTS[parts.scheme]))
        extensions["sni_hostname"] = parts.hostname
    return httpx.Request("GET", url, headers=headers, extensions=extensions)


async def _public_address(host: str, port: int) -> str:
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    addresses = [str(entry[4][0]) for entry in found]
    return checked(host, addresses)


def checked(host: str, addresses: Sequence[str]) -> str:
    """Return the first address when all are public; NotFetched otherwise. IPv4 inside IPv6 counts as what it is.

    The refusal reaches whoever gave the job: it does not tell which address a name has in this network.
    """
    for text in addresses:
        address = ipaddress.ip_address(text.partition("%")[0])
        if isinstance(address, ipaddress.IPv6Address):
            address = address.ipv4_mapped or address.sixtofour or _inner(address) or address
        if not address.is_global or address.is_multicast or getattr(address, "is_site_local", False):
            raise NotFetched(f"{host} has an address inside, which is no public address")
    if not addresses:
        raise NotFetched(f"{host} has no address")
    return addresses[0]


def _inner(address: ipaddress.IPv6Address) -> ipaddress.IPv4Address | None:
    """The IPv4 address inside an address of INNER_IPV4, else None."""
    if any(address in block for block in INNER_IPV4) and not address.is_loopback:
        return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return None
