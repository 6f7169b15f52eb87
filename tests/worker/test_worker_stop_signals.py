"""Which signals ask a worker to finish: those of a person, of an init system, and of a terminal that closes."""

import signal
from collections.abc import Iterator

import pytest

from imagequeue.config.signals import stop_signals


@pytest.fixture
def hang_up() -> Iterator[None]:
    """Put back what SIGHUP did before."""
    before = signal.getsignal(signal.SIGHUP)
    yield
    signal.signal(signal.SIGHUP, before)


@pytest.mark.usefixtures("hang_up")
def test_a_closed_terminal_counts_unless_it_is_ignored() -> None:
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    assert set(stop_signals()) == {signal.SIGTERM, signal.SIGINT, signal.SIGHUP}
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    assert set(stop_signals()) == {signal.SIGTERM, signal.SIGINT}
