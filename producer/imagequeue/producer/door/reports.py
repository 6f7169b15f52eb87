"""Figures over HTTP: the status of everything and what was spent. A tenant's key sees its own tenant's only."""

from dataclasses import replace

from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from imagequeue.producer.door.parts import Asked
from imagequeue.producer.door.queries import check_known, moment
from imagequeue.producer.door.serving import route


def report_routes() -> list[Route]:
    """Return the routes of reports."""
    return [
        route("/v1/status", "GET", show_status, scope="read"),
        route("/v1/ledger/summary", "GET", show_summary, scope="read"),
    ]


async def show_status(asked: Asked) -> Response:
    """Show queues, pools and workers; to a tenant's key no other tenants, and nothing of the machines."""
    check_known(asked.request.query_params, ())
    status = await asked.door.status.read()
    if asked.caller.tenant is not None:
        held = tuple(hold for hold in status.held_tenants if asked.caller.owns(hold.tenant))
        status = replace(status, held_tenants=held, workers=())
    return JSONResponse(status.as_json())


async def show_summary(asked: Asked) -> Response:
    """Show what was spent, held and saved, as `ledger summary --json` does; `group_by` takes names with commas."""
    query = asked.request.query_params
    check_known(query, ("group_by", "since", "until"))
    group_by = [name for name in query.get("group_by", "").split(",") if name]
    since, until = moment(query, "since"), moment(query, "until")
    summary = await asked.door.ledger.summary(group_by, since, until, tenant=asked.caller.tenant)
    return JSONResponse(summary.as_json())
