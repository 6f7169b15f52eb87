"""How a job names its input images: by the SHA-256 of what is kept in the store, or by an http(s) address. Pure."""

import re
from typing import Final

SCHEME: Final = "sha256:"
ACCEPTED: Final = "sha256:DIGEST of an image kept here, or an http(s) address"
REFERENCE_CHARACTERS_MAX: Final = 2048

_KEPT: Final = re.compile(r"sha256:[0-9a-f]{64}")
_ADDRESS: Final = re.compile(r"https?://[^\s/?#]\S*", re.IGNORECASE)


def reference_of(sha256: str) -> str:
    """Return the reference of an image in the store, by the hexadecimal digest of its bytes."""
    return f"{SCHEME}{sha256}"


def sha256_of(reference: str) -> str | None:
    """Return the digest in a reference to a kept image, None for any other."""
    return reference.removeprefix(SCHEME) if _KEPT.fullmatch(reference) else None


def is_address(reference: str) -> bool:
    """Return whether a reference is an http(s) address, which the worker fetches when the job's turn comes."""
    return _ADDRESS.fullmatch(reference) is not None


def checked_reference(reference: str) -> str:
    """Return a reference as it stands; ValueError says what is accepted."""
    if sha256_of(reference) is None and not is_address(reference):
        raise ValueError(f"{ACCEPTED} is needed; files and data URLs are kept first (POST /v1/images, or a client)")
    return reference
