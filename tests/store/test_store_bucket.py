"""Images in a bucket: against the library's own memory store, and against a server that checks what S3 checks."""

import asyncio
import base64
import hashlib
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import ClassVar

import pytest
from obstore.store import MemoryStore
from store_images import png

from imagequeue.config.errors import StoreUnavailable
from imagequeue.store.formats import inspect
from imagequeue.store.objects import BucketStore
from imagequeue.store.store import open_store


class Bucket(BaseHTTPRequestHandler):
    """The four requests that we send, with S3's own check of the SHA-256 that came along."""

    objects: ClassVar[dict[str, bytes]] = {}
    headers_seen: ClassVar[list[dict[str, str]]] = []
    status: ClassVar[int] = 200

    def do_PUT(self) -> None:
        """Keep a body whose checksum is right."""
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.headers_seen.append({name.lower(): value for name, value in self.headers.items()})
        sent = self.headers.get("x-amz-checksum-sha256")
        if sent != base64.b64encode(hashlib.sha256(body).digest()).decode():
            return self._answer(400)
        if self.status == 200:
            self.objects[self.path] = body
        return self._answer(self.status)

    def do_GET(self) -> None:
        """Answer with an object, an empty list or 404."""
        if self.path.startswith("/photos?") and "list-type=2" in self.path:
            return self._answer(200, b"<ListBucketResult><Name>photos</Name></ListBucketResult>")
        return self._answer(200 if self.path in self.objects else 404, self.objects.get(self.path, b""))

    def do_HEAD(self) -> None:
        """Answer as GET does, without the body."""
        self.do_GET()

    def do_POST(self) -> None:
        """Delete the object that the XML names."""
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        key = body.split("<Key>")[1].split("</Key>")[0]
        self.objects.pop(f"/photos/{key}", None)
        answer = f"<DeleteResult><Deleted><Key>{key}</Key></Deleted></DeleteResult>"
        self._answer(200, answer.encode())

    def _answer(self, status: int, body: bytes = b"") -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("ETag", '"1"')
        self.send_header("Last-Modified", "Sun, 22 Nov 2026 00:00:00 GMT")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> Iterator[type[Bucket]]:
    """Return a server of our own that AWS_ENDPOINT_URL points to."""
    kind = type("FreshBucket", (Bucket,), {"objects": {}, "headers_seen": [], "status": 200})
    server = ThreadingHTTPServer(("127.0.0.1", 0), kind)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{server.server_port}")
    monkeypatch.setenv("AWS_ALLOW_HTTP", "true")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "canary-secret")
    monkeypatch.setenv("AWS_REGION", "eu-central-1")
    yield kind
    server.shutdown()
    server.server_close()
    thread.join()


def test_s3_gets_the_image_with_checksum_and_media_type(bucket: type[Bucket]) -> None:
    async def work() -> None:
        store = open_store("s3://photos/made/here")
        data = png(7, 5)
        image = await store.put(data, inspect(data))
        assert list(bucket.objects) == [f"/photos/made/here/{image.key}"]
        assert bucket.headers_seen[0]["content-type"] == "image/png"
        assert "immutable" in bucket.headers_seen[0]["cache-control"]
        assert await store.get(image.sha256) == data
        assert await store.exists(image.sha256)
        await store.ping()
        assert await store.delete(image.sha256)
        assert not await store.exists(image.sha256)
        assert await store.get(image.sha256) is None
        await store.aclose()

    asyncio.run(work())


def test_s3_that_refuses_is_unavailable_and_no_secret_is_said(bucket: type[Bucket]) -> None:
    bucket.status = 403

    async def work() -> None:
        data = png()
        await open_store("s3://photos").put(data, inspect(data))

    with pytest.raises(StoreUnavailable, match="image store s3://photos") as refused:
        asyncio.run(work())
    assert "canary" not in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_bucket_that_does_not_exist_is_unavailable(bucket: type[Bucket]) -> None:
    bucket.status = 404

    async def put() -> None:
        data = png()
        await open_store("s3://others").put(data, inspect(data))

    with pytest.raises(StoreUnavailable, match=r"s3://others.*404"):
        asyncio.run(open_store("s3://others").ping())
    with pytest.raises(StoreUnavailable, match="s3://others"):
        asyncio.run(put())


PUT_AND_END = """
import asyncio
from imagequeue.store.formats import ImageFacts
from imagequeue.store.store import open_store
asyncio.run(open_store("s3://photos").put(bytes(20_000), ImageFacts(format="png", width=1, height=1)))
"""


def test_a_process_may_end_right_after_a_put(bucket: type[Bucket]) -> None:
    """The library's own threads must not touch an interpreter that is ending."""
    processes = [subprocess.Popen([sys.executable, "-c", PUT_AND_END]) for _ in range(8)]
    assert [process.wait(timeout=60) for process in processes] == [0] * len(processes)
    assert len(bucket.headers_seen) == len(processes)


def test_the_bucket_store_keeps_the_promises_of_the_folder() -> None:
    async def work() -> None:
        store = BucketStore(MemoryStore(), name="memory")
        data = png()
        first = await store.put(data, inspect(data))
        assert await store.put(data, inspect(data)) == first
        assert await store.get(first.sha256) == data
        assert await store.get("../x") is None
        assert await store.sweep_temporary(0) == 0
        await store.ping()
        assert await store.delete(first.sha256)
        assert not await store.delete(first.sha256)

    asyncio.run(work())
