"""Which request meets which fault. Decides only; `misbehave` and `refusals` say what then happens on the wire."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from random import Random
from typing import Final, Literal, get_args

from pydantic import ConfigDict

FAULTS_MAX: Final = 100
FAULT_SECONDS_MAX: Final = 600.0
FAULT_BYTES_MAX: Final = 1_073_741_824

Refusal = Literal[
    "rate_limit",  # 429 rate_limit_exceeded although the bucket had room
    "slow_down",  # 429 slow_down
    "insufficient_quota",  # 429, `code` chooses among the quota codes
    "billing_hard_limit",  # 400 billing_hard_limit_reached
    "invalid_key",  # 401
    "unverified",  # 403, the organization is not verified for the model
    "model_not_found",  # 404, as a retired model answers
    "policy",  # 400 moderation_blocked (content_policy_violation for DALL-E)
    "conflict",  # 409
    "server_error",  # 500, nothing was made
    "bad_gateway",  # 502 with an HTML page
    "overloaded",  # 503 server_is_overloaded
    "gateway_timeout",  # 504 with an HTML page
    "error_in_200",  # HTTP 200 with a rate limit error in the body
    "reset",  # the connection is reset before anything was made
    "hang",  # no answer for `seconds`, then a reset; nothing was made
]
Spoiling = Literal[
    "billed_server_error",  # the image was made and billed, the answer is 500
    "billed_gateway_timeout",  # the same with 504
    "billed_reset",  # the same, the connection is reset instead of an answer
    "billed_hang",  # the same, no answer for `seconds`, then a reset
    "drip",  # the answer comes in small pieces over `seconds`
    "truncated",  # half of the answer, then the connection ends
    "truncated_json",  # a complete HTTP answer whose JSON stops halfway
    "html",  # 200 with an HTML page
    "wrong_base64",  # b64_json is not base64
    "not_an_image",  # b64_json is good base64 of bytes that are no image
    "broken_image",  # b64_json is a PNG with damaged data
    "huge_body",  # the answer goes on to `bytes` bytes
    "gzip_bomb",  # Content-Encoding: gzip that unfolds to `bytes` bytes
    "empty",  # 200 with no body
    "empty_data",  # 200 with an empty list of images
    "negative_usage",  # a good answer whose usage counts fewer than no tokens
    "twice",  # a good answer, and the same once more on that connection
]
BatchFault = Literal[
    "upload_reset",  # the file is stored, the connection is reset instead of an answer
    "create_reset",  # the batch is made, the connection is reset instead of an answer
    "batch_fails",  # the batch is made and fails its validation; nothing is billed
    "batch_expires",  # the batch ends expired with the second half of its lines not done
    "batch_stalls",  # the batch stays in progress until it is cancelled
]
Kind = Refusal | Spoiling | BatchFault

REFUSALS: Final[frozenset[str]] = frozenset(get_args(Refusal))
SPOILINGS: Final[frozenset[str]] = frozenset(get_args(Spoiling))
BATCH_FAULTS: Final[frozenset[str]] = frozenset(get_args(BatchFault))
ON_IMAGES: Final = REFUSALS | SPOILINGS


@dataclass(frozen=True, kw_only=True)
class Fault:
    """One rule: requests that match `org` and `model` (None = every) meet `kind` with `probability`.

    The first `skip` matching requests are spared; after `count` hits (None = no end) the rule is used up.
    `seconds` is the length of a hang or drip, or the delay before a refusal; `bytes` is the size of a huge body or
    of what a gzip bomb unfolds to; `retry_after_seconds` is what a 429 or 503 asks for (None = no header);
    `code` replaces the error code of a refusal.
    """

    __pydantic_config__ = ConfigDict(extra="forbid")

    kind: Kind
    probability: float = 1.0
    count: int | None = None
    skip: int = 0
    org: str | None = None
    model: str | None = None
    seconds: float = 0.0
    bytes: int = 268_435_456
    retry_after_seconds: int | None = None
    code: str | None = None

    def __post_init__(self) -> None:
        if not 0 <= self.probability <= 1:
            raise ValueError("probability: 0 to 1")
        if self.skip < 0 or (self.count is not None and self.count < 0):
            raise ValueError("count and skip: 0 or more")
        if not 0 <= self.seconds <= FAULT_SECONDS_MAX:
            raise ValueError(f"seconds: 0 to {FAULT_SECONDS_MAX:g}")
        if not 0 <= self.bytes <= FAULT_BYTES_MAX:
            raise ValueError(f"bytes: 0 to {FAULT_BYTES_MAX}")

    def concerns(self, *, org: str, model: str) -> bool:
        """Whether a request of this organization and model is one of the rule's."""
        return self.org in (None, org) and self.model in (None, model)


@dataclass(slots=True)
class _Use:
    fault: Fault
    seen: int = 0
    hits: int = 0


class FaultPlan:
    """The rules in force, in order; the first that strikes a request wins."""

    def __init__(self, faults: Sequence[Fault], random: Random) -> None:
        if len(faults) > FAULTS_MAX:
            raise ValueError(f"faults: at most {FAULTS_MAX}")
        self._uses = [_Use(fault) for fault in faults]
        self._random = random

    def strike(self, *, org: str, model: str, among: Collection[str] = ON_IMAGES) -> Fault | None:
        """Return the fault that this request meets, if any, and count it; `among` are the kinds it can meet."""
        for use in self._uses:
            if use.fault.kind in among and use.fault.concerns(org=org, model=model) and self._hits(use):
                use.hits += 1
                return use.fault
        return None

    def _hits(self, use: _Use) -> bool:
        use.seen += 1
        if use.seen <= use.fault.skip or (use.fault.count is not None and use.hits >= use.fault.count):
            return False
        return use.fault.probability >= 1 or self._random.random() < use.fault.probability

    def state(self) -> list[tuple[Fault, int, int]]:
        """Return each rule with the matching requests seen and the hits so far."""
        return [(use.fault, use.seen, use.hits) for use in self._uses]
