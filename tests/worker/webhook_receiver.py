"""A receiver of webhooks on this machine: notes what comes, checks it as the standard's own library does, answers."""

import threading
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from pydantic import SecretStr
from standardwebhooks import Webhook as Verifier

from imagequeue.config.webhooks import Webhook, new_secret

WAIT_SECONDS_MAX = 20.0


@dataclass(kw_only=True)
class Message:
    """One request as it came."""

    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def id(self) -> str:
        """What the receiver knows it by."""
        return self.headers["webhook-id"]

    def verified(self, secret: str) -> dict[str, Any]:
        """Return the payload; raises unless the standard's own library accepts it."""
        payload: dict[str, Any] = Verifier(secret).verify(self.body, self.headers)
        return payload


@dataclass(kw_only=True)
class Receiver:
    """What came, and what is answered: by path, a list of (status, headers) to be used up, then 200.

    While `go` is not set, no request is answered.
    """

    url: str = ""
    messages: list[Message] = field(default_factory=list)
    answers: defaultdict[str, list[tuple[int, dict[str, str]]]] = field(default_factory=lambda: defaultdict(list))
    came: threading.Condition = field(default_factory=threading.Condition)
    go: threading.Event = field(default_factory=threading.Event)

    def answer(self, path: str, *statuses: int, **headers: str) -> None:
        """Answer the next requests for a path with these statuses."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        self.answers[path] += [(status, named) for status in statuses]

    def wait(self, count: int) -> list[Message]:
        """Return the messages once so many have come."""
        with self.came:
            assert self.came.wait_for(lambda: len(self.messages) >= count, WAIT_SECONDS_MAX), len(self.messages)
            return list(self.messages)

    def take(self, message: Message) -> tuple[int, dict[str, str]]:
        """Note a request and return its answer."""
        with self.came:
            self.messages.append(message)
            self.came.notify_all()
            queued = self.answers[message.path]
            status, headers = queued.pop(0) if queued else (200, {})
        self.go.wait(WAIT_SECONDS_MAX)
        return status, headers


@contextmanager
def receiver() -> Iterator[Receiver]:
    """Run a receiver for the length of a block."""
    state = Receiver()
    state.go.set()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            headers = {name.lower(): value for name, value in self.headers.items()}
            status, more = state.take(Message(path=self.path, headers=headers, body=body))
            self.send_response(status)
            for name, value in more.items():
                self.send_header(name, value)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    class Server(ThreadingHTTPServer):
        request_queue_size = 256

    server = Server(("127.0.0.1", 0), Handler)
    server.handle_error = lambda *_: None  # type: ignore[method-assign,assignment]  # callers may be killed
    server.daemon_threads = True
    thread = threading.Thread(target=lambda: server.serve_forever(poll_interval=0.02), daemon=True)
    thread.start()
    state.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield state
    finally:
        state.go.set()
        server.shutdown()
        server.server_close()
        thread.join()


def endpoint(url: str, secret: str = "", **changes: Any) -> Webhook:
    """Return an endpoint on this machine."""
    values = {"name": "hook", "url": url, "secrets": (SecretStr(secret or new_secret()),), "allow_private": True}
    return Webhook.model_validate(values | changes)
