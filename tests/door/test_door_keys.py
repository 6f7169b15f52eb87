"""Keys: their form, their file, their commands, and what opens the door."""

import asyncio
import json
import stat
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from door_stack import imagequeue
from hypothesis import given
from hypothesis import strategies as st

from imagequeue.config.errors import ConfigError, NotFound
from imagequeue.producer.door.access import Access, check_may_open, is_loopback
from imagequeue.producer.door.key_file import KeyFile
from imagequeue.producer.door.keys import KeyRecord, digest, find, is_well_formed, new_token
from imagequeue.producer.door.problems import Problem

NOW = datetime(2026, 11, 22, tzinfo=UTC)


class SetClock:
    """A clock that a test sets."""

    def __init__(self) -> None:
        self.moment = NOW

    def now(self) -> datetime:
        """Return the set time."""
        return self.moment


def record(key_id: str, token: str, **fields: object) -> KeyRecord:
    made = {"id": key_id, "name": "a key", "sha256": digest(token), "scopes": ("read",), "created_at": NOW}
    return KeyRecord.model_validate(made | fields)


def status_of(access: Access, token: str | None, scope: str = "read") -> int:
    try:
        access.caller(None if token is None else f"Bearer {token}").check_may(scope)  # type: ignore[arg-type]  # a scope's name
    except Problem as problem:
        return problem.status
    return 200


def test_a_token_has_enough_chance_in_it_and_only_its_hash_is_kept(tmp_path: Path) -> None:
    key_id, token = new_token()
    assert is_well_formed(token)
    assert len(bytes.fromhex(token.split("_")[2])) * 8 >= 128
    file = KeyFile(tmp_path / "keys.json")
    file.add(record(key_id, token))
    written = file.path.read_text()
    assert token not in written
    assert token.split("_")[2] not in written
    assert find(digest(token), (record(key_id, token),)) is None


@given(st.integers(0, 60), st.characters(codec="utf-8"))
def test_a_mistyped_token_is_none_of_ours(place: int, letter: str) -> None:
    key_id, token = new_token()
    spoiled = token[:place] + letter + token[place + 1 :]
    assert (find(spoiled, (record(key_id, token),)) is not None) == (spoiled == token)


@given(st.text(max_size=200))
def test_no_text_passes_for_a_token(text: str) -> None:
    assert find(text, ()) is None


def test_a_key_opens_until_it_expires_or_is_revoked_and_the_file_is_read_again(tmp_path: Path) -> None:
    clock, path = SetClock(), tmp_path / "keys.json"
    access = Access(KeyFile(path), clock, may_be_open=False)
    (first, one), (second, two) = new_token(), new_token()
    assert status_of(access, one) == 401
    KeyFile(path).add(record(first, one, expires_at=NOW + timedelta(hours=1)))
    KeyFile(path).add(record(second, two, scopes=("submit",)))
    assert (status_of(access, one), status_of(access, two), status_of(access, two, "submit")) == (200, 403, 200)
    assert status_of(access, None) == 401
    clock.moment += timedelta(hours=1)
    assert status_of(access, one) == 401
    KeyFile(path).revoke(second, clock.moment)
    assert status_of(access, two, "submit") == 401


def test_a_door_that_has_seen_a_key_never_opens_again(tmp_path: Path) -> None:
    """Keys that are revoked, or a file that is gone or spoiled, let nobody in."""
    path = tmp_path / "keys.json"
    access = Access(KeyFile(path), SetClock(), may_be_open=True)
    assert status_of(access, None) == 200
    key_id, token = new_token()
    KeyFile(path).add(record(key_id, token))
    assert status_of(access, None) == 401
    path.write_text("{}")
    assert status_of(access, token) == 401
    path.write_text("not json")
    assert status_of(access, token) == 503
    path.unlink()
    assert status_of(access, None) == 401


def test_the_file_is_its_owners_and_loses_no_key_to_writers_at_once(tmp_path: Path) -> None:
    path = tmp_path / "new" / "keys.json"
    made = [new_token() for _ in range(16)]
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda one: KeyFile(path).add(record(*one)), made))
    book = KeyFile(path).book()
    assert book is not None
    assert {key.id for key in book.keys} == {key_id for key_id, _ in made}
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert {found.name for found in path.parent.iterdir()} == {"keys.json", "keys.json.lock"}
    with pytest.raises(NotFound):
        KeyFile(path).revoke("0" * 12, NOW)


@pytest.mark.parametrize(
    ("host", "loopback"),
    [("127.0.0.1", True), ("localhost", True), ("::1", True), ("127.9.9.9", True), ("0.0.0.0", False), ("::", False)],  # noqa: S104 - only looked at
)
def test_off_loopback_the_door_needs_keys(host: str, loopback: bool) -> None:  # noqa: FBT001 - a parameter
    assert is_loopback(host) == loopback
    if not loopback:
        with pytest.raises(ConfigError, match="imagequeue keys create"):
            check_may_open(host, None)


def test_the_commands_make_list_and_revoke_keys(tmp_path: Path) -> None:
    environ = {"PATH": "/usr/bin:/bin", "IMAGEQUEUE_DATA_DIR": str(tmp_path / "data")}
    options = ("--tenant", "red", "--expires", "30d", "--per-minute", "60", "--monthly-budget-usd", "12.50")
    made = json.loads(imagequeue(environ, "keys", "create", "--name", "shop", *options, "--json").stdout)
    assert is_well_formed(made["token"])
    assert (made["scopes"], made["tenant"], made["monthly_budget_usd"]) == (["submit", "read"], "red", "12.500000000")
    assert imagequeue(environ, "keys", "revoke", made["id"]).returncode == 0
    listed = imagequeue(environ, "keys", "list", "--json").stdout
    assert [(key["id"], key["state"]) for key in json.loads(listed)["keys"]] == [(made["id"], "revoked")]
    assert made["token"] not in listed
    assert "shop" in imagequeue(environ, "keys", "list").stdout


@pytest.mark.parametrize(
    ("options", "named"),
    [
        (("--scope", "all"), "--scope"),
        (("--tenant", "a b"), "--tenant"),
        (("--expires", "soon"), "--expires"),
        (("--expires", "2020-01-01"), "--expires"),
        (("--per-minute", "0"), "--per-minute"),
        (("--monthly-budget-usd", "-1"), "--monthly-budget-usd"),
        (("--monthly-budget-usd", "lots"), "--monthly-budget-usd"),
        (("--name", ""), "--name"),
    ],
)
def test_a_wrong_option_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: tuple[str, ...], named: str
) -> None:
    import typer
    from typer.testing import CliRunner

    from imagequeue.producer.commands.keys import register

    monkeypatch.setenv("IMAGEQUEUE_DATA_DIR", str(tmp_path))
    app = typer.Typer()
    app.callback()(lambda: None)
    register(app)
    ended = CliRunner().invoke(app, ["keys", "create", "--name", "a", *options])
    assert isinstance(ended.exception, ConfigError)
    assert str(ended.exception).startswith(f"{named}: ")
    assert not (tmp_path / "api-keys.json").exists()


def test_the_door_says_in_one_line_why_it_does_not_open(tmp_path: Path) -> None:
    environ = {"PATH": "/usr/bin:/bin", "IMAGEQUEUE_DATA_DIR": str(tmp_path / "data")}
    refused = imagequeue(environ, "api", "--host", "0.0.0.0", "--port", "0")  # noqa: S104 - it must refuse
    assert (refused.returncode, refused.stderr.count("\n")) == (2, 1)
    assert "imagequeue keys create" in refused.stderr
    assert not asyncio.run(_listens(tmp_path))


async def _listens(data_dir: Path) -> bool:
    return (data_dir / "data" / "server").exists()
