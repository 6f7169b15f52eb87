"""When a commit may be made at once, and how long it had better gather operations before."""

import math
from typing import Final

COMMITS_AT_ONCE: Final = 30
"""Commits that a quiet ledger makes one right after the other."""
COMPANY_MIN: Final = 4.0
"""Operations that have to be expected while gathering; for fewer, waiting costs more than the commits it saves."""
MEMORY_SECONDS: Final = 1.0
"""Over how long the rate of operations is taken, each weighing less the longer ago it was (exponentially)."""


class Allowance:
    """Counts one writer's commits and operations, by times in seconds of a clock that never goes back."""

    def __init__(self, commits_per_second: float, now: float) -> None:
        self._commits_per_second = commits_per_second
        self._commits = float(COMMITS_AT_ONCE)
        self._recent_operations = 0.0
        self._at = now

    def wait_seconds(self, now: float) -> float:
        """Return how long to gather before the next commit: 0 while commits are left, or few would come meanwhile."""
        self._pass(now)
        expected = self._recent_operations / MEMORY_SECONDS / self._commits_per_second
        if self._commits >= 1 or expected < COMPANY_MIN:
            return 0.0
        return (1 - self._commits) / self._commits_per_second

    def spend(self, operations: int, now: float) -> None:
        """Note a commit of so many operations."""
        self._pass(now)
        self._commits = max(0.0, self._commits - 1)
        self._recent_operations += operations

    def _pass(self, now: float) -> None:
        seconds, self._at = now - self._at, now
        self._commits = min(COMMITS_AT_ONCE, self._commits + seconds * self._commits_per_second)
        self._recent_operations *= math.exp(-seconds / MEMORY_SECONDS)
