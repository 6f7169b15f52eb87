"""A job is refused at the door for what its model does not accept, with the field and what is accepted instead."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imagequeue.config.catalog import Catalog, adapt_job, check_job, choose_model
from imagequeue.config.errors import JobRefused
from imagequeue.config.job import Job, parse_job

KEPT = f"sha256:{'0' * 64}"

ACCEPTED: list[dict[str, object]] = [
    {"model": "dall-e-3", "size": "1792x1024", "quality": "hd", "style": "vivid"},
    {"model": "dall-e-3"},
    {"model": "dall-e-2", "size": "256x256", "n": 10},
    {"model": "dall-e-2", "operation": "edit", "images": [KEPT], "mask": KEPT},
    {"model": "dall-e-2", "operation": "variation", "images": [KEPT]},
    {"model": "gpt-image-1-mini", "background": "transparent", "output_format": "webp", "quality": "high", "n": 10},
    {"model": "gpt-image-2", "size": "auto", "quality": "auto", "background": "transparent"},
    {"model": "gpt-image-2", "size": "3840x2160", "delivery": "batch"},
    {"model": "gpt-image-2", "size": "1024x640"},
    {"model": "gpt-image-2.5-flare", "quality": "max", "operation": "edit", "images": [KEPT] * 16},
    {"model": "gpt-image-2.6-sunburst", "quality": "xhigh"},
]
REFUSED: list[tuple[dict[str, object], str, str]] = [
    ({"model": None}, "model", "a model is needed"),
    ({"model": "dalle-3"}, "model", "did you mean dall-e-3?"),
    ({"model": "dall-e-3", "size": "512x512"}, "size", "1024x1024, 1792x1024, 1024x1792"),
    ({"model": "dall-e-3", "size": "auto"}, "size", "1024x1024"),
    ({"model": "dall-e-3", "partial_images": 1}, "partial_images", "accepted: 0, or leave it out"),
    ({"model": "gpt-image-2", "images": ["cat.png"], "operation": "edit"}, "images.0", "sha256:DIGEST"),
    ({"model": "gpt-image-2", "mask": "sha256:00"}, "mask", "sha256:DIGEST"),
    ({"model": "gpt-image-2", "prompt": " "}, "prompt", "a prompt with at least one visible character"),
    ({"model": "dall-e-3", "quality": "high"}, "quality", "accepted: standard, hd"),
    ({"model": "dall-e-3", "style": "loud"}, "style", "accepted: vivid, natural"),
    ({"model": "dall-e-3", "n": 2}, "n", "accepted: 1 to 1"),
    ({"model": "dall-e-3", "background": "opaque"}, "background", "none, leave it out"),
    ({"model": "dall-e-3", "output_format": "png"}, "output_format", "none, leave it out"),
    ({"model": "dall-e-3", "operation": "edit", "images": [KEPT]}, "operation", "accepted: generation"),
    ({"model": "dall-e-3", "prompt": "a" * 4001}, "prompt", "at most 4000 characters"),
    ({"model": "dall-e-2", "delivery": "batch"}, "delivery", "accepted: now, auto"),
    ({"model": "dall-e-2", "operation": "edit", "images": [KEPT, "https://example.com/b.png"]}, "images", "1 to 1"),
    ({"model": "dall-e-2", "operation": "variation", "images": [KEPT], "mask": KEPT}, "mask", "none for variation"),
    ({"model": "gpt-image-1", "size": "2048x2048"}, "size", "accepted: auto, 1024x1024"),
    ({"model": "gpt-image-1", "style": "vivid"}, "style", "none, leave it out"),
    ({"model": "gpt-image-2", "quality": "max"}, "quality", "auto, low, medium, high"),
    ({"model": "gpt-image-2", "output_format": "gif"}, "output_format", "png, jpeg, webp"),
    (
        {"model": "gpt-image-2", "background": "transparent", "output_format": "jpeg"},
        "background",
        "png or webp, not jpeg",
    ),
    ({"model": "gpt-image-2", "operation": "variation", "images": [KEPT]}, "operation", "generation, edit"),
    ({"model": "gpt-image-2", "operation": "edit"}, "images", "1 to 16 for edit, not 0"),
    ({"model": "gpt-image-2", "images": [KEPT]}, "images", "operation edit"),
    ({"model": "gpt-image-2", "mask": KEPT}, "mask", "operation edit"),
    ({"model": "dall-e-3", "overflow": ["gpt-image-3"]}, "overflow", "did you mean gpt-image-"),
    ({"model": "gpt-image-2", "n": 4, "overflow": ["dall-e-3"]}, "overflow", "dall-e-3: n: dall-e-3 makes at most 1"),
]


def job(change: dict[str, object]) -> Job:
    return parse_job({"prompt": "a fox", **change})


@pytest.mark.parametrize("change", ACCEPTED, ids=str)
def test_what_a_model_accepts_passes_unchanged(catalog: Catalog, change: dict[str, object]) -> None:
    assert check_job(job(change), catalog) == job(change)


@pytest.mark.parametrize(("change", "field", "said"), REFUSED, ids=lambda value: str(value)[:60])
def test_what_a_model_does_not_accept_is_refused_by_field(
    catalog: Catalog, change: dict[str, object], field: str, said: str
) -> None:
    with pytest.raises(JobRefused) as refused:
        check_job(job(change), catalog)
    assert refused.value.field == field
    assert said in refused.value.message


@pytest.mark.parametrize(("said", "sent"), [("1536x1024", "1792x1024"), ("1024x1536", "1024x1792")])
def test_other_names_of_a_size_become_the_apis_own(catalog: Catalog, said: str, sent: str) -> None:
    assert check_job(job({"model": "dall-e-3", "size": said}), catalog).size == sent


@given(st.integers(1, 5000), st.integers(1, 5000))
def test_free_sizes_keep_to_the_published_rule(catalog: Catalog, width: int, height: int) -> None:
    long, short = max(width, height), min(width, height)
    allowed = (
        width % 16 == 0
        and height % 16 == 0
        and long <= 3840
        and long <= 3 * short
        and 655_360 <= width * height <= 8_294_400
    ) or (width, height) in {(1024, 1024), (1536, 1024), (1024, 1536)}
    try:
        check_job(job({"model": "gpt-image-2", "size": f"{width}x{height}"}), catalog)
    except JobRefused:
        assert not allowed
    else:
        assert allowed


@given(st.integers(15, 241), st.integers(15, 241))
def test_free_sizes_on_the_16_pixel_grid(catalog: Catalog, w16: int, h16: int) -> None:
    """The same rule where most candidates pass, so that both answers are seen."""
    width, height = 16 * w16, 16 * h16
    long, short = max(width, height), min(width, height)
    allowed = long <= 3840 and long <= 3 * short and 655_360 <= width * height <= 8_294_400
    try:
        check_job(job({"model": "gpt-image-2", "size": f"{width}x{height}"}), catalog)
    except JobRefused:
        assert not allowed
    else:
        assert allowed


@pytest.mark.parametrize("size", ["1024X1024", "x", "1024x", "01024x1024", "1024x1024x1", "99999x99999"])
def test_a_size_of_another_form_is_refused(catalog: Catalog, size: str) -> None:
    with pytest.raises(JobRefused, match=r"^size: "):
        check_job(job({"model": "gpt-image-2", "size": size}), catalog)


def test_overflow_words_the_job_for_the_other_model(catalog: Catalog) -> None:
    asked = job(
        {"model": "dall-e-3", "size": "1792x1024", "quality": "hd", "style": "vivid", "overflow": ["gpt-image-1"]}
    )
    adapted = adapt_job(check_job(asked, catalog), catalog.model("gpt-image-1"))
    assert adapted == job({"model": "gpt-image-1", "size": "1536x1024", "quality": "high"})
    back = adapt_job(job({"model": "gpt-image-2", "size": "1536x1024", "quality": "low"}), catalog.model("dall-e-3"))
    assert back == job({"model": "dall-e-3", "size": "1792x1024", "quality": "standard"})


def test_a_job_without_a_model_gets_the_first_that_is_served() -> None:
    assert choose_model(job({}), ["a", "b", "c"], {"b", "c"}.__contains__) == "b"
    assert choose_model(job({"model": "z"}), ["a"], set[str]().__contains__) == "z"
    with pytest.raises(JobRefused, match=r"^model: none of a, b is served"):
        choose_model(job({}), ["a", "b"], set[str]().__contains__)
