"""What faults do to an answer or its connection on the wire."""

import asyncio
import base64
import json
import socket
import struct
import zlib
from typing import Final

from aiohttp import web

from imagequeue.simulator.faults import FAULT_SECONDS_MAX, Fault

DRIP_PIECES: Final = 40
PIECE_BYTES: Final = 1_048_576
GONE_CHECK_SECONDS: Final = 0.05
LINGER_NONE: Final = struct.pack("ii", 1, 0)
NEGATIVE_USAGE: Final = {"total_tokens": -12, "input_tokens": -4, "output_tokens": -8}
PAGE: Final = b"<!doctype html><html><head><title>Just a moment...</title></head><body>Please wait.</body></html>"


async def reset(request: web.Request) -> web.StreamResponse:
    """Break the connection with a TCP reset instead of an answer."""
    transport = request.transport
    if transport is not None:
        connection = transport.get_extra_info("socket")
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER_NONE)
        transport.abort()
    return web.Response(status=500)  # never leaves: there is no connection any more


async def hang(request: web.Request, fault: Fault) -> web.StreamResponse:
    """Answer nothing for the fault's seconds (0 = the longest) or until the caller leaves; then reset."""
    seconds = fault.seconds or FAULT_SECONDS_MAX
    for _ in range(int(seconds / GONE_CHECK_SECONDS)):
        if request.transport is None or request.transport.is_closing():
            break
        await asyncio.sleep(GONE_CHECK_SECONDS)
    return await reset(request)


async def spoiled(request: web.Request, fault: Fault, body: bytes, headers: dict[str, str]) -> web.StreamResponse:
    """Send what the fault makes of a good answer, as far as the caller listens; ValueError for no spoiling."""
    try:
        return await _sent(request, fault, body, headers)
    except ConnectionError:  # the caller left: killed, or it had enough
        return web.Response(status=500)  # never leaves either


async def _sent(request: web.Request, fault: Fault, body: bytes, headers: dict[str, str]) -> web.StreamResponse:
    match fault.kind:
        case "billed_reset":
            return await reset(request)
        case "billed_hang":
            return await hang(request, fault)
        case "drip":
            return await _drip(request, fault, body, headers)
        case "truncated":
            return await _truncated(request, body, headers)
        case "huge_body":
            return await _huge(request, fault, headers)
        case "gzip_bomb":
            return await _bomb(request, fault, headers)
        case "twice":
            return await _twice(request, body, headers)
        case "html":
            return web.Response(body=PAGE, content_type="text/html", headers=headers)
        case _:
            return web.Response(body=changed(fault, body), content_type="application/json", headers=headers)


def changed(fault: Fault, body: bytes) -> bytes:
    """Return the body that a fault makes of a good one; ValueError for a kind that changes no body."""
    match fault.kind:
        case "truncated_json":
            return body[: len(body) // 2]
        case "empty":
            return b""
        case "empty_data":
            return json.dumps({**json.loads(body), "data": []}).encode()
        case "negative_usage":
            return json.dumps({**json.loads(body), "usage": NEGATIVE_USAGE}).encode()
        case "wrong_base64":
            return _with_images(body, "this is *not* base64!")
        case "not_an_image":
            return _with_images(body, base64.b64encode(b"Sorry, no image here. " * 40).decode())
        case "broken_image":
            return _with_images(body, None)
    raise ValueError(f"not a change of the body: {fault.kind}")


def _with_images(body: bytes, replacement: str | None) -> bytes:
    """Put `replacement` for every image, or (None) cut each image file in half."""
    answer = json.loads(body)
    for image in answer["data"]:
        image.pop("url", None)
        whole = image.get("b64_json", base64.b64encode(PAGE).decode())
        image["b64_json"] = whole[: len(whole) // 8 * 4] if replacement is None else replacement
    return json.dumps(answer).encode()


async def _begin(request: web.Request, headers: dict[str, str], length: int | None) -> web.StreamResponse:
    response = web.StreamResponse(headers={**headers, "Content-Type": "application/json"})
    response.content_length = length
    await response.prepare(request)
    return response


async def _drip(request: web.Request, fault: Fault, body: bytes, headers: dict[str, str]) -> web.StreamResponse:
    response = await _begin(request, headers, len(body))
    step = max(1, -(-len(body) // DRIP_PIECES))
    for at in range(0, len(body), step):
        await asyncio.sleep(fault.seconds / DRIP_PIECES)
        await response.write(body[at : at + step])
    await response.write_eof()
    return response


async def _truncated(request: web.Request, body: bytes, headers: dict[str, str]) -> web.StreamResponse:
    response = await _begin(request, headers, len(body))
    await response.write(body[: len(body) // 2])
    if request.transport is not None:
        request.transport.close()
    return response


async def _twice(request: web.Request, body: bytes, headers: dict[str, str]) -> web.StreamResponse:
    response = await _begin(request, headers, len(body))
    await response.write(body)
    await response.write_eof()
    if request.transport is not None:
        request.transport.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
    return response


async def _huge(request: web.Request, fault: Fault, headers: dict[str, str]) -> web.StreamResponse:
    head, tail = b'{"created":0,"data":[{"b64_json":"', b'"}]}'
    response = await _begin(request, headers, None)
    await response.write(head)
    for length in _pieces(fault.bytes - len(head) - len(tail)):
        await response.write(b"A" * length)
    await response.write(tail)
    await response.write_eof()
    return response


async def _bomb(request: web.Request, fault: Fault, headers: dict[str, str]) -> web.StreamResponse:
    response = await _begin(request, {**headers, "Content-Encoding": "gzip"}, None)
    packer = zlib.compressobj(6, zlib.DEFLATED, zlib.MAX_WBITS | 16)
    for length in _pieces(fault.bytes):
        await response.write(packer.compress(b" " * length))
        await asyncio.sleep(0)
    await response.write(packer.flush())
    await response.write_eof()
    return response


def _pieces(total: int) -> list[int]:
    whole, rest = divmod(max(0, total), PIECE_BYTES)
    return [PIECE_BYTES] * whole + ([rest] if rest else [])
