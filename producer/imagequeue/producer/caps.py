"""The caps that are configured, in the order in which they are shown. A job's own ceiling stands in the job. Pure."""

from imagequeue.config.settings import Settings
from imagequeue.ledger.api import CapKind
from imagequeue.ledger.cap_report import ConfiguredCap


def configured_caps(settings: Settings) -> list[ConfiguredCap]:
    """Return the caps of organizations, then those of tenants."""
    found = [
        ConfiguredCap(kind="org_month", name=org.name, limit_nano=org.monthly_cap_nano_usd)
        for org in settings.orgs
        if org.monthly_cap_nano_usd is not None
    ]
    for tenant, of in settings.tenant_caps.items():
        limits: tuple[tuple[CapKind, int | None], ...] = (
            ("tenant_day", of.day_nano_usd),
            ("tenant_month", of.month_nano_usd),
            ("tenant_total", of.total_nano_usd),
        )
        found += [ConfiguredCap(kind=kind, name=tenant, limit_nano=nano) for kind, nano in limits if nano is not None]
    return found
