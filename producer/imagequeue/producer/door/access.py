"""Who asks, and what they may: the key in the request against the keys in the file."""

from dataclasses import dataclass
from ipaddress import ip_address
from typing import Final

import structlog

from imagequeue.config.clock import Clock
from imagequeue.config.errors import ConfigError
from imagequeue.producer.door.key_file import KeyBook, KeyFile
from imagequeue.producer.door.keys import KeyRecord, Scope, find
from imagequeue.producer.door.problems import forbidden, unauthorized, unavailable

SCHEME: Final = "bearer "

log = structlog.get_logger("imagequeue.door")


@dataclass(frozen=True, kw_only=True)
class Caller:
    """Somebody who was let in. `key` None: the door is open, because it has no keys and listens on loopback only."""

    key: KeyRecord | None = None

    @property
    def tenant(self) -> str | None:
        """The only tenant they may act for; None for any."""
        return self.key.tenant if self.key else None

    @property
    def is_bound(self) -> bool:
        """Whether they may know of one tenant only."""
        return self.tenant is not None

    @property
    def key_id(self) -> str | None:
        """The public id of the key, for logs."""
        return self.key.id if self.key else None

    def may(self, scope: Scope) -> bool:
        """Return whether the scope is theirs; `admin` includes the others."""
        return self.key is None or scope in self.key.scopes or "admin" in self.key.scopes

    def check_may(self, scope: Scope) -> None:
        """Problem 403 unless the scope is theirs."""
        if self.key is not None and not self.may(scope):
            raise forbidden(f"this key may {', '.join(self.key.scopes)}; {scope} is needed")

    def owns(self, tenant: object) -> bool:
        """Return whether something of this tenant is theirs to see and change."""
        return self.tenant is None or self.tenant == tenant

    def check_owns(self, tenant: object) -> None:
        """Problem 403 unless it is theirs."""
        if not self.owns(tenant):
            raise forbidden("it belongs to another tenant than this key")

    def tenant_of(self, asked: str | None) -> str | None:
        """Return the tenant that a request is about: the one asked for, else the key's own; Problem 403 for others."""
        if asked is not None:
            self.check_owns(asked)
        return asked or self.tenant


class Access:
    """Lets callers in. With `may_be_open` the door is open as long as there is no key at all.

    A door that has seen a key stays closed when the file goes away: fail closed, not open.
    """

    def __init__(
        self,
        key_file: KeyFile,
        clock: Clock,
        *,
        may_be_open: bool,
    ) -> None:
        self._file = key_file
        self._clock = clock
        self._may_be_open = may_be_open

    @property
    def open(self) -> bool:
        """Whether nobody needs a key."""
        book = self._book()
        if book is not None and book.keys:
            self._may_be_open = False
        return self._may_be_open

    @property
    def link_secret(self) -> bytes | None:
        """The secret that signs image links; None when no file of keys was ever made."""
        book = self._book()
        return None if book is None else book.link_secret.get_secret_value().encode()

    def caller(self, authorization: str | None) -> Caller:
        """Return who asks; Problem 401 says why they are not let in, 503 that keys cannot be read."""
        return Caller() if self.open else Caller(key=self._record(authorization))

    def key_of(self, token: str) -> KeyRecord | None:
        """Return the active key that a token is, None otherwise; for parts with a login of their own."""
        book = self._book()
        found = find(token, book.keys) if book else None
        return found if found is not None and found.state(self._clock.now()) == "active" else None

    def _record(self, authorization: str | None) -> KeyRecord:
        if authorization is None:
            raise unauthorized("a key is needed: Authorization: Bearer iq_...; `imagequeue keys create` makes one")
        if not authorization.lower().startswith(SCHEME):
            raise unauthorized("the header Authorization has to read: Bearer iq_...")
        record = self.key_of(authorization[len(SCHEME) :].strip())
        if record is None:
            raise unauthorized("this key is unknown, mistyped, expired or revoked")
        return record

    def _book(self) -> KeyBook | None:
        try:
            return self._file.book()
        except ConfigError as error:
            log.error("keys cannot be read; nobody is let in", error=str(error))  # noqa: TRY400 - one line says it all
            raise unavailable("keys cannot be checked now; the door's log says why") from error


def is_loopback(host: str) -> bool:
    """Return whether only programs on this machine can reach an address to listen on."""
    if host.lower() == "localhost":
        return True
    try:
        return ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def check_may_open(host: str, book: KeyBook | None) -> None:
    """ConfigError when the door would let in anybody from other machines."""
    if not is_loopback(host) and not (book and book.keys):
        raise ConfigError(
            f"--host {host}: off loopback the door needs keys; make one with `imagequeue keys create --name NAME`"
        )
