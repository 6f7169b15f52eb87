"""The commands `keys create`, `keys list` and `keys revoke`: who may come through the HTTP door."""

import re
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Annotated, Final

import typer

from imagequeue.config.clock import SystemClock, iso
from imagequeue.config.errors import ConfigError
from imagequeue.config.money import NanoUsd, format_usd, parse_usd
from imagequeue.producer.commands.output import print_json, print_line, print_table

if TYPE_CHECKING:
    from imagequeue.producer.door.key_file import KeyFile
    from imagequeue.producer.door.keys import KeyRecord

DURATION: Final = re.compile(r"(\d{1,6})([hdw])")
UNITS: Final = {"h": timedelta(hours=1), "d": timedelta(days=1), "w": timedelta(weeks=1)}

Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def register(app: typer.Typer) -> None:
    """Add the commands to the application."""
    group = typer.Typer(help="Create, list and revoke keys of the HTTP door.", no_args_is_help=True)
    group.command()(create)
    group.command("list")(list_keys)
    group.command()(revoke)
    app.add_typer(group, name="keys")


def create(
    name: Annotated[str, typer.Option(help="What the key is for, in your words.")],
    scope: Annotated[
        list[str] | None, typer.Option(help="submit, read or admin; may be repeated. Default: submit and read.")
    ] = None,
    tenant: Annotated[str | None, typer.Option(help="Bind the key to one tenant; without it, any.")] = None,
    expires: Annotated[
        str | None, typer.Option(help="When it ends: 12h, 30d, 8w, or a day or time in ISO 8601.")
    ] = None,
    per_minute: Annotated[int | None, typer.Option(help="Most requests a minute; each job counts.")] = None,
    monthly_budget_usd: Annotated[
        str | None, typer.Option(help="Most that the jobs accepted in a UTC month may cost.")
    ] = None,
    cache: Annotated[
        str | None, typer.Option(help="What a job's cache is when it does not say: off, use or refresh.")
    ] = None,
    as_json: Json = False,  # noqa: FBT002 - typer makes an option of it
) -> None:
    """Make a key and print its token, this once and never again."""
    from imagequeue.producer.door.keys import digest, new_token

    key_id, token = new_token()
    now = SystemClock().now()
    record = _record(
        id=key_id,
        name=name,
        sha256=digest(token),
        scopes=tuple(dict.fromkeys(scope or ("submit", "read"))),
        tenant=tenant,
        created_at=now,
        expires_at=None if expires is None else _moment(expires, now),
        requests_per_minute=per_minute,
        monthly_budget_nano_usd=None if monthly_budget_usd is None else _budget(monthly_budget_usd),
        cache=cache,
    )
    key_file = _file()
    key_file.add(record)
    if as_json:
        print_json({**_shown(record, now), "token": token})
        return
    print_line(token)
    typer.echo(f"Key {key_id} ({record.name}): {', '.join(record.scopes)}. The token is not shown again.", err=True)


def list_keys(as_json: Json = False) -> None:  # noqa: FBT002 - typer makes an option of it
    """List all keys, revoked ones too; tokens are not kept and cannot be shown."""
    book = _file().book()
    now = SystemClock().now()
    rows = [_shown(record, now) for record in (book.keys if book else ())]
    if as_json:
        print_json({"keys": rows})
        return
    columns = ("id", "name", "state", "scopes", "tenant", "expires", "a minute", "a month", "cache")
    print_table(columns, ([_cell(row, column) for column in columns] for row in rows), right=("a minute", "a month"))


def revoke(
    key_id: Annotated[str, typer.Argument(help="The key's id, as `keys list` shows it.")],
    as_json: Json = False,  # noqa: FBT002 - typer makes an option of it
) -> None:
    """Close a key at once and for ever, at every door that reads this file."""
    now = SystemClock().now()
    record = _file().revoke(key_id, now)
    if as_json:
        print_json(_shown(record, now))
    else:
        print_line(f"revoked: {record.id} ({record.name})")


def _file() -> "KeyFile":
    from imagequeue.config.settings import load_settings
    from imagequeue.producer.door.key_file import KeyFile

    return KeyFile(load_settings(keys_needed=False).api_keys_file)


def _record(**fields: object) -> "KeyRecord":
    from pydantic import ValidationError

    from imagequeue.producer.door.keys import SCOPES, KeyRecord

    options = {"requests_per_minute": "--per-minute", "monthly_budget_nano_usd": "--monthly-budget-usd"}
    try:
        return KeyRecord.model_validate(fields)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        field = str(first["loc"][0])
        if field == "scopes":
            raise ConfigError(f"--scope: accepted: {', '.join(SCOPES)}") from error
        raise ConfigError(f"{options.get(field, f'--{field}')}: {first['msg']}") from error


def _moment(text: str, now: datetime) -> datetime:
    found = DURATION.fullmatch(text)
    try:
        if found:
            return now + int(found[1]) * UNITS[found[2]]
        moment = datetime.fromisoformat(text)
        moment = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise ConfigError("--expires: 12h, 30d, 8w, or a day or time in ISO 8601 is accepted") from error
    if moment <= now:
        raise ConfigError("--expires: a moment that is still to come is accepted")
    return moment


def _budget(text: str) -> NanoUsd:
    try:
        amount = parse_usd(Decimal(text) if text.isascii() else text)
    except (ValueError, ArithmeticError) as error:
        raise ConfigError("--monthly-budget-usd: an amount of dollars is accepted, e.g. 250.00") from error
    if amount < 0:
        raise ConfigError("--monthly-budget-usd: an amount that is not negative is accepted")
    return amount


def _shown(record: "KeyRecord", now: datetime) -> dict[str, object]:
    budget = record.monthly_budget_nano_usd
    return {
        "id": record.id,
        "name": record.name,
        "state": record.state(now),
        "scopes": list(record.scopes),
        "tenant": record.tenant,
        "created_at": iso(record.created_at),
        "expires_at": None if record.expires_at is None else iso(record.expires_at),
        "revoked_at": None if record.revoked_at is None else iso(record.revoked_at),
        "requests_per_minute": record.requests_per_minute,
        "monthly_budget_usd": None if budget is None else format_usd(budget),
        "cache": record.cache,
    }


def _cell(row: dict[str, object], column: str) -> str:
    names = {"expires": "expires_at", "a minute": "requests_per_minute", "a month": "monthly_budget_usd"}
    value = row[names.get(column, column)]
    if isinstance(value, list):
        return ", ".join(value)
    return (
        {"tenant": "any", "expires": "never", "cache": "as set"}.get(column, "no limit")
        if value is None
        else str(value)
    )
