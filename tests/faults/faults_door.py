"""Somebody who sends jobs through the HTTP door while a part behind it is broken, and again once it is mended."""

import json
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import httpx
from ready_process import running
from soak_processes import wait_until
from soak_site import Site

READY_SECONDS_MAX: Final = 60.0
KNOCK_SECONDS: Final = 0.3
PATIENCE_SECONDS: Final = 20.0
"""No answer within this time is no answer at all."""
AGAIN_SECONDS_MAX: Final = 30.0
MARGIN_SECONDS: Final = 0.3
ACCEPTED: Final = (200, 202)


@dataclass(frozen=True, kw_only=True)
class Knock:
    """One POST /v1/jobs; `status` 0 when the door gave no answer."""

    key: str
    status: int
    retry_after: str
    job_id: str
    began: float
    ended: float


@dataclass(frozen=True, kw_only=True)
class DoorSeen:
    """What the door answered while a part was broken, and after it was mended, when all were sent again, twice."""

    answers: dict[int, int]
    retry_after: tuple[str, ...]
    slowest_seconds: float
    accepted_while: int
    sent: int
    jobs: int
    problems: tuple[str, ...]

    def line(self) -> str:
        """Return it in some words."""
        answers = ", ".join(f"{count} x {status or 'nothing'}" for status, count in sorted(self.answers.items()))
        waits = "/".join(self.retry_after) or "-"
        return (
            f"door: {answers} (Retry-After {waits}; at most {self.slowest_seconds:.2f} s); "
            f"{self.sent} sent again, twice: {self.jobs} jobs"
        )


@dataclass(kw_only=True)
class Visitor:
    """Sends jobs, each with an Idempotency-Key of its own."""

    site: Site
    url: str
    knocks: list[Knock] = field(default_factory=list)
    _stopped: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread | None = None

    def start(self) -> None:
        """Begin to send, in a thread: an answer may be long in coming."""
        self._thread = threading.Thread(target=self._knock_on)
        self._thread.start()

    def stop(self) -> None:
        """Send no more."""
        self._stopped.set()

    def _knock_on(self) -> None:
        with httpx.Client(base_url=self.url, timeout=PATIENCE_SECONDS) as client:
            while not self._stopped.wait(KNOCK_SECONDS):
                self.knocks.append(self._knock(client, f"knock-{len(self.knocks)}"))

    def _knock(self, client: httpx.Client, key: str) -> Knock:
        began = time.monotonic()
        body = {"prompt": key, "model": self.site.model}
        try:
            answer = client.post("/v1/jobs", json=body, headers={"Idempotency-Key": key})
        except httpx.HTTPError:
            return Knock(key=key, status=0, retry_after="", job_id="", began=began, ended=time.monotonic())
        job_id = str(_body(answer).get("id", "")) if answer.status_code in ACCEPTED else ""
        wait = answer.headers.get("retry-after", "")
        return Knock(
            key=key, status=answer.status_code, retry_after=wait, job_id=job_id, began=began, ended=time.monotonic()
        )

    def settle(self, begun: float, ended: float, *, closed: bool) -> DoorSeen:
        """Send everything again, twice; `closed`: nothing may have been taken between `begun` and `ended`."""
        assert self._thread is not None
        self._thread.join()
        met = [knock for knock in self.knocks if knock.began >= begun + MARGIN_SECONDS and knock.ended <= ended]
        problems = [f"the door gave {knock.status}" for knock in self.knocks if knock.status not in (*ACCEPTED, 503)]
        problems += ["503 without Retry-After" for knock in met if knock.status == 503 and not knock.retry_after]
        taken = sum(knock.status in ACCEPTED for knock in met)
        problems += [f"the door took {taken} jobs that it could not queue"] if closed and taken else []
        came = any(knock.began <= ended and knock.ended >= begun for knock in self.knocks)
        problems += [] if came else ["nobody came to the door"]
        ids = self._again()
        problems += _differing(self.knocks, ids)
        self.site.acked += sorted({job_id for pair in ids.values() for job_id in pair})
        return DoorSeen(
            answers=dict(Counter(knock.status for knock in met)),
            retry_after=tuple(sorted({knock.retry_after for knock in met if knock.retry_after})),
            slowest_seconds=max((knock.ended - knock.began for knock in met), default=0.0),
            accepted_while=taken,
            sent=len(self.knocks),
            jobs=len({job_id for pair in ids.values() for job_id in pair}),
            problems=tuple(problems),
        )

    def _again(self) -> dict[str, tuple[str, str]]:
        with httpx.Client(base_url=self.url, timeout=PATIENCE_SECONDS) as client:
            return {
                knock.key: (self._until_taken(client, knock.key), self._until_taken(client, knock.key))
                for knock in self.knocks
            }

    def _until_taken(self, client: httpx.Client, key: str) -> str:
        until = time.monotonic() + AGAIN_SECONDS_MAX
        while time.monotonic() < until:
            knock = self._knock(client, key)
            if knock.job_id:
                return knock.job_id
            time.sleep(0.1)
        raise AssertionError(f"the door does not take {key}: {knock}")


def _body(answer: httpx.Response) -> dict[str, object]:
    value = json.loads(answer.content)
    return value if isinstance(value, dict) else {}


def _differing(knocks: Sequence[Knock], ids: dict[str, tuple[str, str]]) -> list[str]:
    """One key is one job, whether it was taken before the fault, while it lasted or after it."""
    return [
        f"{knock.key} is {knock.job_id or 'none'} and then {ids[knock.key]}"
        for knock in knocks
        if len({job_id for job_id in (knock.job_id, *ids[knock.key]) if job_id}) != 1
    ]


@contextmanager
def visited_door(site: Site) -> Iterator[Visitor]:
    """Start a door of the site, and stop it at the end; yields who will knock at it."""
    environ = site.nursery.environ | {"IMAGEQUEUE_LOG_LEVEL": "info"}
    words = ("api", "--port", "0")
    with (
        tempfile.TemporaryDirectory(prefix="imagequeue-door-") as folder,  # not the site's: its disk may be full
        running("imagequeue.producer.main", *words, environ=environ, stderr=Path(folder, "log")) as process,
    ):
        lines = (line.decode() for line in process.stdout)
        url = next(word for line in lines for word in line.split() if word.startswith("http://"))
        wait_until("the door is ready", READY_SECONDS_MAX, lambda: httpx.get(f"{url}/readyz").is_success)
        visitor = Visitor(site=site, url=url)
        try:
            yield visitor
        finally:
            visitor.stop()
