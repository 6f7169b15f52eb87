"""Figures over HTTP: the status of everything and what was spent. A tenant's key sees its own tenant's only."""

from collections.abc import Sequence
from dataclasses import fields, replace
from typing import Final

from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from imagequeue.ledger.summary import Figures, Group, Summary, check_grouping
from imagequeue.producer.door.parts import Asked
from imagequeue.producer.door.queries import check_known, moment
from imagequeue.producer.door.serving import route

TENANT: Final = "tenant"


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
    if asked.caller.tenant is None:
        summary = await asked.door.ledger.summary(group_by, since, until)
    else:
        check_grouping(group_by)
        with_tenant = list(dict.fromkeys([*group_by, TENANT]))
        summary = of_tenant(await asked.door.ledger.summary(with_tenant, since, until), asked.caller.tenant, group_by)
    return JSONResponse(summary.as_json())


def of_tenant(summary: Summary, tenant: str, group_by: Sequence[str]) -> Summary:
    """Return one tenant's part of a summary that is grouped by tenant among others, grouped by `group_by`. Pure."""
    mine = [group for group in summary.groups if group.key[TENANT] == tenant]
    groups = [
        Group(key={name: group.key[name] for name in group_by}, figures=group.figures) for group in mine if group_by
    ]
    return Summary(total=_total([group.figures for group in mine]), groups=tuple(groups))


def _total(every: Sequence[Figures]) -> Figures:
    names = [field.name for field in fields(Figures) if field.name != "succeeded_jobs"]
    return Figures(**{name: sum(getattr(figures, name) for figures in every) for name in names})
