"""Every error of ours, in one tree. Catch by layer, translate at the boundary, keep the cause.

ImageQueueError
├── ConfigError             the configuration cannot be used; names the variable or key
├── JobRefused              a job is not acceptable; names the field and what is accepted
├── IdempotencyConflict     the same idempotency key came with another body
├── NotFound                no such job, key, organization, ...
├── NotAllowed              the key is unknown, or may not do this
├── Unavailable             a part we depend on does not answer; try again later
│   ├── QueueUnavailable    Redis or Valkey
│   ├── LedgerUnavailable   the ledger's database
│   └── StoreUnavailable    the image store
└── LedgerBreach            an invariant of the ledger does not hold
"""

from typing import Final

DEBUG_VARIABLE: Final = "IMAGEQUEUE_DEBUG"
"""The environment variable that, set to 1, makes the command line show where an error came from. No setting."""


class ImageQueueError(Exception):
    """Root of the tree; its text is one line a user can act on."""


class ConfigError(ImageQueueError):
    """The configuration cannot be used; the text names the variable or key."""


class JobRefused(ImageQueueError):
    """A job is not acceptable as it stands.

    `field` is the job's field (or `job` for the whole), `message` says what is accepted instead.
    """

    def __init__(self, field: str, message: str) -> None:
        super().__init__(f"{field}: {message}")
        self.field = field
        self.message = message


class IdempotencyConflict(ImageQueueError):
    """The idempotency key was used before with another body."""


class NotFound(ImageQueueError):
    """There is no such thing, or it is not yours to see."""


class NotAllowed(ImageQueueError):
    """The key is missing, unknown, expired or revoked, or it may not do this."""


class Unavailable(ImageQueueError):
    """A part we depend on does not answer now; nothing was lost and it can be tried again."""


class QueueUnavailable(Unavailable):
    """Redis or Valkey cannot be reached or refuses writes."""


class LedgerUnavailable(Unavailable):
    """The ledger's database cannot be reached or refuses writes."""


class StoreUnavailable(Unavailable):
    """The image store cannot be reached or refuses writes."""


class LedgerBreach(ImageQueueError):
    """An invariant of the ledger does not hold; the text names the first breach."""
