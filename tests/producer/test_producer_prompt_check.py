"""The prompt check: what it finds, in which words, what it leaves alone, and what doors do with it."""

import json
from collections.abc import Callable
from datetime import date
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imagequeue.config.catalog import load_catalog
from imagequeue.config.errors import JobRefused
from imagequeue.config.job import Job
from imagequeue.config.settings import Settings
from imagequeue.producer import PromptFinding, check_prompt
from imagequeue.producer.admission import Admission
from imagequeue.producer.promptcheck.check import FINDINGS_MAX
from imagequeue.producer.promptcheck.jobs import check_job

DAY = date(2026, 11, 22)
BAD = "photorealistic, illustrated, in the style of Monet, a fox"


@pytest.mark.parametrize(
    ("prompt", "code", "words"),
    [
        (BAD, "conflicting_styles", ["photorealistic", "illustrated"]),
        ("a photorealistic cartoon of a cat", "conflicting_styles", ["photorealistic", "cartoon"]),
        ("Oil painting, PHOTO-REALISTIC portrait", "conflicting_styles", ["Oil painting", "PHOTO-REALISTIC"]),
        ("a close-up wide shot of a dog", "conflicting_framing", ["close-up", "wide shot"]),
        ("full body headshot of a knight", "conflicting_framing", ["full body", "headshot"]),
        ("a market at night in bright sunlight", "conflicting_light", ["at night", "bright sunlight"]),
        (
            "black and white photo, vibrant colours, a tram",
            "conflicting_light",
            ["black and white photo", "vibrant colours"],
        ),
        ("8k, masterpiece, highly detailed, cinematic lighting", "missing_subject", []),
        ("make it better", "refers_elsewhere", ["make it better"]),
        ("the previous image but blue", "refers_elsewhere", ["the previous image"]),
        ("a {animal} in the snow", "placeholder", ["{animal}"]),
        ("a portrait of [your subject here]", "placeholder", ["[your subject here]"]),
        ('a poster that says "one two three four five six seven eight nine"', "long_text", None),
        ("a beach, no people", "negation", ["no people"]),
        ("a street without any cars on it", "negation", ["without any cars"]),
        ("seventeen cats on a sofa", "exact_count", ["seventeen cats"]),
        ("a very very very big cat", "repetition", ["very very very"]),
        ("a fox, " + "red, " * 2 + ", ".join(f"thing {n}" for n in range(40)), "crowded", None),
    ],
)
def test_what_often_needs_another_try_is_found_in_its_words(prompt: str, code: str, words: list[str] | None) -> None:
    found = {finding.code: finding for finding in check_prompt(prompt)}
    assert code in found
    if words is not None:
        assert [span.text for span in found[code].spans] == words
    assert all(prompt[span.start : span.end] == span.text for span in found[code].spans)
    assert found[code].advice


@pytest.mark.parametrize(
    "prompt",
    [
        "a lighthouse at dusk",
        "bond",
        "beautiful",
        "a photo of a watercolor painting on a wall",
        "a photograph of a child holding an illustrated book",
        "a cartoon of a man taking a photo",
        "half the picture at night, half in bright sunlight",
        "a no smoking sign on a blue wall",
        'a sign that reads "no dogs allowed"',
        'a neon sign that says "open"',
        "three cats and two dogs",
        "an aerial view of a city",
        "a monochrome drawing of a bridge",
        "die Brücke bei Nacht",
    ],
)
def test_what_is_fine_is_left_alone(prompt: str) -> None:
    assert check_prompt(prompt) == ()


def test_a_prompt_over_the_models_length_says_which_part_is_too_much() -> None:
    (finding,) = check_prompt("a lighthouse at dusk", characters_max=12)
    assert (finding.code, finding.spans[0].text) == ("too_long", "a lighthouse at dusk"[12:])


def test_with_input_images_a_prompt_may_be_about_them() -> None:
    assert check_prompt("make it better", edits=True) == ()
    assert check_job(Job(prompt="make it better"))


@given(st.text(max_size=200))
def test_any_text_is_checked_and_spans_are_its_own_words(prompt: str) -> None:
    found = check_prompt(prompt)
    assert len(found) <= FINDINGS_MAX
    assert all(isinstance(finding, PromptFinding) for finding in found)
    for finding in found:
        json.dumps(finding.as_json())
        assert all(prompt[span.start : span.end] == span.text for span in finding.spans)


def test_a_configured_block_refuses_at_every_door_and_hints_never_do(settings: Settings) -> None:
    blocking = Admission(settings.model_copy(update={"prompt_check": "block"}), load_catalog(), lambda: DAY)
    with pytest.raises(JobRefused, match=r"^prompt: conflicting_styles: 'photorealistic' / 'illustrated'"):
        blocking.entry(Job(prompt=BAD))
    blocking.entry(Job(prompt="a beach, no people"))
    Admission(settings, load_catalog(), lambda: DAY).entry(Job(prompt=BAD))


def test_enqueue_checks_and_blocks(imagequeue: Callable[..., tuple[int, str, str]], tmp_path: Path) -> None:
    code, out, err = imagequeue("enqueue", "--prompt", BAD, "--check")
    assert (code, len(out.split())) == (0, 1)
    assert "warning: conflicting_styles: 'photorealistic' / 'illustrated'" in err
    assert "1 finding in 1 prompt" in err
    code, out, err = imagequeue("enqueue", "--prompt", BAD, "--block")
    assert (code, out) == (2, "")
    file = tmp_path / "jobs.jsonl"
    file.write_text(f'{{"prompt": "a fox"}}\n{json.dumps({"prompt": BAD})}\n')
    code, out, err = imagequeue("enqueue", "--file", str(file), "--check")
    assert (code, len(out.split())) == (0, 2)
    assert "line 2: warning: conflicting_styles" in err
    code, out, err = imagequeue("enqueue", "--file", str(file), "--block")
    assert (code, out) == (2, "")
    assert "line 2: prompt: conflicting_styles" in err
