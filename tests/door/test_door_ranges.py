"""One range of bytes is answered as RFC 9110 (14) says, anything else with the whole."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imagequeue.producer.door.problems import Problem
from imagequeue.producer.door.ranges import wanted_part

TAG = "ab" * 32


def part(text: str, length: int = 10, **headers: str) -> tuple[int, int] | None:
    return wanted_part({"range": text, **headers}, TAG, length)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("bytes=0-0", (0, 0)), ("bytes=2-4", (2, 4)), ("bytes=9-", (9, 9)), ("bytes=0-99", (0, 9)),
        ("bytes=-3", (7, 9)), ("bytes=-99", (0, 9)), ("", None), ("bytes=-", None), ("bytes=4-2", None),
        ("bytes=0-1,3-4", None), ("lines=0-1", None), ("bytes=a-b", None),
        ("bytes=\u0663-", None), ("bytes=" + "9" * 400 + "-", None),
    ],
)  # fmt: skip
def test_one_range_is_a_part_and_all_else_is_the_whole(text: str, expected: tuple[int, int] | None) -> None:
    assert part(text) == expected


@pytest.mark.parametrize("text", ["bytes=10-", "bytes=10-12", "bytes=-0"])
def test_beyond_the_end_is_refused_with_the_length(text: str) -> None:
    with pytest.raises(Problem) as refused:
        part(text)
    assert (refused.value.status, refused.value.headers["Content-Range"]) == (416, "bytes */10")


def test_a_part_of_another_version_is_not_continued() -> None:
    headers = {"if-range": f'"{TAG}"'}
    assert part("bytes=2-4", **headers) == (2, 4)
    assert part("bytes=2-4", **{"if-range": '"other"'}) is None
    assert part("bytes=99-", **{"if-range": "Sun, 22 Nov 2026 00:00:00 GMT"}) is None


@given(st.integers(0, 20), st.integers(0, 20), st.integers(1, 16))
def test_a_part_lies_within_the_file(first: int, last: int, length: int) -> None:
    if first >= length and first <= last:
        with pytest.raises(Problem):
            part(f"bytes={first}-{last}", length)
    else:
        found = part(f"bytes={first}-{last}", length)
        assert found is None if first > last else found == (first, min(last, length - 1))
