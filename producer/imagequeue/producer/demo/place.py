"""Where a demonstration runs: a fresh data dir with a configuration of its own, so that nothing of yours is touched."""

import os
import re
import shutil
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Final

from imagequeue.config.embedded import running_url
from imagequeue.config.errors import ImageQueueError
from imagequeue.config.settings import CONFIG_VARIABLE, OPENAI_KEY_VARIABLE, PREFIX, RQ_PREFIX_VARIABLE
from imagequeue.producer.demo.jobs import MODEL
from imagequeue.producer.demo.provider import TIER, Provider

KEPT_MAX: Final = 3
"""Data dirs of earlier demonstrations that are left on disk."""
NAME: Final = re.compile(r"\d{8}-\d{6}-\d+")
CONFIG: Final = "imagequeue.toml"


def fresh_folder(environ: Mapping[str, str], cwd: Path, now: datetime) -> Path:
    """Make the data dir, below `demo` in the configured or usual data dir; the oldest ones before it are removed."""
    base = cwd / Path(environ.get(f"{PREFIX}DATA_DIR") or ".imagequeue").expanduser() / "demo"
    folder = base / f"{now:%Y%m%d-%H%M%S}-{os.getpid()}"
    try:
        _remove_old(base)
        folder.mkdir(parents=True)
    except OSError as error:
        raise ImageQueueError(f"the demonstration cannot write to {base}: {error.strerror}") from error
    return folder


def clean_environ(environ: Mapping[str, str], folder: Path) -> dict[str, str]:
    """Return the environment without your settings and keys, and with those of the demonstration."""
    ours = {OPENAI_KEY_VARIABLE, RQ_PREFIX_VARIABLE}
    kept = {name: value for name, value in environ.items() if not name.startswith(PREFIX) and name not in ours}
    return {**kept, CONFIG_VARIABLE: str(folder / CONFIG)}


def write_config(folder: Path, provider: Provider) -> None:
    """Write the configuration of the demonstration. The key opens a simulator on this machine and nothing else."""
    text = f"""# Settings of a demonstration; {CONFIG_VARIABLE} names this file.
data_dir = {_quoted(str(folder))}
models = ["{MODEL}"]

[[orgs]]
name = "demo"
tier = "{TIER}"
base_url = {_quoted(provider.base_url)}
api_key = {_quoted(provider.api_key)}
"""
    (folder / CONFIG).write_text(text, encoding="utf-8")


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _remove_old(base: Path) -> None:
    if not base.is_dir():
        return
    folders = sorted(path for path in base.iterdir() if path.is_dir() and NAME.fullmatch(path.name))
    for folder in folders[: -(KEPT_MAX - 1)]:
        if running_url(folder) is None:
            shutil.rmtree(folder)
