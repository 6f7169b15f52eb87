"""The product's command line as its users start it: in a process of its own, with an environment of its own."""

import os
import subprocess
import sys
from pathlib import Path

KEPT = ("PATH", "HOME", "LANG")
RUN_SECONDS_MAX = 60


def environment(data_dir: Path, **more: str) -> dict[str, str]:
    """Return an environment in which nothing is configured but the data dir and what is given."""
    kept = {name: os.environ[name] for name in KEPT if name in os.environ}
    return kept | {"IMAGEQUEUE_DATA_DIR": str(data_dir)} | more


def command(*arguments: str) -> list[str]:
    """Return the command line of `imagequeue` with these arguments."""
    return [sys.executable, "-m", "imagequeue.producer.main", *arguments]


def imagequeue(data_dir: Path, *arguments: str, **more: str) -> "subprocess.CompletedProcess[str]":
    """Run one command to its end; the data dir is also where it runs."""
    data_dir.mkdir(exist_ok=True)
    return subprocess.run(
        command(*arguments),
        env=environment(data_dir, **more),
        cwd=data_dir,
        capture_output=True,
        text=True,
        timeout=RUN_SECONDS_MAX,
        check=False,
    )
