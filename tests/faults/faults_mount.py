"""Small file systems that can be full, in a mount namespace of one process and its children: nobody else sees them."""

import subprocess
import sys
from pathlib import Path

MOUNT_SECONDS_MAX = 10


def why_not() -> str:
    """Return why a file system cannot be mounted here, '' when it can."""
    probe = ["unshare", "-m", "sh", "-c", "mount -t tmpfs -o size=64k tmpfs /mnt"]
    try:
        done = subprocess.run(probe, capture_output=True, text=True, timeout=MOUNT_SECONDS_MAX, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"unshare: {error}"
    return "" if done.returncode == 0 else f"unshare -m and mount: {done.stderr.strip() or done.returncode}"


def mount(folder: Path, size: str) -> None:
    """Mount an empty file system of this size; only in a process started by `apart`."""
    folder.mkdir(parents=True, exist_ok=True)
    command = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)]
    subprocess.run(command, check=True, timeout=MOUNT_SECONDS_MAX)


def apart(arguments: list[str], *, seconds_max: float) -> subprocess.CompletedProcess[str]:
    """Run a script of ours with mounts of its own."""
    command = ["unshare", "-m", sys.executable, *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=seconds_max, check=False)
