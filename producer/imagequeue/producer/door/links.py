"""Image links that open without a key for a while: signed, as an app expects them that only ever changed its base URL.

`?expires=<Unix seconds>&signature=<HMAC-SHA256 of "<sha256>.<expires>">`. A link opens one image and nothing else.
"""

import hashlib
import hmac
from datetime import datetime
from typing import Final

LINK_SECONDS: Final = 3_600
"""As long as the provider's own links lived."""
EXPIRES_DIGITS_MAX: Final = 12


def signed(url: str, sha256: str, secret: bytes, now: datetime) -> str:
    """Return an image's address with a signature that holds for LINK_SECONDS."""
    expires = str(int(now.timestamp()) + LINK_SECONDS)
    return f"{url}?expires={expires}&signature={_signature(sha256, expires, secret)}"


def is_good(sha256: str, expires: str, signature: str, secret: bytes, now: datetime) -> bool:
    """Return whether a signature is ours, for this image, and not too old."""
    if not (expires.isascii() and expires.isdecimal() and len(expires) <= EXPIRES_DIGITS_MAX):
        return False
    mine = _signature(sha256, expires, secret)
    return hmac.compare_digest(mine.encode(), signature.encode()) and now.timestamp() < int(expires)


def _signature(sha256: str, expires: str, secret: bytes) -> str:
    return hmac.new(secret, f"{sha256}.{expires}".encode(), hashlib.sha256).hexdigest()
