"""The lines of a batch's files: a stranger among them is left out, whatever it calls itself."""

import json
from datetime import UTC, datetime

import pytest

from imagequeue.worker.batch_lines import read_line

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)


def line(custom_id: object) -> bytes:
    """Return an answered line of that name."""
    return json.dumps({"custom_id": custom_id, "response": {"status_code": 200, "body": {}}, "error": None}).encode()


def test_a_line_is_the_answer_of_the_attempt_that_it_names() -> None:
    said = read_line(line(str(2**63 - 1)), sent_at=NOW, now=NOW)
    assert said is not None
    assert said.attempt_id == 2**63 - 1


@pytest.mark.parametrize("custom_id", [str(2**63), "9" * 5000, "٣", "-5", "ours", "", None, 5])
def test_a_line_that_no_attempt_can_have_asked_for_is_left_out(custom_id: object) -> None:
    assert read_line(line(custom_id), sent_at=NOW, now=NOW) is None
