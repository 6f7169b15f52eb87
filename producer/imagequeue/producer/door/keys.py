"""Keys of the HTTP door: what a token looks like, what a key may do, whether a token is that key. Pure but for chance.

A token is `iq_<id>_<secret>_<checksum>`: a public id to look the key up by, 160 random bits, and a CRC-32 that tells a
mistyped token from an unknown one (the form of GitHub's tokens, github.blog, 2021-04-05). Only its SHA-256 is kept.
"""

import hashlib
import hmac
import secrets
import zlib
from collections.abc import Iterable
from datetime import datetime
from typing import Annotated, Final, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, StringConstraints

from imagequeue.config.job import CacheUse, Name

PREFIX: Final = "iq"
ID_BYTES: Final = 6
SECRET_BYTES: Final = 20
TOKEN_CHARACTERS_MAX: Final = 128
REQUESTS_PER_MINUTE_MAX: Final = 1_000_000

Scope = Literal["submit", "read", "admin"]
SCOPES: Final[tuple[Scope, ...]] = ("submit", "read", "admin")

Label = Annotated[str, StringConstraints(min_length=1, max_length=64, pattern=r"^[^\x00-\x1f\x7f]+$")]


class KeyRecord(BaseModel):
    """One key as it is kept. `tenant` None: it may act for any tenant; a limit that is None does not exist.

    `cache` is what a job's `cache` is when it does not say; None: as the settings say. `sha256` is of the whole token.
    `monthly_budget_nano_usd` bounds what jobs accepted in a UTC month may cost at most.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{12}$")]
    name: Label
    sha256: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
    scopes: Annotated[tuple[Scope, ...], Field(min_length=1)]
    tenant: Name | None = None
    created_at: AwareDatetime
    expires_at: AwareDatetime | None = None
    revoked_at: AwareDatetime | None = None
    requests_per_minute: Annotated[int, Field(ge=1, le=REQUESTS_PER_MINUTE_MAX)] | None = None
    monthly_budget_nano_usd: Annotated[int, Field(ge=0)] | None = None
    cache: CacheUse | None = None

    def state(self, now: datetime) -> Literal["active", "expired", "revoked"]:
        """Return whether it opens the door at a moment."""
        if self.revoked_at is not None:
            return "revoked"
        return "expired" if self.expires_at is not None and now >= self.expires_at else "active"


def new_token() -> tuple[str, str]:
    """Return the id of a new key and its token, which cannot be had again."""
    key_id = secrets.token_hex(ID_BYTES)
    body = f"{PREFIX}_{key_id}_{secrets.token_hex(SECRET_BYTES)}"
    return key_id, f"{body}_{_checksum(body)}"


def digest(token: str) -> str:
    """Return what is kept of a token."""
    return hashlib.sha256(token.encode()).hexdigest()


def is_well_formed(token: str) -> bool:
    """Return whether a token can be one of ours; no secret is looked at."""
    body, _, checksum = token.rpartition("_")
    return (
        len(token) <= TOKEN_CHARACTERS_MAX
        and token.isascii()
        and body.startswith(f"{PREFIX}_")
        and body.count("_") == 2
        and _checksum(body) == checksum
    )


def find(token: str, records: Iterable[KeyRecord]) -> KeyRecord | None:
    """Return the key that a token is, whatever its state; compared in a time that tells nothing about the secret."""
    if not is_well_formed(token):
        return None
    key_id = token.split("_")[1]
    candidate = next((record for record in records if record.id == key_id), None)
    expected = candidate.sha256 if candidate else "0" * 64
    return candidate if hmac.compare_digest(digest(token), expected) else None


def _checksum(body: str) -> str:
    return f"{zlib.crc32(body.encode()):08x}"
