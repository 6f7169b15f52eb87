"""What a run did and saw, one JSON line each: for whoever has to find out why it failed."""

import json
import tempfile
import time
from pathlib import Path


class EventLog:
    """Appends to a file that outlives the run; times are seconds since the log was opened."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file = path.open("w", encoding="utf-8", buffering=1)
        self._begun = time.monotonic()

    @staticmethod
    def path_of(name: str) -> Path:
        """Return where the log of a run is; another run of the same name writes over it."""
        return Path(tempfile.gettempdir(), f"imagequeue-{name}.jsonl")

    def note(self, event: str, **facts: object) -> None:
        """Write one line."""
        line = {"at": round(time.monotonic() - self._begun, 3), "event": event, **facts}
        self._file.write(json.dumps(line, default=str) + "\n")

    def close(self) -> None:
        """Close the file; it stays."""
        self._file.close()
