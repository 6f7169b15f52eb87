"""Redis answers as text and numbers: the client's types allow both, the server sends bytes, anybody may write there."""

from typing import Final

DIGITS_MAX: Final = 18
"""Of a whole number that is believed: more do not fit into 64 bits, or are nobody's count."""


def text(value: bytes | str) -> str:
    """Return an answer as text; bytes that are no UTF-8 are shown as such and never raise."""
    return value.decode(errors="backslashreplace") if isinstance(value, bytes) else value


def whole(value: bytes | str | None, default: int = 0) -> int:
    """Return a whole number, not negative; `default` for what is none."""
    written = text(value or b"")
    return int(written) if written.isascii() and written.isdecimal() and len(written) <= DIGITS_MAX else default
