"""A job is read strictly: it is either exactly what was asked for, or refused with the field's name."""

import json
import zlib
from datetime import UTC, datetime

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from imagequeue.config.errors import JobRefused
from imagequeue.config.job import (
    FUNCTION_NAME,
    JOB_BYTES_MAX,
    METADATA_BYTES_MAX,
    NESTING_MAX,
    PROMPT_CHARACTERS_MAX,
    Job,
    encode_data,
    parse_job,
    parse_job_json,
    queue_name,
)

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.datetimes().map(str),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=6,
)
OBJECTS = st.dictionaries(st.sampled_from([*Job.model_fields, "nonsense"]), VALUES, max_size=5)


@given(OBJECTS.map(lambda job: {"prompt": "a fox", **job}) | VALUES)
@example({"prompt": "a fox", "deadline": "0001-01-01T00:00:00+14:00"})
@example({"prompt": "a fox", "not_before": 10**300})
@example({"prompt": "a fox", "max_cost_usd": "sNaN"})
def test_any_value_is_a_job_or_refused(value: object) -> None:
    try:
        job = parse_job(value)
    except JobRefused:
        return
    assert parse_job(job.model_dump(mode="json")) == job


@given(st.binary(max_size=64) | st.text(max_size=64) | OBJECTS.map(json.dumps))
@example("[" * 10_000)
@example('{"prompt":"a","metadata":' + '{"a":' * 5_000 + "1" + "}" * 5_001)
@example('{"prompt":"\\ud800"}')
@example('{"prompt":"a","n":' + "9" * 5_000 + "}")
@example('{"prompt":"a","metadata":{"a":' + "9" * 5_000 + "}}")
@example(b"\xff\xfe{}")
def test_any_text_is_a_job_or_refused(text: str | bytes) -> None:
    try:
        parse_job_json(text)
    except JobRefused:
        return


@given(st.text(min_size=1, max_size=40).filter(lambda text: text.strip() and "\0" not in text))
def test_a_prompt_survives_the_queue_as_it_is(prompt: str) -> None:
    data = encode_data(parse_job({"prompt": prompt}))
    call = json.loads(data if data.startswith(b"[") else zlib.decompress(data))
    assert call == [FUNCTION_NAME, None, [{"prompt": prompt}], {}]


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"prompt": " \n"}, "prompt"),
        ({"prompt": "a\0b"}, "prompt"),
        ({"prompt": "a\ud800"}, "prompt"),
        ({"prompt": "a" * (PROMPT_CHARACTERS_MAX + 1)}, "prompt"),
        ({"n": 0}, "n"),
        ({"n": 11}, "n"),
        ({"n": True}, "n"),
        ({"prioritaet": "high"}, "prioritaet"),
        ({"priority": "urgent"}, "priority"),
        ({"model": "a b"}, "model"),
        ({"model": "gpt-image-2\n"}, "model"),
        ({"max_attempts": 0}, "max_attempts"),
        ({"max_attempts": True}, "max_attempts"),
        ({"max_cost_usd": "-1"}, "max_cost_usd"),
        ({"max_cost_usd": "0.0000000001"}, "max_cost_usd"),
        ({"tags": {"k": "v\0"}}, "tags.k"),
        ({"tags": {f"k{i}": "v" for i in range(33)}}, "tags"),
        ({"intent": ""}, "intent"),
        ({"idempotency_key": "k" * 256}, "idempotency_key"),
        ({"webhook": "ftp://host/"}, "webhook"),
        ({"metadata": {"a": "x" * METADATA_BYTES_MAX}}, "metadata"),
        ({"metadata": {"a": "\0"}}, "metadata"),
        ({"metadata": {"a": float("nan")}}, "metadata"),
        ({"metadata": {"a": object()}}, "metadata"),
    ],
)
def test_a_wrong_field_is_refused_by_name(change: dict[str, object], field: str) -> None:
    with pytest.raises(JobRefused) as refused:
        parse_job({"prompt": "a fox", **change})
    assert refused.value.field == field


def test_an_unknown_field_is_refused_with_the_nearest_known_one() -> None:
    with pytest.raises(JobRefused, match=r"sise: unknown field; did you mean size[?]; known are prompt, model"):
        parse_job({"prompt": "a cat", "sise": "1024x1024"})


@pytest.mark.parametrize(
    ("value", "field"),
    [("a cat", "job"), (["a cat"], "job"), (None, "job"), ({"prompt": "x", "tags": []}, "tags")],
)
def test_what_is_no_object_is_told_what_is_needed(value: object, field: str) -> None:
    with pytest.raises(JobRefused, match=f"^{field}: a JSON object is needed$"):
        parse_job(value)


def test_a_job_without_a_prompt_is_refused_by_name() -> None:
    with pytest.raises(JobRefused, match=r"^prompt: "):
        parse_job({})


def nested(levels: int) -> dict[str, object]:
    value: dict[str, object] = {}
    for _ in range(levels - 1):
        value = {"a": value}
    return value


def test_metadata_nests_as_deep_as_said_and_no_deeper() -> None:
    assert parse_job({"prompt": "a fox", "metadata": nested(NESTING_MAX)})
    with pytest.raises(JobRefused, match="nesting of at most 16"):
        parse_job({"prompt": "a fox", "metadata": nested(NESTING_MAX + 1)})


def test_a_text_beyond_the_byte_limit_is_refused_unread() -> None:
    with pytest.raises(JobRefused, match="bytes of JSON"):
        parse_job_json(b" " * (JOB_BYTES_MAX + 1))


def test_times_become_utc() -> None:
    """A time without zone is taken as UTC."""
    job = parse_job({"prompt": "a", "deadline": "2026-11-22T12:00:00+02:00", "not_before": "2026-11-22T08:00:00"})
    assert job.deadline == datetime(2026, 11, 22, 10, tzinfo=UTC)
    assert job.not_before == datetime(2026, 11, 22, 8, tzinfo=UTC)


def test_a_price_ceiling_is_exact() -> None:
    assert parse_job({"prompt": "a", "max_cost_usd": 0.1}).max_cost_nano_usd() == 100_000_000
    assert parse_job({"prompt": "a"}).max_cost_nano_usd() is None


def test_queue_names_are_model_and_priority() -> None:
    assert queue_name("dall-e-3", "high") == "dall-e-3.high"


@pytest.mark.parametrize(
    ("fields", "accepted"),
    [
        ({"tenant": "a b"}, "tenant: 1 to 64 letters, digits and _ . : @ / - are accepted, a letter or digit first"),
        ({"size": "\uff19x9"}, "size: 1 to 32 letters, digits and _ . - are accepted, a letter or digit first"),
        ({"webhook": "ftp://x"}, "webhook: an http(s) address is accepted"),
        ({"deadline": "soon"}, "deadline: a time in ISO 8601 is needed, e.g. 2026-11-22T18:00:00Z"),
        ({"max_cost_usd": "0.0000000001"}, "max_cost_usd: finer than a nano-dollar: '1E-10'"),
    ],
)
def test_a_refusal_says_what_is_accepted_in_words(fields: dict[str, object], accepted: str) -> None:
    with pytest.raises(JobRefused) as refused:
        parse_job({"prompt": "x", **fields})
    assert str(refused.value) == accepted
