"""The ledger's state over HTTP beside its sums: caps, calls in doubt, reconciliation, credits, and recent calls."""

from datetime import timedelta
from typing import Final

from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from imagequeue.config.clock import iso
from imagequeue.config.money import format_usd
from imagequeue.ledger.api import AttemptRow
from imagequeue.ledger.recent_calls import recent_calls
from imagequeue.ledger.reconciliations import DayState, since_day, states
from imagequeue.ledger.wallet import GrantRow
from imagequeue.producer.caps import configured_caps
from imagequeue.producer.door.parts import Asked
from imagequeue.producer.door.problems import forbidden
from imagequeue.producer.door.queries import check_known
from imagequeue.producer.door.serving import route

DOUBTS_MAX: Final = 100
CALLS_SECONDS: Final = 600


def book_routes() -> list[Route]:
    """Return the routes of the ledger's state."""
    return [
        route("/v1/ledger/caps", "GET", show_caps, scope="read"),
        route("/v1/ledger/calls", "GET", show_calls, scope="read"),
        route("/v1/ledger/doubts", "GET", show_doubts, scope="read"),
        route("/v1/ledger/reconciliation", "GET", show_reconciliation, scope="read"),
        route("/v1/ledger/credits", "GET", show_credits, scope="read"),
    ]


async def show_caps(asked: Asked) -> Response:
    """Show every cap with its used share and warnings; to a tenant's key those of its tenant."""
    check_known(asked.request.query_params, ())
    found = await asked.door.ledger.caps(configured_caps(asked.door.settings), tenant=asked.caller.tenant)
    return JSONResponse({"caps": [one.as_json() for one in found]})


async def show_calls(asked: Asked) -> Response:
    """Show how long the calls of the last ten minutes took, and how many of them failed."""
    check_known(asked.request.query_params, ())
    _check_all_tenants(asked)
    ledger = asked.door.ledger
    since = ledger.now() - timedelta(seconds=CALLS_SECONDS)
    found = await ledger.read(lambda connection: recent_calls(connection, since))
    return JSONResponse({"window_s": CALLS_SECONDS, **found.as_json()})


async def show_doubts(asked: Asked) -> Response:
    """Show the oldest calls that were sent and never answered."""
    check_known(asked.request.query_params, ())
    _check_all_tenants(asked)
    return JSONResponse({"doubts": [_doubt(row) for row in await asked.door.ledger.in_doubt(DOUBTS_MAX)]})


async def show_reconciliation(asked: Asked) -> Response:
    """Show how far each organization's days were compared with the provider's bill."""
    check_known(asked.request.query_params, ())
    _check_all_tenants(asked)
    ledger, orgs = asked.door.ledger, asked.door.settings.orgs
    since = since_day(ledger.now())
    found: list[DayState] = []
    for org in orgs:
        found += await ledger.read(lambda connection, name=org.name: states(connection, name, since))  # type: ignore[misc]  # mypy cannot infer a lambda with a default
    automatic = [org.name for org in orgs if org.admin_key is not None]
    return JSONResponse({"since": since, "automatic": automatic, "days": [day.as_json() for day in found]})


async def show_credits(asked: Asked) -> Response:
    """Show the credits of every organization: what is left, what that is worth, until when."""
    check_known(asked.request.query_params, ())
    _check_all_tenants(asked)
    return JSONResponse({"credits": [_grant(row) for row in await asked.door.ledger.grants()]})


def _check_all_tenants(asked: Asked) -> None:
    if asked.caller.tenant is not None:
        raise forbidden("this is of all tenants; a key without a tenant is needed")


def _doubt(row: AttemptRow) -> dict[str, object]:
    return {
        "attempt_id": row.attempt_id,
        "job_id": row.job_id,
        "n": row.n,
        "org": row.org,
        "model": row.model,
        "tenant": row.tenant,
        "held_usd": format_usd(row.usd_nano),
        "held_at": iso(row.held_at),
        "sent_at": None if row.sent_at is None else iso(row.sent_at),
        "error_code": row.error_code,
    }


def _grant(row: GrantRow) -> dict[str, object]:
    return {
        "org": row.org,
        "kind": row.kind,
        "source": row.source,
        "credits": row.credits,
        "credits_left": row.credits_left,
        "paid_usd": format_usd(row.paid_nano),
        "worth_left_usd": format_usd(row.paid_left_nano),
        "expires_at": None if row.expires_at is None else iso(row.expires_at),
    }
