"""Who is logged in: a random cookie stands for a key of the HTTP door, which never leaves this process's memory.

A restart logs everybody out. Without keys the door is open and the cookie stands for nobody; its token against forged
forms is bound to it all the same.
"""

import hashlib
import hmac
import secrets
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from pydantic import SecretStr

SESSION_SECONDS: Final = 12 * 3_600
SESSIONS_MAX: Final = 1_000
ID_BYTES: Final = 32
ID_CHARACTERS_MAX: Final = 64


@dataclass(frozen=True, kw_only=True)
class Session:
    """One browser. `key` None: it is not logged in. `form_token` must come with every form it sends."""

    id: str
    form_token: str
    key: SecretStr | None = None


class Sessions:
    """Makes and finds sessions; the least recently used gives way when there are SESSIONS_MAX of them."""

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._secret = secrets.token_bytes(ID_BYTES)
        self._keys: OrderedDict[str, tuple[float, SecretStr]] = OrderedDict()

    def login(self, key: SecretStr) -> Session:
        """Return a new session of a key; its id was never used before."""
        found = self.anonymous()
        self._keys[found.id] = (self._monotonic() + SESSION_SECONDS, key)
        while len(self._keys) > SESSIONS_MAX:
            self._keys.popitem(last=False)
        return Session(id=found.id, form_token=found.form_token, key=key)

    def anonymous(self) -> Session:
        """Return a new session of nobody."""
        session_id = secrets.token_urlsafe(ID_BYTES)
        return Session(id=session_id, form_token=self._form_token(session_id))

    def find(self, session_id: str | None) -> Session | None:
        """Return the session of a cookie; None when there is no cookie that could be one."""
        if not session_id or len(session_id) > ID_CHARACTERS_MAX or not session_id.isascii():
            return None
        return Session(id=session_id, form_token=self._form_token(session_id), key=self._key(session_id))

    def logout(self, session_id: str) -> None:
        """Forget a session."""
        self._keys.pop(session_id, None)

    def _key(self, session_id: str) -> SecretStr | None:
        until, key = self._keys.get(session_id, (0.0, None))
        if key is None or self._monotonic() >= until:
            self._keys.pop(session_id, None)
            return None
        self._keys.move_to_end(session_id)
        return key

    def _form_token(self, session_id: str) -> str:
        return hmac.new(self._secret, session_id.encode(), hashlib.sha256).hexdigest()


def same_token(given: str, session: Session) -> bool:
    """Return whether a form's token is the session's, in a time that tells nothing about it."""
    return hmac.compare_digest(given.encode(), session.form_token.encode())
