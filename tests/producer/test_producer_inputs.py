"""Input images from a program: bytes, files, data URLs and references, from the client, the command and job files."""

import base64
import hashlib
import io
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from imagequeue.config.errors import JobRefused
from imagequeue.config.job import Job
from imagequeue.config.settings import Settings
from imagequeue.producer import ImageQueue

Command = Callable[..., tuple[int, str, str]]
MODEL = "gpt-image-2"


def picture(shade: int = 0, size: int = 32, image_format: str = "PNG") -> bytes:
    """Return a real file."""
    file = io.BytesIO()
    Image.new("RGB", (size, size), (shade, 0, 0)).save(file, image_format)
    return file.getvalue()


def reference(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def test_bytes_files_data_urls_and_references_become_references(settings: Settings, tmp_path: Path) -> None:
    """Kept once, however often they are given; the second job reads nothing that the first did not keep."""
    one, two, three = picture(1), picture(2), picture(3)
    (tmp_path / "two.png").write_bytes(two)
    url = f"data:image/png;base64,{base64.b64encode(three).decode()}"
    with ImageQueue(settings) as queue:
        first = queue.submit("x", model=MODEL, operation="edit", images=[one, tmp_path / "two.png", url], mask=one)
        assert queue.get(first).job["images"] == [reference(one), reference(two), reference(three)]
        assert queue.get(first).job["mask"] == reference(one)
        job = Job(prompt="x", model=MODEL, operation="edit", images=(queue.upload("two.png"),))
        assert queue.get(queue.submit(job)).job["images"] == [reference(two)]
    assert len(list((tmp_path / "data" / "images").glob("*/*.png"))) == 3


def test_the_same_key_with_the_same_bytes_is_the_same_job(settings: Settings) -> None:
    with ImageQueue(settings) as queue:
        asked = {"prompt": "x", "model": MODEL, "operation": "edit", "idempotency_key": "k"}
        first = queue.submit({**asked, "images": [picture(1)]})
        assert queue.submit({**asked, "images": [reference(picture(1))]}).id == first.id


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"images": [b"no image"]}, "images.0: 8 bytes of no known image format"),
        ({"images": ["missing.png"]}, "images.0: cannot read missing.png: No such file"),
        ({"images": [Path("/")]}, "images.0: cannot read /: Is a directory"),
        ({"images": [picture()], "mask": picture(size=16)}, "mask: it is 16 x 16 pixels; the first image is 32 x 32"),
        ({"images": [f"sha256:{'0' * 64}"]}, "images.0: .* is no image of tenant default; upload it first"),
        ({"images": [picture()] * 17}, "images: at most 16"),
        (
            {"images": [picture(image_format="GIF")]},
            "images.0: gpt-image-2 does not take gif; accepted: png, jpeg, webp",
        ),
        ({"images": 7}, "images: "),
        ({"images": [7]}, "images.0: "),
        ({"images": ["data:image/png,raw"]}, "images.0: a data URL of base64"),
        ({"images": [b""]}, "images.0: no bytes at all"),
    ],
)
def test_what_is_no_usable_image_is_refused_by_name(settings: Settings, fields: dict[str, object], says: str) -> None:
    with ImageQueue(settings) as queue:
        with pytest.raises(JobRefused, match=says):
            queue.submit({"prompt": "x", "model": MODEL, "operation": "edit", **fields})
        assert queue.status().totals.queued == 0


def test_an_image_of_one_tenant_is_none_of_anothers(settings: Settings) -> None:
    with ImageQueue(settings) as queue:
        mine = queue.upload(picture(), tenant="red")
        asked = {"prompt": "x", "model": MODEL, "operation": "edit", "images": [mine]}
        assert queue.submit({**asked, "tenant": "red"}).created
        with pytest.raises(JobRefused, match="no image of tenant blue"):
            queue.submit({**asked, "tenant": "blue"})


def test_the_command_takes_files_and_an_image_makes_an_edit(imagequeue: Command, tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(picture(1))
    (tmp_path / "b.png").write_bytes(picture(2))
    options = ("--model", MODEL, "--image", "a.png", "--image", "b.png", "--mask", "a.png")
    code, out, _ = imagequeue("enqueue", "--prompt", "x", *options)
    assert code == 0
    job = json.loads(imagequeue("jobs", "show", out.strip(), "--json")[1])["job"]
    assert (job["operation"], job["mask"]) == ("edit", reference(picture(1)))
    assert job["images"] == [reference(picture(1)), reference(picture(2))]
    code, out, _ = imagequeue("enqueue", "--operation", "variation", "--model", "dall-e-2", "--image", "a.png")
    assert code == 0
    assert json.loads(imagequeue("jobs", "show", out.strip(), "--json")[1])["job"]["operation"] == "variation"
    code, _, err = imagequeue("enqueue", "--prompt", "x", "--model", MODEL, "--image", "c.png")
    assert (code, err.startswith("imagequeue: images.0: cannot read c.png")) == (2, True)


def test_lines_of_a_file_take_files_and_a_bad_one_is_named(imagequeue: Command, tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(picture(1))
    line = {"prompt": "x", "model": MODEL, "operation": "edit", "images": ["a.png"]}
    lines = [{"prompt": "plain"}, line, {**line, "mask": reference(picture(1))}]
    (tmp_path / "jobs.jsonl").write_text("\n".join(map(json.dumps, lines)), encoding="utf-8")
    code, out, err = imagequeue("enqueue", "--file", "jobs.jsonl")
    assert code == 0, err
    kept = json.loads(imagequeue("jobs", "show", out.split()[1], "--json")[1])["job"]
    assert kept["images"] == [reference(picture(1))]
    for bad, says in (
        ({**line, "images": ["b.png"]}, "line 2: images.0: cannot read b.png"),
        ({**line, "images": [f"sha256:{'0' * 64}"]}, "line 2: images.0: "),
        ({**line, "tenant": "blue", "images": [reference(picture(1))]}, "line 2: images.0: "),
    ):
        (tmp_path / "bad.jsonl").write_text(json.dumps(line) + "\n" + json.dumps(bad), encoding="utf-8")
        code, out, err = imagequeue("enqueue", "--file", "bad.jsonl")
        assert (code, out, err.startswith(f"imagequeue: {says}")) == (2, "", True), err
