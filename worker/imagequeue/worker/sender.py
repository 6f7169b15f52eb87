"""One delivery of one webhook: a signed POST to an address that was checked, and what the answer means.

No redirects, no cookies, no proxy, a total deadline. Unless the endpoint allows private addresses, every address of the
host must be public, and the connection is made to the one that was checked. The receiver's answer is not read.
"""

import asyncio
import socket
from importlib.metadata import version
from urllib.parse import urlsplit

import httpx

from imagequeue.config.clock import Clock
from imagequeue.config.webhooks import Webhook
from imagequeue.ledger.api import WebhookRow
from imagequeue.worker.download import NotFetched, checked
from imagequeue.worker.http import TRANSPORT_ERRORS
from imagequeue.worker.redelivery import Arrived, Failed, judge
from imagequeue.worker.signing import signed_headers

PORTS = {"http": 80, "https": 443}


class Sender:
    """Sends messages over a transport, which others may share."""

    def __init__(self, transport: httpx.AsyncBaseTransport, clock: Clock, *, timeout_seconds: float) -> None:
        self._transport = transport
        self._clock = clock
        self._timeout_seconds = timeout_seconds
        self._agent = f"imagequeue/{version('imagequeue')}"

    async def send(self, row: WebhookRow, endpoint: Webhook) -> Arrived | Failed:
        """Deliver a message, once; whatever goes wrong on the way is a Failed that says so."""
        try:
            async with asyncio.timeout(self._timeout_seconds):
                response = await self._transport.handle_async_request(await self._request(row, endpoint))
                status, retry_after = response.status_code, response.headers.get("retry-after")
                await response.aclose()
        except TimeoutError:
            return Failed(why=f"no answer in {self._timeout_seconds:g} s")
        except NotFetched as refused:
            return Failed(why=str(refused))
        except TRANSPORT_ERRORS as error:
            return Failed(why=f"not reached: {type(error.__cause__ or error).__name__}")
        return judge(status, retry_after, self._clock.now())

    async def _request(self, row: WebhookRow, endpoint: Webhook) -> httpx.Request:
        parts = urlsplit(row.url)
        host = parts.hostname or ""
        body = row.payload.encode()
        headers = {
            "host": parts.netloc,
            "content-type": "application/json",
            "user-agent": self._agent,
            **signed_headers(message_id(row.webhook_id), self._clock.now(), body, endpoint.secrets),
        }
        extensions: dict[str, object] = {"timeout": {"connect": self._timeout_seconds, "read": self._timeout_seconds}}
        url = httpx.URL(row.url)
        if not endpoint.allow_private:
            url = url.copy_with(host=await _public_address(host, parts.port or PORTS[parts.scheme]))
            extensions["sni_hostname"] = host
        return httpx.Request("POST", url, headers=headers, content=body, extensions=extensions)


def message_id(webhook_id: int) -> str:
    """Return what receivers know a message by: the same at every try."""
    return f"msg_{webhook_id}"


async def _public_address(host: str, port: int) -> str:
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return checked(host, [str(entry[4][0]) for entry in found])
