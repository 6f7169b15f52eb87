"""Cursors as a tenant's key gets them: sealed, since a page may end at a job of somebody else's.

A list goes through jobs of all tenants, so that where it goes on is told by an id and a time that may be another's.
"""

import base64
import hmac
from typing import TYPE_CHECKING, Final

from imagequeue.config.errors import JobRefused

if TYPE_CHECKING:
    from cryptography.fernet import Fernet

CHARACTERS_MAX: Final = 2_048


def sealed(cursor: str | None, secret: bytes, tenant: str) -> str | None:
    """Return a cursor that tells nothing; None for None."""
    return None if cursor is None else _seal(secret, tenant).encrypt(cursor.encode()).decode().rstrip("=")


def opened(cursor: str | None, secret: bytes, tenant: str) -> str | None:
    """Return what was sealed for this tenant; JobRefused names `after` for anything else."""
    if cursor is None:
        return None
    from cryptography.fernet import InvalidToken

    try:
        return _seal(secret, tenant).decrypt(cursor[:CHARACTERS_MAX] + "=" * (-len(cursor) % 4)).decode()
    except (InvalidToken, ValueError) as error:
        raise JobRefused("after", "the cursor that came with the page before is needed") from error


def _seal(secret: bytes, tenant: str) -> "Fernet":
    """Each tenant has a key of its own, so that one's cursor is nothing to another."""
    from cryptography.fernet import Fernet  # 15 MB, which a door without tenants' keys does without

    return Fernet(base64.urlsafe_b64encode(hmac.digest(secret, f"cursor\0{tenant}".encode(), "sha256")))
