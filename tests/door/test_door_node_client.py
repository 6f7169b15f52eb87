"""The provider's official Node client works through the door, unchanged."""

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest
from door_stack import Stack, ended
from PIL import Image

NODE = shutil.which("node")
PROGRAMS = Path(__file__).parents[1] / "node"
INSTALLED = (PROGRAMS / "node_modules" / "openai").is_dir()
MISSING = "node and `npm ci --prefix tests/node` are needed"

pytestmark = pytest.mark.xdist_group("door")


def test_the_node_client_is_there_in_ci() -> None:
    """On a laptop without node these tests skip and say so; in CI that would be a check that cannot fail."""
    assert not os.environ.get("CI") or (NODE and INSTALLED), MISSING


@pytest.mark.skipif(not (NODE and INSTALLED), reason=MISSING)
def test_the_node_client_generates_edits_streams_lists_models_and_maps_errors(stack: Stack, tmp_path: Path) -> None:
    assert NODE is not None
    png = tmp_path / "cat.png"
    Image.new("RGB", (64, 64), (1, 2, 3)).save(png)
    said = subprocess.run(
        [NODE, str(PROGRAMS / "generate.mjs"), f"{stack.url}/v1", stack.tokens["red"], str(png)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert said.returncode == 0, said.stderr
    told = json.loads(said.stdout)
    assert told["magic"] == told["edited"] == "89504e470d0a1a0a"
    assert told["streamed"] == ["image_generation.partial_image", "image_generation.completed"]
    assert told["streamedEdit"] == ["image_edit.completed"]
    assert told["usage"]["total_tokens"] == told["usage"]["input_tokens"] + told["usage"]["output_tokens"]
    assert {"dall-e-3", "gpt-image-2"} <= set(told["models"])
    assert told["errors"] == [
        {"name": "BadRequestError", "status": 400, "code": told["errors"][0]["code"], "param": "n"},
        {"name": "NotFoundError", "status": 404, "code": "model_not_found", "param": "model"},
        {"name": "BadRequestError", "status": 400, "code": told["errors"][2]["code"], "param": "image"},
        {"name": "AuthenticationError", "status": 401, "code": "invalid_api_key", "param": None},
    ]
    with stack.client("reader") as reader:
        assert ended(reader, told["job"])["job"]["priority"] == "high"
        assert told["images"] == 1
