"""The ledger that the settings name, for a process that begins."""

from contextlib import suppress

from imagequeue.config.settings import Settings
from imagequeue.ledger.ledger import Ledger
from imagequeue.ledger.writer import COMMITS_PER_SECOND


async def open_ledger(settings: Settings, *, commits_per_second: float = COMMITS_PER_SECOND) -> Ledger:
    """Return the configured ledger; see Ledger.open for `commits_per_second` and for what goes wrong.

    The data directory is made, so that the first command of a new installation finds its place; where it cannot be
    made, a ledger that needs it says so, and one that is elsewhere does without.
    """
    with suppress(OSError):
        settings.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    return await Ledger.open(settings.ledger_url.get_secret_value(), commits_per_second=commits_per_second)
