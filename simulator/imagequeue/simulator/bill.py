"""The provider's own bill: one row a request, never changed, kept in memory and, when asked, in a JSONL file.

A row is on the bill the moment the image was made (or the request refused), before the answer leaves, so that a
broken connection or a killed simulator cannot lose it.
"""

import json
import os
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from imagequeue.config.money import format_usd

ROWS_MAX: Final = 2_000_000


@dataclass(frozen=True, kw_only=True, slots=True)
class BillRow:
    """What one request cost and why; one in a batch costs its share of the price.

    `at` is Unix seconds, `nano_usd` nano-dollars, `usage` the answer's tokens.
    """

    request_id: str
    client_request_id: str | None
    org: str
    project: str
    model: str
    source: str
    size: str
    quality: str
    n: int
    usage: dict[str, int] | None
    nano_usd: int
    at: float
    billed: bool
    reason: str
    status: int
    batch: bool = False


class Bill:
    """Rows in the order in which they were made."""

    def __init__(self, path: Path | None = None) -> None:
        self._rows: list[BillRow] = []
        self._file: int | None = None
        if path is not None:
            self._rows.extend(_read(path))
            self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

    def add(self, row: BillRow) -> None:
        """Append a row, also beyond ROWS_MAX: what was made must be billed. `full` keeps new requests out."""
        if self._file is not None:
            os.write(self._file, json.dumps(asdict(row), separators=(",", ":")).encode() + b"\n")
        self._rows.append(row)

    @property
    def full(self) -> bool:
        """Whether no new request may start before `clear`."""
        return len(self._rows) >= ROWS_MAX

    def rows(self, *, after: int = 0, limit: int | None = None) -> list[BillRow]:
        """Return at most `limit` rows from place `after` on."""
        return self._rows[after : None if limit is None else after + limit]

    def clear(self) -> None:
        """Forget all rows, in the file as well."""
        self._rows.clear()
        if self._file is not None:
            os.ftruncate(self._file, 0)

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            os.close(self._file)
            self._file = None


def totals(rows: Iterable[BillRow]) -> dict[str, object]:
    """Return sums over the rows: requests, billed requests, images and money, also by organization and model."""
    billed = images = nano = requests = 0
    groups: dict[tuple[str, str], list[int]] = {}
    for row in rows:
        requests += 1
        if not row.billed:
            continue
        billed, images, nano = billed + 1, images + row.n, nano + row.nano_usd
        group = groups.setdefault((row.org, row.model), [0, 0, 0])
        group[:] = [group[0] + 1, group[1] + row.n, group[2] + row.nano_usd]
    return {
        "requests": requests,
        "billed_requests": billed,
        "images": images,
        "nano_usd": nano,
        "usd": format_usd(nano),
        "groups": [
            {"org": org, "model": model, "billed_requests": sums[0], "images": sums[1], "nano_usd": sums[2]}
            for (org, model), sums in sorted(groups.items())
        ],
    }


def _read(path: Path) -> list[BillRow]:
    if not path.exists():
        return []
    text = path.read_text(encoding="utf-8")
    # A kill can cut the last line; the request of a cut line was never answered.
    whole = text[: text.rfind("\n") + 1]
    if len(whole) < len(text):
        os.truncate(path, len(whole.encode()))
    return [BillRow(**json.loads(line)) for line in whole.splitlines()]
