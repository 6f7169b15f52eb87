"""Talks to a running simulator's own door: bill, calls, statistics, faults, reset. For tests and demo."""

from collections.abc import Iterator
from dataclasses import asdict
from types import TracebackType
from typing import Any, Final, Self

import httpx

from imagequeue.simulator.faults import Fault

TIMEOUT_SECONDS: Final = 30.0
PAGES_MAX: Final = 10_000


class SimulatorControl:
    """A client of /sim/* at `base_url`, with or without the provider's `/v1` at its end. httpx.HTTPError on failure."""

    def __init__(self, base_url: str) -> None:
        root = base_url.rstrip("/").removesuffix("/v1")
        self._http = httpx.Client(base_url=root, timeout=TIMEOUT_SECONDS)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def bill(self) -> list[dict[str, Any]]:
        """Return all bill rows, in order; the keys are the fields of `bill.BillRow`."""
        return list(self._pages("/sim/bill", "rows"))

    def bill_totals(self) -> dict[str, Any]:
        """Return the sums: requests, billed_requests, images, nano_usd, usd, groups by organization and model."""
        return self._get("/sim/bill/totals")

    def calls(self) -> list[dict[str, Any]]:
        """Return the log of calls in order of arrival; the keys are the fields of `calls.Call`."""
        return list(self._pages("/sim/calls", "calls"))

    def stats(self) -> dict[str, Any]:
        """Return counts, calls in flight, first and last start, and starts per second."""
        return self._get("/sim/stats")

    def faults(self) -> list[dict[str, Any]]:
        """Return the fault rules in force, with `seen` and `hits`."""
        return list(self._get("/sim/faults")["faults"])

    def set_faults(self, *faults: Fault) -> None:
        """Replace the fault rules; none at all clears them."""
        self._http.post("/sim/faults", json={"faults": [asdict(fault) for fault in faults]}).raise_for_status()

    def reset(self) -> None:
        """Return the simulator to its start: empty bill and log, full buckets, configured faults."""
        self._http.post("/sim/reset").raise_for_status()

    def healthy(self) -> bool:
        """Whether the simulator answers."""
        try:
            return self._http.get("/healthz").is_success
        except httpx.HTTPError:
            return False

    def _get(self, path: str, **query: int) -> dict[str, Any]:
        response = self._http.get(path, params=query)
        response.raise_for_status()
        answer: dict[str, Any] = response.json()
        return answer

    def _pages(self, path: str, name: str) -> Iterator[dict[str, Any]]:
        after: int | None = 0
        for _ in range(PAGES_MAX):
            page = self._get(path, after=after or 0)
            yield from page[name]
            after = page["next"]
            if after is None:
                return
