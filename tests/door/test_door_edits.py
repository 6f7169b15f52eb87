"""Edits, variations and uploads: by the official client, with real files, hostile files, and two tenants."""

import asyncio
import base64
import hashlib
import http.client
import io
import json
import struct
import zlib
from collections.abc import Iterator
from contextlib import closing
from uuid import uuid4

import httpx
import openai
import pytest
from door_stack import Stack, ended
from PIL import Image

from imagequeue.config.settings import load_settings
from imagequeue.producer.door.app import build_app
from imagequeue.producer.door.forms import FORM_BYTES_MAX
from imagequeue.producer.door.main import opened_door
from imagequeue.producer.door.mounts import Mounted
from imagequeue.producer.inputs import INPUT_BYTES_MAX
from imagequeue.simulator.faults import Fault

pytestmark = pytest.mark.xdist_group("door")

PNG = b"\x89PNG\r\n\x1a\n"
NO_KEYS = {"IMAGEQUEUE_API_KEYS_FILE": "no-keys.json"}


def picture(image_format: str = "PNG", size: tuple[int, int] = (64, 64), mode: str = "RGB") -> bytes:
    """Return a real file of one colour that no other test has."""
    colour = tuple(uuid4().bytes[: len(mode)])
    file = io.BytesIO()
    Image.new(mode, size, colour).save(file, image_format)
    return file.getvalue()


def official(stack: Stack, who: str = "red", **headers: str) -> openai.OpenAI:
    return openai.OpenAI(
        base_url=f"{stack.url}/v1",
        api_key=stack.tokens[who],
        max_retries=0,
        timeout=30,
        default_headers=headers or None,
    )


def view_of(stack: Stack, raw_headers: httpx.Headers) -> dict[str, object]:
    with stack.client("admin") as client:
        return ended(client, raw_headers["x-imagequeue-job"])


@pytest.fixture
def red(stack: Stack) -> Iterator[httpx.Client]:
    """Yield red's client."""
    with stack.client("red") as client:
        yield client


@pytest.fixture
def blue(stack: Stack) -> Iterator[httpx.Client]:
    """Yield blue's client."""
    with stack.client("blue") as client:
        yield client


def upload(client: httpx.Client, data: bytes) -> str:
    answer = client.post("/v1/images", content=data, headers={"content-type": "image/png"})
    assert answer.status_code == 201, answer.text
    return str(answer.json()["images"][0]["reference"])


def test_an_edit_with_mask_by_the_official_client(stack: Stack) -> None:
    image, mask = picture(mode="RGBA"), picture(mode="RGBA")
    with official(stack) as client:
        raw = client.images.with_raw_response.edit(
            model="gpt-image-2", image=("cat.png", image), mask=("mask.png", mask), prompt="a hat", quality="low"
        )
    answer = raw.parse()
    assert answer.data is not None
    assert base64.b64decode(answer.data[0].b64_json or "").startswith(PNG)
    assert answer.usage is not None
    assert answer.usage.input_tokens_details.image_tokens > 0
    job = view_of(stack, raw.headers)["job"]
    assert isinstance(job, dict)
    assert (job["operation"], job["tenant"]) == ("edit", "red")
    assert job["images"] == [f"sha256:{hashlib.sha256(image).hexdigest()}"]
    assert job["mask"] == f"sha256:{hashlib.sha256(mask).hexdigest()}"


def test_many_images_of_every_format_by_the_asynchronous_client(stack: Stack) -> None:
    files = [(f"{kind}.bin", picture(kind)) for kind in ("PNG", "JPEG", "WEBP")]

    async def ask() -> httpx.Headers:
        async with openai.AsyncOpenAI(base_url=f"{stack.url}/v1", api_key=stack.tokens["red"], max_retries=0) as client:
            raw = await client.images.with_raw_response.edit(model="gpt-image-2", image=files, prompt="a collage", n=2)
            answer = raw.parse()
            assert answer.data is not None
            assert len(answer.data) == 2
            return raw.headers

    job = view_of(stack, asyncio.run(ask()))["job"]
    assert isinstance(job, dict)
    assert len(job["images"]) == 3


def test_a_variation_where_the_server_still_has_it(stack: Stack) -> None:
    with official(stack) as client, pytest.warns(DeprecationWarning, match="deprecated"):
        raw = client.images.with_raw_response.create_variation(
            image=("cat.png", picture()), model="dall-e-2", size="256x256", response_format="b64_json"
        )
    answer = raw.parse()
    assert answer.data is not None
    assert base64.b64decode(answer.data[0].b64_json or "").startswith(PNG)
    view = view_of(stack, raw.headers)
    assert isinstance(view["cost"], dict)
    assert view["cost"]["usd"] == "0.016000000"


def test_a_variation_by_json_with_a_data_url_and_with_an_uploaded_reference(stack: Stack, red: httpx.Client) -> None:
    reference = upload(red, picture())
    data_url = f"data:image/png;base64,{base64.b64encode(picture()).decode()}"
    for named in ({"image_url": data_url}, {"file_id": reference}):
        answer = red.post("/v1/images/variations", json={"model": "dall-e-2", "images": [named], "size": "256x256"})
        assert answer.status_code == 200, answer.text
        assert httpx.get(answer.json()["data"][0]["url"]).content.startswith(PNG)
        job = view_of(stack, answer.headers)["job"]
        assert isinstance(job, dict)
        assert job["operation"] == "variation"


@pytest.mark.parametrize(("operation", "model"), [("edit", "gpt-image-2"), ("variation", "dall-e-2")])
def test_a_job_that_names_no_model_gets_one_that_does_it(red: httpx.Client, operation: str, model: str) -> None:
    """The first preferred one that does, else any that does: dall-e-3, the first of all, does neither."""
    job = {"operation": operation, "images": [upload(red, picture())], "not_before": "2999-01-01T00:00:00Z"}
    made = red.post("/v1/jobs", json=job | ({"prompt": "a hat"} if operation == "edit" else {}))
    assert made.status_code == 202, made.text
    assert red.get(f"/v1/jobs/{made.json()['id']}").json()["job"]["model"] == model


def test_a_variation_that_no_organization_serves_is_the_clients_own_error(stack: Stack) -> None:
    """Before anything is queued: the API's 404 for a model that is named, a 400 when there is none to choose."""
    (org,) = json.loads(stack.environ["IMAGEQUEUE_ORGS"])
    org["limits"]["dall-e-2"] = {"images_per_minute": 0}
    settings = load_settings(stack.environ | {"IMAGEQUEUE_ORGS": json.dumps([org])} | NO_KEYS, stack.data_dir)

    async def ask() -> None:
        async with (
            opened_door(settings, may_be_open=True) as door,
            httpx.AsyncClient(transport=httpx.ASGITransport(build_app(door, Mounted()))) as http,
            openai.AsyncOpenAI(
                base_url="http://localhost/v1", api_key="none", http_client=http, max_retries=0
            ) as client,
        ):
            image = ("cat.png", picture())
            with pytest.raises(openai.NotFoundError) as refused:
                await client.images.create_variation(image=image, model="dall-e-2")
            assert (refused.value.code, refused.value.param) == ("model_not_found", "model")
            with pytest.raises(openai.NotFoundError):
                await client.models.retrieve("dall-e-2")
            with pytest.raises(openai.BadRequestError, match="none of dall-e-2 is served") as none:
                await client.images.create_variation(image=image)
            assert none.value.param == "model"
            assert "x-imagequeue-job" not in refused.value.response.headers
            listed = {model.id async for model in client.models.list()}
            assert "dall-e-3" in listed
            assert "dall-e-2" not in listed
            assert (await client.models.retrieve("dall-e-3")).id == "dall-e-3"

    with pytest.warns(DeprecationWarning, match="deprecated"):
        asyncio.run(ask())


def test_a_variation_of_a_model_that_makes_none_says_which_field_is_wrong(red: httpx.Client) -> None:
    body = {"model": "gpt-image-2", "images": [{"file_id": upload(red, picture())}]}
    refused = red.post("/v1/images/variations", json=body)
    assert (refused.status_code, refused.json()["error"]["param"]) == (400, "model")


def test_an_edit_by_json_with_a_data_url_and_an_uploaded_reference(stack: Stack, red: httpx.Client) -> None:
    reference = upload(red, picture())
    data_url = f"data:image/png;base64,{base64.b64encode(picture()).decode()}"
    body = {
        "model": "gpt-image-2",
        "prompt": "both",
        "images": [{"image_url": data_url}, {"file_id": reference}],
        "mask": {"file_id": reference},
    }
    answer = red.post("/v1/images/edits", json=body)
    assert answer.status_code == 200, answer.text
    job = view_of(stack, answer.headers)["job"]
    assert isinstance(job, dict)
    assert job["images"][1] == job["mask"] == reference


def test_events_of_a_stream_by_the_official_client(stack: Stack) -> None:
    with official(stack) as client:
        made = list(client.images.generate(model="gpt-image-2", prompt="x", quality="low", n=2, stream=True))
        edited = list(client.images.edit(model="gpt-image-2", prompt="x", image=picture(), stream=True))
    assert [event.type for event in made] == ["image_generation.completed"] * 2
    assert base64.b64decode(made[0].b64_json).startswith(PNG)
    assert made[-1].type == "image_generation.completed"
    assert made[-1].usage.output_tokens > 0
    assert [event.type for event in edited] == ["image_edit.completed"]


def test_sketches_come_before_the_image(stack: Stack) -> None:
    ask = {"model": "gpt-image-2", "prompt": "x", "quality": "low", "stream": True, "partial_images": 2}
    with official(stack) as client:
        made = list(client.images.generate(**ask))  # type: ignore[call-overload]  # the fields of a streamed call
        edited = list(client.images.edit(**ask, image=picture()))  # type: ignore[call-overload]  # as above
    for events, name in ((made, "image_generation"), (edited, "image_edit")):
        assert [event.type for event in events] == [f"{name}.partial_image"] * 2 + [f"{name}.completed"]
        assert [event.partial_image_index for event in events[:2]] == [0, 1]
        assert all(base64.b64decode(event.b64_json).startswith(PNG) for event in events)


def test_what_goes_wrong_in_a_stream_is_the_clients_own_error(stack: Stack) -> None:
    stack.simulator.control.set_faults(Fault(kind="policy"))
    with official(stack) as client, pytest.raises(openai.BadRequestError) as caught:
        client.images.generate(model="gpt-image-2", prompt="x", stream=True, partial_images=1)
    stack.simulator.control.set_faults()
    assert caught.value.code == "moderation_blocked"


@pytest.mark.parametrize(
    ("image", "says"),
    [
        (b"", "no bytes at all"),
        (b"<svg xmlns='http://www.w3.org/2000/svg' onload='x()'/>", "an SVG drawing"),
        (b"GIF89a" + b"\0" * 20, "gif"),
        (b"MZ" + b"\0" * 1000, "no known image format"),
        (picture()[:-20], "png"),
        (picture() + b"PK\x03\x04", "png"),
    ],
)
def test_what_is_no_image_is_the_clients_bad_request(stack: Stack, image: bytes, says: str) -> None:
    with official(stack) as client, pytest.raises(openai.BadRequestError, match=says) as caught:
        client.images.edit(model="gpt-image-2", image=("cat.png", image, "image/png"), prompt="x")
    assert caught.value.param == "image"


def test_a_bomb_is_refused_by_its_header_alone(stack: Stack) -> None:
    header = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 6, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(bytes(1_000_000))), (b"IEND", b""))
    body = b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in chunks
    )
    with official(stack) as client, pytest.raises(openai.BadRequestError, match="60000 x 60000 pixels"):
        client.images.edit(model="gpt-image-2", image=("cat.png", PNG + body), prompt="x")


def test_a_file_that_no_model_takes_is_refused_while_it_comes(stack: Stack, red: httpx.Client) -> None:
    large = PNG + bytes(60_000_000)
    with official(stack) as client, pytest.raises(openai.BadRequestError, match=str(INPUT_BYTES_MAX)):
        client.images.edit(model="gpt-image-2", image=("cat.png", large), prompt="x")
    assert red.post("/v1/images", content=large).status_code == 413
    promised = {"Content-Length": str(FORM_BYTES_MAX + 1), "Content-Type": "multipart/form-data; boundary=x"}
    connection = http.client.HTTPConnection(stack.url.removeprefix("http://"), timeout=30)
    with closing(connection):
        key = {"Authorization": f"Bearer {stack.tokens['red']}"}
        connection.request("POST", "/v1/images/edits", headers=promised | key)
        assert connection.getresponse().status == 413


@pytest.mark.parametrize(
    ("fields", "files", "param"),
    [
        ({"prompt": "x", "model": "dall-e-2"}, {"image": picture("JPEG")}, "image.0"),
        ({"prompt": "x", "model": "dall-e-2"}, {"image": picture(size=(64, 32))}, "image.0"),
        ({"prompt": "x", "model": "dall-e-3"}, {"image": picture()}, "model"),
        ({"prompt": "x", "model": "gpt-image-2"}, {"image": picture(), "mask": picture(size=(32, 32))}, "mask"),
        ({"prompt": "x", "model": "gpt-image-2"}, {"mask": picture()}, "image"),
        ({"prompt": "x", "model": "gpt-image-2"}, {"image": picture(), "markup": picture()}, "markup"),
        ({"prompt": "x", "model": "gpt-image-2", "style": "vivid"}, {"image": picture()}, "style"),
        ({"prompt": "x", "model": "gpt-image-2", "n": "many"}, {"image": picture()}, "n"),
        ({"prompt": "x", "model": "gpt-image-2", "input_fidelity": "high"}, {"image": picture()}, "input_fidelity"),
        ({"model": "gpt-image-2"}, {"image": picture()}, "prompt"),
        ({"prompt": "x", "model": "dall-e-2", "stream": "true"}, {"image": picture()}, "stream"),
        ({"prompt": "x", "model": "gpt-image-2", "image": "cat.png"}, {}, "image"),
    ],
)
def test_what_a_model_does_not_take_names_the_field(
    red: httpx.Client, fields: dict[str, str], files: dict[str, bytes], param: str
) -> None:
    form = {name: (f"{name}.png", data) for name, data in files.items()} or {"markup": ("m.png", b"")}
    answer = red.post("/v1/images/edits", data=fields, files=form)
    expected = param if files else "markup"
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, expected), answer.text


def test_forms_are_bounded_in_parts_and_cut_ones_are_refused(red: httpx.Client) -> None:
    many = [("image[]", ("a.png", picture())) for _ in range(18)]
    assert red.post("/v1/images/edits", data={"prompt": "x"}, files=many).status_code == 400
    fields = {f"f{number}": "x" for number in range(50)}
    assert red.post("/v1/images/edits", data=fields, files={"image": picture()}).status_code == 400
    kind = {"content-type": "multipart/form-data; boundary=b"}
    for body in (b"", b"--b\r\n", b"--b\r\nContent-Disposition: form-data\r\n\r\nx\r\n--b--\r\n", b"\0" * 100):
        assert red.post("/v1/images/edits", content=body, headers=kind).status_code == 400, body
    assert (
        red.post("/v1/images/edits", content=b"x", headers={"content-type": "multipart/form-data"}).status_code == 400
    )


def test_two_tenants_never_use_or_see_each_others_inputs(red: httpx.Client, blue: httpx.Client, stack: Stack) -> None:
    data = picture()
    reference = upload(red, data)
    sha256 = reference.removeprefix("sha256:")
    assert red.get(f"/v1/images/{sha256}").content == data
    assert blue.get(f"/v1/images/{sha256}").status_code == 403
    job = {"prompt": "x", "model": "gpt-image-2", "operation": "edit", "images": [reference]}
    refused = blue.post("/v1/jobs", json=job)
    assert (refused.status_code, refused.json()["error"]["param"]) == (400, "images.0")
    unknown = blue.post("/v1/jobs", json={**job, "images": [f"sha256:{'0' * 64}"]})
    assert unknown.json()["error"]["message"].replace("0" * 64, sha256) == refused.json()["error"]["message"]
    for path, body in (
        ("/v1/jobs", [job]),
        ("/v1/images/edits", {"prompt": "x", "model": "gpt-image-2", "images": [{"file_id": reference}]}),
        ("/v1/jobs", {**job, "images": ["https://example.com/a.png"], "mask": reference}),
    ):
        assert blue.post(path, json=body).status_code == 400
    assert blue.post("/v1/images?tenant=red", content=data).status_code == 403
    as_red = {"x-imagequeue-tenant": "red"}
    assert blue.post("/v1/images/edits", files={"image": data}, headers=as_red).status_code == 403
    assert upload(blue, data) == reference
    assert blue.get(f"/v1/images/{sha256}").content == data
    done = ended(red, red.post("/v1/jobs", json=job).json()["id"])
    assert done["status"] == "succeeded"
    assert blue.get(f"/v1/images/{done['images'][0]['sha256']}").status_code == 403


def test_a_job_takes_data_urls_and_no_files_of_the_doors_machine(red: httpx.Client) -> None:
    data_url = f"data:image/png;base64,{base64.b64encode(picture()).decode()}"
    job = {"prompt": "x", "model": "gpt-image-2", "operation": "edit", "images": [data_url]}
    done = ended(red, red.post("/v1/jobs", json=job).json()["id"])
    assert done["status"] == "succeeded"
    assert done["job"]["images"][0].startswith("sha256:")
    assert red.post("/v1/jobs/bulk", json=job).status_code == 202
    for image in ("/etc/hostname", "file:///etc/hostname", "ftp://example.com/a.png", "data:image/png;base64,!!", ""):
        answer = red.post("/v1/jobs", json={**job, "images": [image]})
        assert (answer.status_code, answer.json()["error"]["param"]) == (400, "images.0"), image
    wrong = data_url.replace("image/png", "image/webp")
    assert "said to be image/webp" in red.post("/v1/jobs", json={**job, "images": [wrong]}).text


@pytest.mark.parametrize(
    "address",
    [
        "http://127.0.0.1/a.png",
        "http://localhost/a.png",
        "http://[::1]/a.png",
        "http://[::ffff:127.0.0.1]/a.png",
        "http://2130706433/a.png",
        "http://169.254.169.254/latest/meta-data",
        "http://127.0.0.1:6379/a.png",
        "http://user@example.com/a.png",
    ],
)
def test_addresses_that_lead_inside_are_never_called(red: httpx.Client, address: str) -> None:
    job = {"prompt": "x", "model": "gpt-image-2", "operation": "edit", "images": [address]}
    done = ended(red, red.post("/v1/jobs", json=job).json()["id"])
    assert (done["status"], done["error"]["code"], done["attempts"]) == ("failed", "input_not_fetched", [])
