"""Two tenants: one with things of its own, and what another one asks for to see or change them."""

import io
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

import httpx
from door_stack import Stack, ended, make_key
from PIL import Image

LATER = "2999-01-01T00:00:00Z"
FORBIDDEN = 403
EVERYTHING = ("submit", "read", "admin")


@dataclass(frozen=True, kw_only=True)
class Victim:
    """A tenant with a job that waits, one that has images, an uploaded image; all marked with words of its own."""

    client: httpx.Client
    tenant: str
    mark: str
    waiting: str
    done: str
    made: str
    uploaded: str


@dataclass(frozen=True, kw_only=True)
class Ask:
    """One request of the other tenant's; `fine` are the statuses that it may get without being shown anything.

    `repeats`: the answer may repeat what the request named, though it is no refusal as a whole.
    """

    path: str
    fine: tuple[int, ...] = (FORBIDDEN,)
    sent: dict[str, Any] = field(default_factory=dict)
    repeats: bool = False


@contextmanager
def a_victim(stack: Stack) -> Iterator[Victim]:
    """Give a tenant with things of its own."""
    tenant, mark = f"v{uuid4().hex}", f"m{uuid4().hex}"
    with httpx.Client(base_url=stack.url, timeout=30, headers=bearer(stack, tenant, ("submit", "read"))) as client:
        marked = {"prompt": f"a lighthouse {mark}", "model": "dall-e-3", "tags": {"mark": mark}, "intent": mark}
        done = ended(client, client.post("/v1/jobs", json=marked).json()["id"])
        waiting = client.post("/v1/jobs", json=marked | {"not_before": LATER}).json()["id"]
        uploaded = client.post("/v1/images", content=png()).json()["images"][0]["sha256"]
        yield Victim(
            client=client,
            tenant=tenant,
            mark=mark,
            waiting=waiting,
            done=done["id"],
            made=done["images"][0]["sha256"],
            uploaded=uploaded,
        )


@contextmanager
def a_thief(stack: Stack) -> Iterator[httpx.Client]:
    """Give the client of another tenant whose key may do everything that a key bound to a tenant can."""
    headers = bearer(stack, f"t{uuid4().hex}", EVERYTHING)
    with httpx.Client(base_url=stack.url, timeout=30, headers=headers) as client:
        yield client


def bearer(stack: Stack, tenant: str, scopes: tuple[str, ...]) -> dict[str, str]:
    """Return the headers of a new key that is bound to a tenant."""
    return {"Authorization": f"Bearer {make_key(stack.data_dir, 'tenants', scopes=scopes, tenant=tenant)}"}


def png() -> bytes:
    """Return an image that nobody else has."""
    file = io.BytesIO()
    Image.new("RGB", (64, 64), tuple(uuid4().bytes[:3])).save(file, "PNG", comment=uuid4().hex)
    return file.getvalue()


def state_of(victim: Victim) -> tuple[list[Any], list[str], Any]:
    """Return all that the victim sees of its own."""
    own = [victim.client.get(f"/v1/jobs/{one}").json() for one in (victim.waiting, victim.done)]
    listed = sorted(job["id"] for job in victim.client.get("/v1/jobs", params={"limit": 1000}).json()["jobs"])
    summary = victim.client.get("/v1/ledger/summary", params={"group_by": "tenant,intent"}).json()
    return own, listed, summary


def leaked(victim: Victim, ask: Ask, answer: httpx.Response) -> list[str]:
    """Return what of the victim's an answer tells that the request did not name itself; a refusal may repeat that."""
    shown, named = answer.text + str(answer.headers), ask.path + str(ask.sent)
    secrets = (victim.tenant, victim.mark, victim.waiting, victim.done, victim.made, victim.uploaded)
    may_repeat = ask.repeats or answer.status_code >= httpx.codes.BAD_REQUEST
    return [secret for secret in secrets if secret in shown and not (secret in named and may_repeat)]
