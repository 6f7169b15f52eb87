"""Whether the ledger agrees with the provider's bill, and whether batches get on."""

from datetime import datetime, timedelta
from typing import Final

from imagequeue.config.clock import SystemClock
from imagequeue.config.money import format_usd
from imagequeue.config.settings import Settings
from imagequeue.ledger.opening import open_ledger
from imagequeue.ledger.provider_state import OrgAgreement, ProviderState, provider_state
from imagequeue.producer.checkup.finding import Finding, ok, warn

DOUBT_AGE_MAX: Final = timedelta(days=3)
BATCH_AGE_MAX: Final = timedelta(hours=30)


async def check_provider(settings: Settings) -> list[Finding]:
    """Return the findings about reconciliation, doubts and batches."""
    ledger = await open_ledger(settings)
    now = SystemClock().now()
    keyed = [org.name for org in settings.orgs if org.admin_key is not None]
    try:
        state = await ledger.read(lambda connection: provider_state(connection, keyed, now))
    finally:
        await ledger.aclose()
    return judge_provider(state, now)


def judge_provider(state: ProviderState, now: datetime) -> list[Finding]:
    """Return what is open between the ledger and the provider. Pure."""
    found = [finding for org in state.orgs for finding in _of_org(org)]
    if state.doubt_oldest is not None and now - state.doubt_oldest > DOUBT_AGE_MAX:
        says = f"{state.in_doubt} attempts for ${format_usd(state.in_doubt_nano)} are in doubt, some for days"
        found.append(warn("reconciliation", says, "`imagequeue ledger resolve` lists them; an admin_key decides most"))
    found += [
        warn(
            "batches", f"batch {batch.ref} of {batch.items} jobs does not get on: {batch.note}", "see the worker's log"
        )
        for batch in state.batches
        if batch.failures or now - batch.created_at > BATCH_AGE_MAX
    ]
    return found


def _of_org(org: OrgAgreement) -> list[Finding]:
    found = []
    for day in org.open_days:
        rest = format_usd(day.unexplained_nano or 0)
        says = day.note or f"${rest} of the bill is unexplained, {day.in_doubt or 0} attempts stay in doubt"
        does = f"`imagequeue ledger reconcile --org {org.org} --day {day.day}` shows it"
        found.append(warn("reconciliation", f"{org.org}, {day.day}: {says}", does))
    if len(org.due) > 1:
        says = f"{org.org}: {len(org.due)} days wait to be reconciled, since {org.due[0]}"
        found.append(warn("reconciliation", says, "see that a worker runs: workers do it"))
    if not found:
        last = f"until {org.last.day}, nothing is open" if org.last else "no day was due yet"
        found.append(ok("reconciliation", f"{org.org}: {last}"))
    return found
