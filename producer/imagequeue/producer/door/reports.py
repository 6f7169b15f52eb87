"""Figures over HTTP: the status of everything and what was spent. A tenant's key sees its own tenant's only."""

from collections.abc import Mapping

from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from imagequeue.config.errors import LedgerUnavailable
from imagequeue.producer.door.parts import Asked
from imagequeue.producer.door.queries import check_known, moment
from imagequeue.producer.door.serving import route
from imagequeue.producer.door.tenant_status import status_of_tenant


def report_routes() -> list[Route]:
    """Return the routes of reports."""
    return [
        route("/v1/status", "GET", show_status, scope="read"),
        route("/v1/ledger/summary", "GET", show_summary, scope="read"),
    ]


async def show_status(asked: Asked) -> Response:
    """Show queues, pools, workers and the state of the books; to a tenant's key nothing of others or the machines."""
    check_known(asked.request.query_params, ())
    status, tenant = await asked.door.status.read(), asked.caller.tenant
    if tenant is None:
        return JSONResponse({**status.as_json(), **await _agreement(asked)})
    counts = await asked.door.tenant_counts.read()
    queues = await asked.door.tenant_counts.own(tenant, status.queues, counts)
    return JSONResponse(status_of_tenant(status, tenant, queues, at_least=counts.at_least))


async def _agreement(asked: Asked) -> Mapping[str, object]:
    """How far the ledger agrees with the provider; nulls when it does not answer, since the queues are seen without."""
    try:
        return (await asked.door.agreement.read()).as_json()
    except LedgerUnavailable:
        return dict.fromkeys(("reconciliation", "in_doubt", "batches"))


async def show_summary(asked: Asked) -> Response:
    """Show what was spent, held and saved, as `ledger summary --json` does; `group_by` takes names with commas."""
    query = asked.request.query_params
    check_known(query, ("group_by", "since", "until"))
    group_by = [name for name in query.get("group_by", "").split(",") if name]
    since, until = moment(query, "since"), moment(query, "until")
    summary = await asked.door.ledger.summary(group_by, since, until, tenant=asked.caller.tenant)
    return JSONResponse(summary.as_json())
