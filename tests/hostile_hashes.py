"""Job hashes as somebody with access to Redis may write them: nearly right, or meant to run or break something."""

import functools
import json
import pickle
import random
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from imagequeue.config.job import FUNCTION_NAME, Job

LATER = "2999-01-01T00:00:00Z"
NAMES = (
    "os.system", "builtins.exec", "builtins.eval", "builtins.__import__", "subprocess.check_output", "pty.spawn",
    "shutil.rmtree", "importlib.import_module", "code.interact", "runpy.run_path", "pickle.loads", "marshal.loads",
    "ctypes.CDLL", "socket.create_connection", "urllib.request.urlopen", "webbrowser.open", "antigravity.fly",
    "imagequeue.worker.tasks.image_job.__globals__", "imagequeue.worker.tasks.image_job ",
    "Imagequeue.worker.tasks.image_job",
    "imagequeue.worker.tasks", "imagequeue.worker.tasks.image_job\x00", "imagequeue.worker.main.run_worker", "this",
    "imagequeue\u2024worker\u2024tasks\u2024image_job", "../tasks.image_job", "", " ", "None", "rq.job.Job.fetch",
)  # fmt: skip
"""Names of functions that are not ours."""
VALID = json.dumps([FUNCTION_NAME, None, [{"prompt": "a cat", "not_before": LATER}], {}]).encode()
BOMB_BYTES = 4_000_000
VALUES: tuple[object, ...] = (
    None, True, 0, -1, 2**63, 2**200, 1.5, 1e308, "", " ", "\0", "x" * 40_000, "9" * 400, "nan", LATER, "1e400", [],
    {}, [[]], [{}], {"a": {"b": []}}, ["sha256:" + "0" * 64], ["file:///etc/passwd"], ["http://169.254.169.254/"],
    "../../etc/passwd",
)  # fmt: skip
FIELD_VALUES = (
    "", "abc", "-1", "1e400", "nan", "inf", "9" * 40, "0x1", "\x00", "é", "queued", "started", "finished", "null", "[]",
    "{", "os.system", "builtins.exec", '{"reason": 1}', LATER,
)  # fmt: skip
FIELDS = (
    "status", "origin", "created_at", "enqueued_at", "started_at", "ended_at", "timeout", "result_ttl", "ttl",
    "failure_ttl", "worker_name", "dependency_ids", "dependency_id", "meta", "description", "retries_left",
    "retry_intervals", "webhooks", "success_callback_name", "failure_callback_name", "stopped_callback_name",
    "instance", "group_id", "repeats_left", "iq_age", "iq_pos", "iq_tenant", "iq_n", "iq_tokens", "iq_tries",
    "iq_deliveries", "iq_deadline", "iq_crashes", "iq_cancel", "iq_fingerprint", "iq_form", "iq_cache", "iq_follows",
    "iq_overflow", "iq_wait", "iq_error", "iq_queue",
)  # fmt: skip


class Explosive:
    """Runs a command when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[str]]:
        import os

        return os.system, (f"touch {self.path}",)


@dataclass(frozen=True, kw_only=True)
class Hostile:
    """One hash: its payload and further fields. `listed`: how often its id stands on the queue."""

    data: bytes
    fields: dict[str, str | bytes] = field(default_factory=dict)
    listed: int = 1


def hostile(chance: random.Random, touched: Path) -> Hostile:
    """Return a hash of any kind; whatever of it were run would touch the file."""
    data = chance.choice(KINDS)(chance, touched)
    fields: dict[str, str | bytes] = {
        name: chance.choice(FIELD_VALUES) for name in chance.sample(FIELDS, chance.randrange(6))
    }
    if chance.random() < 0.2:
        fields |= {f"{when}_callback_name": "os.system" for when in ("success", "failure", "stopped")}
    return Hostile(data=data, fields=fields, listed=chance.choice((1, 1, 1, 1, 2, 3)))


def _call(*parts: object) -> bytes:
    return json.dumps(list(parts)).encode("utf-8", "surrogatepass")


def _foreign(chance: random.Random, touched: Path) -> bytes:
    return _packed(_call(chance.choice(NAMES), None, [f"touch {touched}"], {}), chance)


def _bound(chance: random.Random, touched: Path) -> bytes:
    instance = chance.choice(("rq.job", {"__class__": "os"}, ["os"], 1, True))
    return _packed(
        _call(FUNCTION_NAME, instance, [{"prompt": f"touch {touched}"}], chance.choice(({}, {"a": 1}))), chance
    )


def _misshapen(chance: random.Random, touched: Path) -> bytes:
    job = {"prompt": "x", "not_before": LATER}
    arguments = chance.choice(([], [job, job], [[job]], job, None, "x", [None], [json.dumps(job)], {"0": job}))
    return _packed(_call(FUNCTION_NAME, None, arguments, chance.choice(({}, [], None, {"prompt": "x"}))), chance)


def _changed(chance: random.Random, touched: Path) -> bytes:
    job: dict[str, Any] = {"prompt": "a cat", "not_before": LATER}
    for _ in range(chance.randrange(1, 4)):
        job[chance.choice((*Job.model_fields, "promt", "__class__"))] = chance.choice(VALUES)
    job["not_before"] = job["not_before"] or LATER
    return _packed(_call(FUNCTION_NAME, None, [job], {}), chance)


def _deep(chance: random.Random, touched: Path) -> bytes:
    depth, opening = chance.randrange(5_000), chance.choice((b"[", b'{"a":'))
    inside = opening * depth + b"1" + (b"]" if opening == b"[" else b"}") * chance.choice((depth, 0))
    return _packed(
        chance.choice((inside, b'["' + FUNCTION_NAME.encode() + b'", null, [{"metadata": ' + inside + b"}], {}]")),
        chance,
    )


def _pickled(chance: random.Random, touched: Path) -> bytes:
    data = pickle.dumps(Explosive(touched), protocol=chance.randrange(6))
    cycle: list[object] = []
    cycle.append(cycle)
    return _packed(
        chance.choice((data, data, pickle.dumps(cycle), pickle.dumps((FUNCTION_NAME, None, ({},), {})))), chance
    )


def _bomb(chance: random.Random, touched: Path) -> bytes:
    return _unfolding(chance.choice((b" ", b"[", b'"')))


@functools.cache
def _unfolding(letter: bytes) -> bytes:
    return zlib.compress(letter * BOMB_BYTES, 9)


def _packed(data: bytes, chance: random.Random) -> bytes:
    return zlib.compress(data) if chance.random() < 0.5 else data


Kind = Callable[[random.Random, Path], bytes]
KINDS: tuple[Kind, ...] = (
    lambda *_: VALID,
    lambda chance, _: chance.randbytes(chance.randrange(60)),
    lambda chance, _: zlib.compress(chance.randbytes(chance.randrange(60))),
    lambda chance, _: bytes(b ^ (1 << chance.randrange(8)) if chance.random() < 0.05 else b for b in VALID),
    lambda chance, _: zlib.compress(VALID)[: chance.randrange(len(VALID))],
    lambda chance, _: VALID.replace(b"a cat", chance.choice((b"", b"\\u0000", b"\\ud800", b"x" * 40_000))),
    lambda *_: b"1e999999",
    _foreign, _foreign, _foreign, _bound, _misshapen, _changed, _changed, _changed, _deep, _pickled, _pickled, _bomb,
)  # fmt: skip
