"""This machine: whether a worker may open as many connections as it is configured to."""

import resource
from typing import Final

from imagequeue.config.settings import Settings
from imagequeue.producer.checkup.finding import Finding, ok, warn

FILES_BESIDE_CALLS: Final = 128  # server, ledger, store, logs, and images being written


async def check_machine(settings: Settings) -> list[Finding]:
    """Compare the limit on open files with the calls in flight of one worker process."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    return [judge_files(soft, hard, settings.max_in_flight)]


def judge_files(soft: int, hard: int, max_in_flight: int) -> Finding:
    """Return the finding about the limits on open files; -1 is no limit. Pure."""
    needed = max_in_flight + FILES_BESIDE_CALLS
    says = f"{'any number of' if soft == resource.RLIM_INFINITY else soft} open files are allowed, {needed} are needed"
    if soft == resource.RLIM_INFINITY or soft >= needed:
        return ok("open files", says)
    by_itself = hard == resource.RLIM_INFINITY or hard >= needed
    do = f"ulimit -n {needed}" if by_itself else f"raise the hard limit ({hard}) to {needed}"
    return warn("open files", says, f"{do}, or lower IMAGEQUEUE_MAX_IN_FLIGHT")
