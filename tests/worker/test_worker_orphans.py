"""An engine outlives no supervisor: it is asked to finish, as by a person."""

import subprocess
import sys

ENGINE = """
import signal
from imagequeue.worker.orphaned import end_with_parent
signal.signal(signal.SIGTERM, lambda *_: print("asked to finish", flush=True))
end_with_parent(look_seconds=0.01)
print("running", flush=True)
signal.pause()
"""
SUPERVISOR = "import subprocess, sys; subprocess.run([sys.executable, '-c', sys.argv[1]])"


def test_an_engine_whose_supervisor_is_killed_is_asked_to_finish() -> None:
    with subprocess.Popen([sys.executable, "-c", SUPERVISOR, ENGINE], stdout=subprocess.PIPE, text=True) as supervisor:
        assert supervisor.stdout is not None
        assert supervisor.stdout.readline() == "running\n"
        supervisor.kill()
        assert supervisor.stdout.read() == "asked to finish\n"
