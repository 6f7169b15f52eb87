"""The headers that prove who sent a webhook and that nobody changed it. Pure.

Standard Webhooks 1.0: `v1` is the HMAC-SHA256 of `id.timestamp.body`, in base64; with several secrets, one signature of
each, separated by spaces, so that a receiver can change over at any time.
"""

import base64
import hashlib
import hmac
from collections.abc import Sequence
from datetime import datetime

from pydantic import SecretStr

from imagequeue.config.webhooks import signing_key


def signed_headers(message_id: str, at: datetime, body: bytes, secrets: Sequence[SecretStr]) -> dict[str, str]:
    """Return `webhook-id`, `webhook-timestamp` (whole seconds since 1970) and `webhook-signature`."""
    timestamp = str(int(at.timestamp()))
    signed = f"{message_id}.{timestamp}.".encode() + body
    return {
        "webhook-id": message_id,
        "webhook-timestamp": timestamp,
        "webhook-signature": " ".join(f"v1,{_signature(secret, signed)}" for secret in secrets),
    }


def _signature(secret: SecretStr, signed: bytes) -> str:
    return base64.b64encode(hmac.digest(signing_key(secret), signed, hashlib.sha256)).decode()
