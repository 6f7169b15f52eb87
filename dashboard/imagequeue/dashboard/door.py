"""The HTTP door as this page uses it: asked in this process, with the viewer's own key; it decides what is seen.

Nothing here reads Redis, the ledger or the store: a page shows what the viewer could ask the API for, and no more.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

import httpx
from pydantic import SecretStr
from starlette.requests import Request
from starlette.types import ASGIApp

from imagequeue.config.settings import Settings
from imagequeue.dashboard.memory import Memory
from imagequeue.dashboard.values import Json, text_at

CALL_SECONDS_MAX: Final = 30.0
UNAUTHORIZED: Final = 401

Parameters = Sequence[tuple[str, str]]


class Key(Protocol):
    """What a key may do, as the door knows it."""

    @property
    def tenant(self) -> str | None:
        """The only tenant it may act for; None for any."""
        ...

    @property
    def scopes(self) -> Sequence[str]:
        """Some of submit, read, admin."""
        ...


class MountContext(Protocol):
    """What the door hands to a part that it mounts, as far as this part uses it."""

    @property
    def settings(self) -> Settings:
        """The settings."""
        ...

    def is_open(self) -> bool:
        """Return whether nobody needs a key; each request must pass `check_same_machine` then."""
        ...

    def is_closing(self) -> bool:
        """Return whether the door was told to stop; whatever lasts must end then."""
        ...

    def key_of(self, token: str, /) -> Key | None:
        """Return the active key that a token is."""
        ...

    def check_same_machine(self, request: Request, /) -> None:
        """Raise an ImageQueueError for a request that another site's page made, or under a foreign name."""
        ...


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What the door answered. `problem`: why there is no data, in one line; empty when there is."""

    status: int
    body: Json
    problem: str = ""

    @property
    def logged_out(self) -> bool:
        """Whether the key is good no more."""
        return self.status == UNAUTHORIZED


class Door:
    """The door for one viewer. Answers that are asked for again within `fresh_seconds` are remembered."""

    def __init__(self, app: ASGIApp, host: str, key: SecretStr | None, memory: Memory[Answer]) -> None:
        self._app = app
        self._host = host
        self._key = key
        self._memory = memory

    async def get(self, path: str, parameters: Parameters = (), *, fresh_seconds: float = 0.0) -> Answer:
        """Return the answer to a question."""
        if fresh_seconds <= 0:
            return await self._ask(path, parameters)
        name = (self._token, path, tuple(parameters))
        return await self._memory.shared(name, fresh_seconds, lambda: self._ask(path, parameters))

    async def _ask(self, path: str, parameters: Parameters) -> Answer:
        return _answer(await self._send("GET", path, parameters))

    async def post(self, path: str, body: Mapping[str, object]) -> Answer:
        """Ask for a change and return what came of it."""
        return _answer(await self._send("POST", path, (), body))

    async def image(self, path: str) -> httpx.Response:
        """Return the bytes of an image or of its thumbnail, or whatever is answered instead."""
        return await self._send("GET", f"/v1/images/{path}", ())

    @property
    def _token(self) -> str:
        return self._key.get_secret_value() if self._key else ""

    async def _send(
        self, method: str, path: str, parameters: Parameters, body: Mapping[str, object] | None = None
    ) -> httpx.Response:
        headers = {"Authorization": f"Bearer {self._token}"} if self._key else {}
        transport = httpx.ASGITransport(app=self._app, raise_app_exceptions=False, client=("127.0.0.1", 0))
        async with httpx.AsyncClient(
            transport=transport, base_url=f"http://{self._host}", timeout=CALL_SECONDS_MAX
        ) as client:
            return await client.request(method, path, params=list(parameters), headers=headers, json=body)


def _answer(response: httpx.Response) -> Answer:
    try:
        body = json.loads(response.content)
    except ValueError:
        body = {}
    shaped = body if isinstance(body, dict) else {}
    if response.is_success:
        return Answer(status=response.status_code, body=shaped)
    said = text_at(shaped, "error", "message") or f"the door answered {response.status_code}"
    return Answer(status=response.status_code, body={}, problem=said[:1].upper() + said[1:])
