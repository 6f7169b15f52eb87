"""Secrets are compared in a time that tells nothing of them, and a key is known by its hash alone."""

import ast
import base64
import hmac
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import pytest
from pydantic import SecretStr

from imagequeue.config.errors import JobRefused
from imagequeue.dashboard import sessions
from imagequeue.producer.door import access, cursors, key_file, keys, links, metrics, serving
from imagequeue.producer.door.keys import KeyRecord, digest, find, new_token

NOW = datetime(2026, 11, 22, tzinfo=UTC)
SECRET = b"a secret of this door"
GUARDS: Final = (access, key_file, keys, links, metrics, serving, sessions)
SECRETS: Final = ("secret", "signature", "sha256", "digest", "token", "tag")

Compared = list[tuple[object, object]]


@pytest.fixture
def compared(monkeypatch: pytest.MonkeyPatch) -> Compared:
    """Return what is compared in constant time, as long as the test runs."""
    seen: Compared = []
    compare: Callable[..., bool] = hmac.compare_digest

    def noted(one: str, other: str) -> bool:
        seen.append((one, other))
        return compare(one, other)

    monkeypatch.setattr(hmac, "compare_digest", noted)
    return seen


def record(key_id: str, token: str) -> KeyRecord:
    made = {"id": key_id, "name": "a key", "sha256": digest(token), "scopes": ("read",), "created_at": NOW}
    return KeyRecord.model_validate(made)


def test_a_key_is_compared_by_its_hash_whether_its_id_is_known_or_not(compared: Compared) -> None:
    (key_id, token), (other_id, other) = new_token(), new_token()
    records = (record(key_id, token),)
    same_id = other.replace(other_id, key_id)
    body = same_id.rpartition("_")[0]
    guessed = f"{body}_{keys._checksum(body)}"  # well formed: the id of a key, another secret
    assert find(token, records) is records[0]
    assert find(guessed, records) is None
    assert find(other, records) is None
    assert compared == [(digest(token),) * 2, (digest(guessed), digest(token)), (digest(other), "0" * 64)]


def test_a_signed_link_is_compared_so(compared: Compared) -> None:
    expires, signature = links.signed("", "0" * 64, SECRET, NOW).partition("=")[2].split("&signature=")
    assert links.is_good("0" * 64, expires, signature, SECRET, NOW)
    assert not links.is_good("0" * 64, expires, "f" * 64, SECRET, NOW)
    assert not links.is_good("0" * 64, expires, "é", SECRET, NOW)
    assert compared == [(signature.encode(), given.encode()) for given in (signature, "f" * 64, "é")]


def test_a_cursor_opens_for_its_tenant_only_and_tells_nothing() -> None:
    cursor = cursors.sealed("where it goes on", SECRET, "red")
    assert cursor is not None
    assert cursors.opened(cursor, SECRET, "red") == "where it goes on"
    assert b"where" not in base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4))
    others = ((cursor, SECRET, "blue"), (cursor, b"other", "red"), (cursor[:-1], SECRET, "red"), ("é", SECRET, "red"))
    for given, secret, tenant in others:
        with pytest.raises(JobRefused, match="after"):
            cursors.opened(given, secret, tenant)
    assert cursors.sealed("where it goes on", SECRET, "red") != cursor
    assert (cursors.sealed(None, SECRET, "red"), cursors.opened(None, SECRET, "red")) == (None, None)


def test_a_forms_token_is_compared_so(compared: Compared) -> None:
    session = sessions.Sessions().login(SecretStr("iq_key"))
    assert sessions.same_token(session.form_token, session)
    assert not sessions.same_token("é", session)
    assert len(compared) == 2


def test_no_guard_compares_a_secret_in_another_way() -> None:
    """Neither `==` nor `in` stands between two values of which one is named like a secret; a lookup by id is none."""
    found = [
        f"{guard.__name__}:{node.lineno}"
        for guard in GUARDS
        for node in ast.walk(ast.parse(Path(str(guard.__file__)).read_text()))
        if isinstance(node, ast.Compare) and any(isinstance(way, ast.Eq | ast.NotEq | ast.In) for way in node.ops)
        if any(_is_secret(side) for side in (node.left, *node.comparators))
    ]
    assert found == []


def _is_secret(side: ast.expr) -> bool:
    if isinstance(side, ast.Call | ast.Subscript | ast.Constant):
        return False  # a part of it, its length, or a word that is written down here
    name = side.attr if isinstance(side, ast.Attribute) else side.id if isinstance(side, ast.Name) else ""
    return any(word in name.lower() for word in SECRETS)
