"""From facts to findings, the most urgent first. Pure: the same facts give the same advice."""

from typing import Final

from imagequeue.producer.advice.ceilings import about_ceilings, about_spending
from imagequeue.producer.advice.facts import Facts
from imagequeue.producer.advice.findings import Finding
from imagequeue.producer.advice.models import about_models, about_prices, about_regenerations

FINDINGS_MAX: Final = 100
URGENCY: Final = ("critical", "warning", "info")


def advise(facts: Facts) -> tuple[Finding, ...]:
    """Return what is worth knowing; nothing when all is well."""
    found = [
        *about_ceilings(facts),
        *about_spending(facts),
        *about_models(facts),
        *about_prices(facts),
        *about_regenerations(facts),
    ]
    return tuple(sorted(found, key=lambda finding: URGENCY.index(finding.severity))[:FINDINGS_MAX])
