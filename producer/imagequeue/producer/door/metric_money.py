"""Figures of the ledger for Prometheus: dollars by state, caps, doubts, reconciliation, its audit. Pure."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Final

from prometheus_client.core import Metric

from imagequeue.config.money import NANO_PER_USD
from imagequeue.ledger.cap_report import CapStatus
from imagequeue.ledger.provider_state import ProviderState
from imagequeue.ledger.summary import Figures, Summary
from imagequeue.producer.door.metric_families import Row, counter, gauge, single
from imagequeue.queue.audited import Audited

TENANTS_MAX: Final = 1_000
LABELS: Final = ("model", "org", "priority")


@dataclass(frozen=True, kw_only=True, eq=False)
class LedgerFigures:
    """One reading of the ledger. `tenants` None: nothing is said by tenant. `ends`: when models end that are served."""

    summary: Summary
    caps: tuple[CapStatus, ...]
    provider: ProviderState
    audited: Audited | None
    ends: Mapping[str, date]
    now: datetime
    tenants: Summary | None = None

    def collect(self) -> Iterator[Metric]:
        """Yield all metrics."""
        yield from _money(self.summary)
        yield from _caps(self.caps, by_tenant=self.tenants is not None)
        yield from _doubts(self.provider, self.now)
        yield from _reconciled(self.provider)
        yield from _audit(self.audited)
        ends = [((name,), float(_midnight(day))) for name, day in self.ends.items()]
        help_text = "When a model that is served ends, by the catalog, in Unix seconds."
        yield gauge("imagequeue_model_end_timestamp_seconds", help_text, ends, ("model",))
        if self.tenants is not None:
            yield _tenants(self.tenants)


def _money(summary: Summary) -> Iterator[Metric]:
    """Gauges where an amount may fall: held, in doubt, and settled by a correction."""

    def rows(field: str, unit: float) -> list[Row]:
        return [
            (tuple(group.key[name] or "" for name in LABELS), getattr(group.figures, field) / unit)
            for group in summary.groups
        ]

    for state in ("settled", "held", "in_doubt", "voided"):
        amount = rows(f"{state}_nano", NANO_PER_USD)
        yield gauge(f"imagequeue_ledger_{state}_usd", f"Dollars {state.replace('_', ' ')}.", amount, LABELS)
        yield gauge(f"imagequeue_ledger_{state}_attempts", f"Attempts {state}.", rows(state, 1), LABELS)
    yield counter("imagequeue_ledger_images", "Images paid for.", rows("images", 1), LABELS)
    yield gauge("imagequeue_ledger_saved_usd", "Dollars not spent.", rows("saved_nano", NANO_PER_USD), LABELS)
    over = "imagequeue_ledger_over_bound_attempts"
    yield single(over, "Attempts that cost more than was held for them.", summary.total.over_bound)


def _caps(caps: Sequence[CapStatus], *, by_tenant: bool) -> Iterator[Metric]:
    orgs = [one for one in caps if one.cap.kind == "org_month"]
    tenants = [one for one in caps if one.cap.kind != "org_month"]
    named = [*orgs, *(tenants if by_tenant else ())]
    rows = [((one.cap.kind, one.cap.name), one.used_share) for one in named]
    help_text = "Used share of a cap in its present period: settled, held and in doubt."
    yield gauge("imagequeue_cap_used_ratio", help_text, rows, ("kind", "name"))
    fullest: dict[str, float] = {}
    for one in tenants:
        fullest[one.cap.kind] = max(one.used_share, fullest.get(one.cap.kind, 0.0))
    highest: list[Row] = [((kind,), share) for kind, share in fullest.items()]
    yield gauge("imagequeue_tenant_cap_used_ratio", "The fullest tenant's share of such a cap.", highest, ("kind",))


def _doubts(provider: ProviderState, now: datetime) -> Iterator[Metric]:
    oldest = provider.doubt_oldest
    age_seconds = 0.0 if oldest is None else max((now - oldest).total_seconds(), 0.0)
    yield single("imagequeue_doubts", "Attempts in doubt.", provider.in_doubt)
    yield single("imagequeue_doubt_oldest_age_seconds", "How long the oldest doubt has stood.", age_seconds)
    yield single("imagequeue_batches_unfinished", "Batches that the provider has not ended.", len(provider.batches))


def _reconciled(provider: ProviderState) -> Iterator[Metric]:
    last = [((one.org,), one.last.checked_at.timestamp()) for one in provider.orgs if one.last and one.last.checked_at]
    name = "imagequeue_reconciled_timestamp_seconds"
    yield gauge(name, "When a day was last held against the provider's bill, in Unix seconds.", last, ("org",))
    days = [((one.org,), float(len(one.open_days))) for one in provider.orgs]
    help_text = "Days of which something is left that the bill does not explain."
    yield gauge("imagequeue_reconciliation_open_days", help_text, days, ("org",))


def _audit(audited: Audited | None) -> Iterator[Metric]:
    breach: list[Row] = [] if audited is None else [((), float(audited.breach))]
    yield gauge("imagequeue_ledger_audit_breach", "1 when the last `ledger audit` found a breach.", breach)
    at: list[Row] = [] if audited is None else [((), audited.at.timestamp())]
    yield gauge("imagequeue_ledger_audit_timestamp_seconds", "When `ledger audit` last ran, in Unix seconds.", at)


def _tenants(summary: Summary) -> Metric:
    def spent(figures: Figures) -> int:
        return figures.settled_nano

    dearest = sorted(summary.groups, key=lambda group: -spent(group.figures))[:TENANTS_MAX]
    rows = [((group.key["tenant"] or "",), spent(group.figures) / NANO_PER_USD) for group in dearest]
    return gauge("imagequeue_tenant_settled_usd", "Dollars settled by tenant.", rows, ("tenant",))


def _midnight(day: date) -> int:
    return (day - date(1970, 1, 1)).days * 24 * 3600
