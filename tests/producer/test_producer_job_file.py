"""A file of jobs is checked whole before any of it is queued; a bad line is named by its number and field."""

import io
import json
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imagequeue.config.catalog import load_catalog
from imagequeue.config.errors import JobRefused
from imagequeue.config.job import JOB_BYTES_MAX, Job
from imagequeue.config.settings import load_settings
from imagequeue.producer import job_file
from imagequeue.producer.admission import Admission
from imagequeue.producer.job_file import JobFile

CATALOG = load_catalog()
ADMISSION = Admission(load_settings({"IMAGEQUEUE_MODELS": '["gpt-image-2"]'}), CATALOG, lambda: date(2026, 11, 22))


def checked(text: bytes) -> list[tuple[int, str]]:
    """Return the line numbers and prompts of a file, read twice."""
    with JobFile(ADMISSION.entry) as jobs:
        jobs.check(io.BytesIO(text), lambda _: None)
        twice = [[(line.number, line.entry.job.prompt) for line in jobs.lines()] for _ in range(2)]
        assert twice[0] == twice[1]
        assert jobs.count == len(twice[0])
        return twice[0]


def test_lines_are_numbered_as_an_editor_does() -> None:
    text = b'\xef\xbb\xbf{"prompt": "a"}\r\n\n   \n{"prompt": "b"}'
    assert checked(text) == [(1, "a"), (4, "b")]


def test_lines_beyond_those_kept_in_memory_are_read_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(job_file, "KEPT_MAX", 3)
    text = b"\n\n".join(json.dumps({"prompt": f"{number}"}).encode() for number in range(10))
    assert checked(text) == [(2 * number + 1, f"{number}") for number in range(10)]


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ('{"prompt": "x", "size": "9x9"}', "line 3: size: gpt-image-2 does not take '9x9'"),
        ('{"prompt": ""}', "line 3: prompt"),
        ('{"promt": "x"}', "line 3: "),
        ("{", "line 3: job: valid JSON is needed"),
        ("[]", "line 3: job"),
        ('{"prompt": "x", "webhook": "https://a.b"}', "line 3: webhook: the address of a configured"),
        (
            '{"prompt": "other", "idempotency_key": "k"}',
            "line 3: idempotency_key: line 1 has it too, with another body",
        ),
    ],
)
def test_a_bad_line_is_named_by_number_and_field(line: str, problem: str) -> None:
    text = f'{{"prompt": "x", "idempotency_key": "k"}}\n\n{line}\n'
    with pytest.raises(JobRefused) as refused:
        checked(text.encode())
    assert str(refused.value).startswith(problem)


def test_the_same_line_twice_is_one_job_twice_asked_for() -> None:
    line = b'{"prompt": "x", "idempotency_key": "k"}\n'
    assert len(checked(line * 2)) == 2


def test_a_line_that_is_too_long_is_refused_without_being_read_whole() -> None:
    text = b'{"prompt": "a"}\n' + b" " * (JOB_BYTES_MAX + 1)
    with pytest.raises(JobRefused, match="line 2: at most 1048576 bytes"):
        checked(text)


@given(st.lists(st.text(min_size=1, max_size=30).filter(lambda text: text.strip() and "\0" not in text), max_size=12))
def test_what_is_queued_is_what_the_lines_say(prompts: list[str]) -> None:
    prompts = [prompt for prompt in prompts if not any("\ud800" <= letter <= "\udfff" for letter in prompt)]
    text = "\n".join(json.dumps({"prompt": prompt}) for prompt in prompts).encode()
    assert [prompt for _, prompt in checked(text)] == prompts


def test_entries_are_made_once_for_what_is_kept() -> None:
    made: list[Job] = []

    def make(job: Job):  # type: ignore[no-untyped-def]  # as ADMISSION.entry
        made.append(job)
        return ADMISSION.entry(job)

    with JobFile(make) as jobs:
        jobs.check(io.BytesIO(b'{"prompt": "a"}\n'), lambda _: None)
        assert [line.entry.id for line in jobs.lines()] == [line.entry.id for line in jobs.lines()]
    assert len(made) == 1
