"""Which answer was the first for its intent, decided once: every further one is a regeneration."""

from imagequeue.ledger.rows import AttemptColumns
from imagequeue.ledger.unit import Unit


def count_intents(unit: Unit) -> None:
    """Count the unit's answers for intents, and those of them whose intent had none before."""
    earliest: dict[tuple[str, str], AttemptColumns] = {}
    for row in sorted(unit.answered, key=lambda row: row["id"]):
        unit.count(_key(row), answers=1)
        earliest.setdefault((row["tenant"], row["intent"] or ""), row)
    rows = [
        {"tenant": tenant, "intent": intent, "attempt_id": row["id"]}
        for (tenant, intent), row in sorted(earliest.items(), key=lambda item: item[0])
    ]
    for intent in unit.first_answers(rows):
        unit.count(_key(earliest[intent]), intents=1)
    unit.answered.clear()


def _key(row: AttemptColumns) -> tuple[str, str, str, str, str, str]:
    return row["day"], row["org"], row["model"], row["tenant"], row["priority"], row["tags"]
