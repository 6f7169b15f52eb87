"""Cursors as a tenant's key gets them: sealed, since a page may end at a job of somebody else's. Pure but for chance.

A list goes through jobs of all tenants, so that where it goes on is told by an id and a time that may be another's.
They are encrypted (SHAKE-256 of key and nonce is the key stream) and authenticated (HMAC-SHA256), for one tenant each.
"""

import base64
import hashlib
import hmac
import secrets
from typing import Final

from imagequeue.config.errors import JobRefused

NONCE_BYTES: Final = 16
TAG_BYTES: Final = 16
CHARACTERS_MAX: Final = 2_048


def sealed(cursor: str | None, secret: bytes, tenant: str) -> str | None:
    """Return a cursor that tells nothing; None for None."""
    if cursor is None:
        return None
    nonce = secrets.token_bytes(NONCE_BYTES)
    body = nonce + _mixed(cursor.encode(), nonce, secret, tenant)
    return base64.urlsafe_b64encode(body + _tag(body, secret, tenant)).decode().rstrip("=")


def opened(cursor: str | None, secret: bytes, tenant: str) -> str | None:
    """Return what was sealed for this tenant; JobRefused names `after` for anything else."""
    if cursor is None:
        return None
    try:
        whole = base64.urlsafe_b64decode(cursor[:CHARACTERS_MAX] + "=" * (-len(cursor) % 4))
    except ValueError:
        whole = b""
    body, tag = whole[:-TAG_BYTES], whole[-TAG_BYTES:]
    if len(body) < NONCE_BYTES or not hmac.compare_digest(tag, _tag(body, secret, tenant)):
        raise JobRefused("after", "the cursor that came with the page before is needed")
    return _mixed(body[NONCE_BYTES:], body[:NONCE_BYTES], secret, tenant).decode()


def _mixed(data: bytes, nonce: bytes, secret: bytes, tenant: str) -> bytes:
    """Encrypt, or decrypt again: the key stream is as long as the data, and each nonce is used once."""
    stream = hashlib.shake_256(_key("cursor", secret, tenant) + nonce).digest(len(data))
    return bytes(one ^ other for one, other in zip(data, stream, strict=True))


def _tag(body: bytes, secret: bytes, tenant: str) -> bytes:
    return hmac.digest(_key("cursor tag", secret, tenant), body, "sha256")[:TAG_BYTES]


def _key(use: str, secret: bytes, tenant: str) -> bytes:
    return hmac.digest(secret, f"{use}\0{tenant}".encode(), "sha256")
