"""The same call for every Python contender: one image, refused calls say when to come back. Nothing is kept."""

import os
from http import HTTPStatus

import aiohttp

REDIS_URL = os.environ.get("CONTEST_REDIS_URL", "redis://127.0.0.1:6379")
BASE_URL = os.environ.get("CONTEST_BASE_URL", "")
API_KEY = os.environ.get("CONTEST_API_KEY", "")
CONCURRENCY = int(os.environ.get("CONTEST_CONCURRENCY", "1"))
DONE = "contest:done"
CALL_SECONDS_MAX = 60
TRIES_MAX = 1000
"""High, so that no contender gives a job up for being refused."""


class Refused(Exception):
    """The provider answered 429. `seconds`: when it will take another call."""

    def __init__(self, seconds: int) -> None:
        super().__init__(f"refused for {seconds} s")
        self.seconds = seconds


def session() -> aiohttp.ClientSession:
    """Return a client without a limit of its own."""
    timeout = aiohttp.ClientTimeout(total=CALL_SECONDS_MAX)
    return aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0), timeout=timeout)


async def call(client: aiohttp.ClientSession, job: str) -> int:
    """Make one image and return how many came; Refused on 429."""
    body = {"model": "dall-e-3", "prompt": job, "n": 1, "size": "1024x1024", "response_format": "b64_json"}
    headers = {"authorization": f"Bearer {API_KEY}", "x-client-request-id": job}
    async with client.post(f"{BASE_URL}/images/generations", json=body, headers=headers) as answer:
        if answer.status == HTTPStatus.TOO_MANY_REQUESTS:
            raise Refused(max(1, int(answer.headers.get("retry-after", "1"))))
        answer.raise_for_status()
        return len((await answer.json())["data"])
