"""What is held for a call: the days on which it may be billed."""

from datetime import UTC, date, datetime

import pytest

from imagequeue.config.catalog.delivery import Delivered
from imagequeue.config.settings import load_settings
from imagequeue.worker.book import billed_days


@pytest.mark.parametrize(
    ("at", "delivery", "last"),
    [
        ("2026-11-22T12:00:00", "now", "2026-11-22"),
        ("2026-11-22T23:56:00", "now", "2026-11-23"),
        ("2026-11-22T12:00:00", "batch", "2026-11-23"),
        ("2026-11-22T21:56:00", "batch", "2026-11-24"),
    ],
)
def test_a_call_may_be_billed_until_its_deadline_and_a_batch_a_day_after_it_was_gathered(
    at: str, delivery: Delivered, last: str
) -> None:
    held_at = datetime.fromisoformat(at).replace(tzinfo=UTC)
    assert billed_days(held_at, delivery, load_settings({})) == (date(2026, 11, 22), date.fromisoformat(last))
