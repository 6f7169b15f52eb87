"""The page on the real HTTP door: what it shows is what the door has, and its forms do what the door does."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

COMMAND = (sys.executable, "-m", "imagequeue.producer.main")
ORGS = '[{"name": "main", "api_key": "sk-local", "base_url": "http://127.0.0.1:9/v1", "tier": "1"}]'
TOKEN = re.compile(r'name="form_token" value="([0-9a-f]{64})"')


@pytest.fixture
def environ(tmp_path: Path) -> Iterator[dict[str, str]]:
    """Return the environment of an installation of its own; what it left running is ended."""
    own = {name: value for name, value in os.environ.items() if not name.startswith("IMAGEQUEUE_")}
    found = {**own, "IMAGEQUEUE_DATA_DIR": str(tmp_path / "data"), "IMAGEQUEUE_ORGS": ORGS}
    yield found
    subprocess.run([*COMMAND, "down"], env=found, cwd=tmp_path, check=True, capture_output=True, timeout=60)


@contextmanager
def opened(environ: dict[str, str], folder: Path) -> Iterator[httpx.Client]:
    """Give a client of the door for the length of a block."""
    with (
        (folder / "door.log").open("w") as log,
        subprocess.Popen(
            [*COMMAND, "api", "--port", "0"], env=environ, cwd=folder, stdout=subprocess.PIPE, stderr=log, text=True
        ) as door,
    ):
        assert door.stdout is not None
        try:
            address = next(word for line in door.stdout for word in line.split() if word.startswith("http://"))
            with httpx.Client(base_url=address, timeout=30) as client:
                yield client
        finally:
            door.terminate()


def token(page: str) -> str:
    found = TOKEN.search(page)
    assert found is not None
    return found[1]


def test_a_job_is_shown_and_cancelled_through_the_page(environ: dict[str, str], tmp_path: Path) -> None:
    job = {"prompt": "A <b>lighthouse</b>", "model": "dall-e-3"}
    with opened(environ, tmp_path) as client:
        assert client.get("/").headers["location"] == "/dashboard/"
        job_id = client.post("/v1/jobs", json=job).json()["id"]
        assert "No worker is running" in client.get("/dashboard/").text
        listed = client.get("/dashboard/jobs?status=queued").text
        assert "A &lt;b&gt;lighthouse&lt;/b&gt;" in listed
        form = {"act": "cancel", "id": job_id, "form_token": token(listed)}
        assert client.post("/dashboard/jobs/act", data=form).headers["location"] == f"/dashboard/jobs/{job_id}"
        assert client.get(f"/v1/jobs/{job_id}").json()["status"] == "cancelled"
        assert "Cancelled" in client.get(f"/dashboard/jobs/{job_id}").text
        assert client.get("/dashboard/jobs", headers={"Host": "evil.example"}).status_code == 403


def test_with_keys_the_page_shows_what_the_key_may_see(environ: dict[str, str], tmp_path: Path) -> None:
    created = [
        subprocess.run(
            [*COMMAND, "keys", "create", "--name", name, *options],
            env=environ, cwd=tmp_path, check=True, capture_output=True, text=True, timeout=60,
        ).stdout
        for name, options in (("all", ("--scope", "admin")), ("shop", ("--scope", "read", "--tenant", "shop")))
    ]  # fmt: skip
    found = [re.search(r"iq_\w+", text) for text in created]
    admin, shop = (match[0] for match in found if match)
    with opened(environ, tmp_path) as client:
        bearer = {"Authorization": f"Bearer {admin}"}
        jobs = [{"prompt": f"for {tenant}", "model": "dall-e-3", "tenant": tenant} for tenant in ("shop", "studio")]
        client.post("/v1/jobs", json=jobs, headers=bearer).raise_for_status()
        assert client.get("/dashboard/jobs").status_code == 303
        for key, seen in ((admin, {"for shop", "for studio"}), (shop, {"for shop"})):
            client.cookies.clear()
            form = {"key": key, "form_token": token(client.get("/dashboard/login").text)}
            assert client.post("/dashboard/login", data=form).status_code == 303
            page = client.get("/dashboard/jobs").text
            assert {words for words in ("for shop", "for studio") if words in page} == seen
            assert client.get("/dashboard/settings").status_code == (200 if key == admin else 403)
