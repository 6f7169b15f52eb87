"""Edits and variations end to end: inputs kept or fetched, booked as billed, refused without a call."""

import asyncio
import hashlib
import io
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from PIL import Image
from worker_site import WorkerSite, worker_site
from worker_values import CATALOG, job, org

from imagequeue.config.catalog import Model
from imagequeue.config.settings import load_settings
from imagequeue.ledger.api import ImageRecord
from imagequeue.ledger.ledger import Ledger
from imagequeue.simulator.config import GroupLimits, SimulatedOrg, SimulatorConfig
from imagequeue.simulator.latency import Latency
from imagequeue.simulator.process import RunningSimulator, running_simulator
from imagequeue.store.formats import inspect
from imagequeue.store.store import open_store
from imagequeue.worker.download import Downloader, NotFetched, checked
from imagequeue.worker.http import open_transport
from imagequeue.worker.inputs import Room
from imagequeue.worker.request import AZURE_API_VERSION, build_request

REFERENCE = f"sha256:{'0' * 64}"
EDIT = {"model": "gpt-image-2", "operation": "edit", "prompt": "with a hat"}


def picture(shade: int = 0, size: int = 32, image_format: str = "PNG") -> bytes:
    """Return a real file."""
    file = io.BytesIO()
    Image.new("RGB", (size, size), (shade, 0, 0)).save(file, image_format)
    return file.getvalue()


@pytest.fixture(scope="module")
def simulator() -> Iterator[RunningSimulator]:
    """Yield a provider without limits to speak of."""
    limits = dict.fromkeys(("dall-e-3", "dall-e-2", "gpt-image", "gpt-image-1"), GroupLimits())
    main = SimulatedOrg(name="main", limits=limits)
    with running_simulator(SimulatorConfig(orgs=(main,), latency=Latency(seconds=0.0), render="fast")) as running:
        yield running


@pytest.fixture
def site(server_url: str, simulator: RunningSimulator, tmp_path: Path) -> WorkerSite:
    """Return a site of the test's own, with an empty bill."""
    simulator.control.reset()
    return worker_site(server_url, simulator, tmp_path)


@contextmanager
def served(answers: dict[str, tuple[int, bytes]]) -> Iterator[tuple[str, list[str]]]:
    """Give the address of a server with these answers by path, and the paths that were asked for."""
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            status, body = answers[self.path]
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.send_header("Location", "/image.png")
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"127.0.0.1:{server.server_port}", asked
        server.shutdown()
        thread.join()


def keep(site: WorkerSite, data: bytes, tenant: str = "default", *, stored: bool = True) -> str:
    """Keep an image for a tenant and return its reference."""

    async def story() -> str:
        ledger = await Ledger.open(site.settings.ledger_url.get_secret_value())
        store = open_store(site.settings.store_url)
        image = await store.put(data, inspect(data))
        record = ImageRecord(
            sha256=image.sha256, bytes=image.bytes, width=image.width, height=image.height, format=image.format
        )
        await ledger.own_images(tenant, [record])
        if not stored:
            await store.delete(image.sha256)
        await store.aclose()
        await ledger.aclose()
        return f"sha256:{image.sha256}"

    return asyncio.run(story())


def trusting(site: WorkerSite, *hosts: str) -> WorkerSite:
    """Return the site with hosts of which inputs may be named though they are not public."""
    environ = site.environ | {"IMAGEQUEUE_INPUT_HOSTS": str(list(hosts)).replace("'", '"')}
    mine = {name: value for name, value in environ.items() if name.startswith(("IMAGEQUEUE_", "RQ_"))}
    return replace(site, environ=environ, settings=load_settings(mine))


def test_edits_and_variations_are_booked_as_they_are_billed(site: WorkerSite) -> None:
    one, two = keep(site, picture(1)), keep(site, picture(2))
    jobs = [
        site.put(**EDIT, images=[one]),
        site.put(**EDIT, images=[one, two], mask=one, n=2, quality="high"),
        site.put(model="dall-e-2", operation="edit", prompt="x", images=[one], mask=two, size="512x512"),
        site.put(model="dall-e-2", operation="variation", prompt="", images=[one], n=3, size="256x256"),
        site.put(model="gpt-image-2", prompt="x", partial_images=3, n=2),
    ]
    site.burst()
    assert [site.status(one) for one in jobs] == ["finished"] * 5, [site.error(one) for one in jobs]
    attempts = [row for one in jobs for row in site.attempts(one)]
    bill = site.simulator.control.bill()
    assert sorted(row["source"] for row in bill) == ["image.edit"] * 3 + ["image.generation", "image.variation"]
    assert sum(row.usd_nano for row in attempts) == sum(row["nano_usd"] for row in bill) > 0
    assert all(row.usd_nano <= row.upper_bound_nano for row in attempts)
    edited = next(row for row in attempts if row.job_id == jobs[1])
    assert edited.usage is not None
    assert edited.usage["input_tokens_details"]["image_tokens"] > 0  # type: ignore[index]  # an object, by the simulator


def test_an_address_is_fetched_once_kept_and_owned(site: WorkerSite) -> None:
    with served({"/image.png": (200, picture(3))}) as (host, asked):
        site = trusting(site, host)
        done = site.put(**EDIT, images=[f"http://{host}/image.png"], tenant="red")
        site.burst()
        assert site.status(done) == "finished", site.error(done)
    assert asked == ["/image.png"]

    async def owned() -> int:
        ledger = await Ledger.open(site.settings.ledger_url.get_secret_value())
        digest = hashlib.sha256(picture(3)).hexdigest()
        found = await ledger.owned_images("red", [digest])
        others = await ledger.owned_images("blue", [digest])
        await ledger.aclose()
        return len(found) - len(others)

    assert asyncio.run(owned()) == 1


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        ((200, b"<html>"), "invalid_image_file"),
        ((200, b""), "invalid_image_file"),
        ((302, picture()), "input_not_fetched"),
        ((404, picture()), "input_not_fetched"),
        ((200, picture(image_format="GIF")), "invalid_image_file"),
        ((200, b"\x89PNG\r\n\x1a\n" + bytes(50_000_001)), "input_not_fetched"),
    ],
)
def test_what_an_address_brings_is_checked_and_nothing_is_called(
    site: WorkerSite, answer: tuple[int, bytes], code: str
) -> None:
    with served({"/a": answer}) as (host, asked):
        site = trusting(site, host)
        failed = site.put(**EDIT, images=[f"http://{host}/a"])
        site.burst()
    assert (site.status(failed), site.error(failed)["code"], len(asked)) == ("failed", code, 1)
    outcome = site.outcome(failed)
    assert outcome is not None
    assert outcome.error is not None
    assert (outcome.error.code, outcome.error.retryable) == (code, False)
    assert site.attempts(failed) == ()
    assert site.simulator.control.bill() == []


def test_a_server_in_trouble_is_asked_again_and_counted(site: WorkerSite) -> None:
    with served({"/a": (503, b"")}) as (host, asked):
        site = trusting(site, host)
        failed = site.put(**EDIT, images=[f"http://{host}/a"], max_attempts=2)
        site.burst()
    assert (site.error(failed)["code"], site.error(failed)["retryable"], len(asked)) == ("input_not_fetched", True, 2)


def test_whoever_wrote_the_job_an_image_of_another_tenant_is_not_used(site: WorkerSite) -> None:
    """Jobs from RQ's own client come past no door."""
    others, lost = keep(site, picture(4), "red"), keep(site, picture(5), stored=False)
    for reference in (others, lost, REFERENCE):
        failed = site.put(**EDIT, images=[reference])
        site.burst()
        assert site.error(failed)["code"] == "input_not_found"
    assert site.simulator.control.bill() == []


def test_inputs_that_the_model_does_not_take_are_not_sent(site: WorkerSite) -> None:
    kept = keep(site, picture(6, image_format="JPEG"))
    failed = site.put(model="dall-e-2", operation="variation", prompt="", images=[kept])
    site.burst()
    assert "dall-e-2 does not take jpeg; accepted: png" in site.error(failed)["message"]


def test_room_is_waited_for_in_bytes_and_never_overdrawn() -> None:
    async def story() -> int:
        room, most, taken = Room(10), 0, 0

        async def one(wanted: int) -> None:
            nonlocal most, taken
            async with room.of(wanted):
                taken += min(wanted, 10)
                most = max(most, taken)
                await asyncio.sleep(0)
                taken -= min(wanted, 10)

        await asyncio.gather(*(one(wanted) for wanted in (3, 8, 10, 50, 1, 2, 9) * 5))
        return most

    assert asyncio.run(story()) <= 10


def test_who_needs_much_room_is_not_passed_by_all_who_need_little() -> None:
    """It holds a claim meanwhile, and pace that its pool was charged."""

    async def story() -> list[int]:
        room, entered = Room(10), []

        async def one(wanted: int) -> None:
            async with room.of(wanted):
                entered.append(wanted)
                for _ in range(3):
                    await asyncio.sleep(0)

        wants = [4, 4, 10, *([3] * 9)]
        tasks = []
        for wanted in wants:
            tasks.append(asyncio.create_task(one(wanted)))
            await asyncio.sleep(0)
        await asyncio.gather(*tasks)
        return entered

    assert asyncio.run(story())[:3] == [4, 4, 10]


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1", "10.0.0.1", "169.254.169.254", "100.64.0.1", "0.0.0.1", "224.0.0.1", "::1", "::", "fe80::1%eth0",
        "fc00::1", "fec0::1", "::ffff:10.0.0.1", "::127.0.0.1", "64:ff9b::7f00:1", "64:ff9b:1::7f00:1",
        "::ffff:0:127.0.0.1", "2002:7f00:1::", "2001:0:7f00:1::", "ff02::1",
    ],
)  # fmt: skip
def test_no_address_inside_is_public_in_any_dress(address: str) -> None:
    with pytest.raises(NotFetched, match="no public address"):
        checked("example.com", ["93.184.215.14", address])


@pytest.mark.parametrize(
    "url",
    ["file:///etc/hostname", "ftp://example.com/a", "http://", "http://a:b@example.com/", "http://example.com:22/",
     "https://example.com:80/", "http://[::1/", "http://example.com:99999/", "gopher://127.0.0.1", "http://%00/"],
)  # fmt: skip
def test_addresses_of_jobs_are_of_the_plain_kind(url: str) -> None:
    async def story() -> None:
        transport = open_transport()
        try:
            with pytest.raises(NotFetched):
                await Downloader(transport).fetch_input(url, 1000)
        finally:
            await transport.aclose()

    asyncio.run(story())


def test_the_port_of_a_trusted_host_counts() -> None:
    async def story(host: str, trusted: str) -> None:
        transport = open_transport()
        try:
            await Downloader(transport, [trusted]).fetch_input(f"http://{host}/a", 1000)
        finally:
            await transport.aclose()

    with served({"/a": (200, b"x")}) as (host, asked):
        asyncio.run(story(host, host))
        with pytest.raises(NotFetched):
            asyncio.run(story(host, "127.0.0.1"))
    assert asked == ["/a"]


@pytest.mark.parametrize("kind", ["openai", "azure"])
@pytest.mark.parametrize(("operation", "path"), [("edit", "images/edits"), ("variation", "images/variations")])
def test_each_dialect_has_its_address_and_only_its_fields(kind: str, operation: str, path: str) -> None:
    model: Model = CATALOG.model("dall-e-2")
    wanted = job(model="dall-e-2", operation=operation, images=[REFERENCE])
    request = build_request(wanted, model, org(kind=kind, base_url="http://127.0.0.1:9"), client_request_id="job-1")
    deployment = f"openai/deployments/dall-e-2/{path}?api-version={AZURE_API_VERSION}"
    assert request.url == f"http://127.0.0.1:9/{deployment if kind == 'azure' else path}"
    assert ("prompt" in request.fields) == (operation == "edit")
    assert ("model" in request.fields) == (kind == "openai")
    assert not {"images", "mask", "style"} & set(request.fields)
