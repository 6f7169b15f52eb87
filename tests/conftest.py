"""For all tests: the order in which they start, and what no test needs and each client would otherwise pay for."""

import os
import re
import tempfile
from pathlib import Path

import certifi
import pytest
import structlog

TRUSTED = "SSL_CERT_FILE"
CERTIFICATE = re.compile(r"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----\n", re.DOTALL)


def pytest_configure(config: pytest.Config) -> None:
    """Trust one authority instead of all of them: reading them takes each HTTP client and each process 0.05 s of CPU.

    Tests speak with this machine only, and those that use TLS bring their own authority.
    """
    if TRUSTED in os.environ:
        return
    first = CERTIFICATE.search(Path(certifi.where()).read_text(encoding="ascii", errors="replace"))
    assert first is not None
    with tempfile.NamedTemporaryFile("w", prefix="imagequeue-authority-", delete=False) as file:
        file.write(first[0])
    config.add_cleanup(lambda: Path(file.name).unlink())
    os.environ[TRUSTED] = file.name  # the processes of pytest-xdist and of the tests inherit it


def pytest_sessionstart() -> None:
    """Log faults without the values they met, as the product does: drawing those takes seconds of a test's time."""
    plain = structlog.dev.ConsoleRenderer(colors=False, exception_formatter=structlog.dev.plain_traceback)
    structlog.configure(processors=[structlog.processors.add_log_level, plain])


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the tests that kill processes first: they wait for leases, while the many short ones use the processors."""
    items.sort(key=lambda item: item.get_closest_marker("kill") is None)
