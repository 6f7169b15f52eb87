"""Which part of a file a request wants: one range of bytes (RFC 9110, 14); more than one, or none of ours, is all."""

import re
from collections.abc import Mapping
from typing import Final

from imagequeue.producer.door.problems import Problem

RANGE: Final = re.compile(r"bytes=(\d{0,15})-(\d{0,15})", re.ASCII)


def wanted_part(headers: Mapping[str, str], tag: str, length: int) -> tuple[int, int] | None:
    """Return first and last byte of the part that is wanted, None for all; Problem 416 for one beyond the end.

    A client that has part of another version (`If-Range`) gets all.
    """
    found = RANGE.fullmatch(headers.get("range", "").strip())
    if found is None or headers.get("if-range", f'"{tag}"') != f'"{tag}"':
        return None
    first, last = found.groups()
    if not first:
        return None if not last else _tail(int(last), length)
    if last and int(last) < int(first):
        return None
    if int(first) >= length:
        raise beyond(length)
    return int(first), min(int(last), length - 1) if last else length - 1


def _tail(count: int, length: int) -> tuple[int, int]:
    if count == 0 or length == 0:
        raise beyond(length)
    return max(length - count, 0), length - 1


def beyond(length: int) -> Problem:
    """Return the refusal of a range that the file does not reach."""
    return Problem(
        416, f"Range: the file has {length} bytes", code="invalid_range", headers={"Content-Range": f"bytes */{length}"}
    )
