"""Compares a day of our books with the provider's bill, and says what the bill explains. Pure.

The provider's costs come in whole UTC days by line item, so that is how exact a comparison can be: a day and a model,
to the nano-dollar. What our books say of a day are the calls that were answered on it, since that is when a provider
counts them. A call that began before midnight and was answered after it may stand on either day's bill.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Final

from imagequeue.config.money import format_usd
from imagequeue.ledger.bill import Bill, BilledModel
from imagequeue.ledger.explain import AnsweredCall, DoubtedAttempt, Verdict, explain, left_over, silent

CARRIED_MAX: Final = 20
"""How many calls over one midnight are looked at when a bill cannot be explained otherwise."""


@dataclass(frozen=True, kw_only=True, slots=True)
class BookedModel:
    """What our books say of one model on one day.

    `corrected_nano` was booked by earlier reconciliations. `absent` are doubts that an earlier reconciliation did not
    find on the bill. `early_nano` are the costs of calls that were sent before the day and answered on it, `late_nano`
    of calls sent on it and answered after it, those nearest to midnight first.
    """

    spent_nano: int = 0
    corrected_nano: int = 0
    images: int = 0
    calls: int = 0
    held: int = 0
    doubts: tuple[DoubtedAttempt, ...] = ()
    absent: tuple[DoubtedAttempt, ...] = ()
    answered: tuple[AnsweredCall, ...] = ()
    early_nano: tuple[int, ...] = ()
    late_nano: tuple[int, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class ModelReconciliation:
    """One model of the day: both sides, what the bill decides, and what nothing explains (negative: billed less).

    `late_nano` is on the bill now for attempts that an earlier reconciliation did not find there. `carried_nano` is
    the part of the difference that stands on the bill of the day before or after.
    """

    model: str
    booked: BookedModel
    billed: BilledModel
    verdicts: tuple[Verdict, ...]
    unexplained_nano: int
    late: tuple[Verdict, ...] = ()
    carried_nano: int = 0

    @property
    def late_nano(self) -> int:
        """What came late, in all."""
        return sum(verdict.usd_nano for verdict in self.late)

    @property
    def open(self) -> int:
        """How many attempts stay in doubt."""
        return len(self.booked.doubts) - len(self.verdicts)

    def as_json(self) -> dict[str, object]:
        """Return it as `ledger reconcile --json` prints it."""
        billed = sum(verdict.decision == "billed" for verdict in self.verdicts)
        return {
            "model": self.model,
            "booked_usd": format_usd(self.booked.spent_nano),
            "corrected_usd": format_usd(self.booked.corrected_nano),
            "billed_usd": format_usd(self.billed.usd_nano),
            "booked_images": self.booked.images,
            "billed_images": self.billed.images,
            "booked_calls": self.booked.calls,
            "billed_calls": self.billed.calls,
            "held": self.booked.held,
            "in_doubt": len(self.booked.doubts),
            "found_billed": billed,
            "found_not_billed": len(self.verdicts) - billed,
            "billed_late_usd": format_usd(self.late_nano),
            "carried_usd": format_usd(self.carried_nano),
            "unexplained_usd": format_usd(self.unexplained_nano),
        }


@dataclass(frozen=True, kw_only=True, slots=True)
class DayReconciliation:
    """A day of one organization. With a `warning`, nothing is decided and nothing may be booked."""

    models: tuple[ModelReconciliation, ...]
    warning: str | None = None


def reconcile(booked: Mapping[str, BookedModel], bill: Bill, *, complete: bool = True) -> DayReconciliation:
    """Return the comparison of a day, by model in order.

    `complete` False: the provider's figures may still be behind, so what is not on the bill decides nothing.
    """
    bill = bill.named_as(booked.keys())
    models = sorted({*booked, *bill.models})
    pairs = [(model, booked.get(model, BookedModel()), bill.models.get(model, BilledModel())) for model in models]
    warning = _warning(pairs, bill)
    return DayReconciliation(
        models=tuple(_compared(*pair, decide=warning is None, complete=complete) for pair in pairs), warning=warning
    )


def _warning(pairs: Sequence[tuple[str, BookedModel, BilledModel]], bill: Bill) -> str | None:
    nothing_billed = not any(billed.usd_nano or billed.calls for _, _, billed in pairs)
    if nothing_billed and any(ours.spent_nano + ours.corrected_nano for _, ours, _ in pairs):
        return "the provider's bill is $0 where calls were answered: is the admin key another organization's?"
    if nothing_billed and not bill.proven and any(ours.doubts for _, ours, _ in pairs):
        return "the admin key has shown no costs yet, so its silence decides nothing"
    return None


def _compared(
    model: str, booked: BookedModel, billed: BilledModel, *, decide: bool, complete: bool
) -> ModelReconciliation:
    difference_nano = billed.usd_nano - booked.spent_nano - booked.corrected_nano
    undecided = ModelReconciliation(
        model=model, booked=booked, billed=billed, verdicts=(), unexplained_nano=difference_nano
    )
    if not decide or booked.held:
        return undecided
    left = None if billed.calls is None else left_over(billed.calls_by_minute, booked.answered)
    for carried_nano in _carried(booked):
        found = _explained(undecided, difference_nano - carried_nano, left, carried_nano)
        if found is not None:
            return _without_hasty(found, complete=complete)
    quiet = silent(booked.doubts, left) if difference_nano >= 0 else ()
    silence = ModelReconciliation(
        model=model, booked=booked, billed=billed, verdicts=quiet, unexplained_nano=difference_nano
    )
    return _without_hasty(silence, complete=complete)


def _carried(booked: BookedModel) -> Iterator[int]:
    """Yield what may stand on a neighbour's bill, nothing first: the calls nearest to midnight come first."""
    late = [sum(booked.late_nano[:count]) for count in range(min(len(booked.late_nano), CARRIED_MAX) + 1)]
    early = [sum(booked.early_nano[:count]) for count in range(min(len(booked.early_nano), CARRIED_MAX) + 1)]
    pairs = sorted(product(range(len(late)), range(len(early))), key=sum)
    return (late[more] - early[less] for more, less in pairs)


def _explained(
    undecided: ModelReconciliation, difference_nano: int, left: Mapping[int, int] | None, carried_nano: int
) -> ModelReconciliation | None:
    booked = undecided.booked
    verdicts = explain(booked.doubts, difference_nano, left)
    late: tuple[Verdict, ...] = ()
    if verdicts is None and not booked.doubts and difference_nano > 0:
        late = tuple(one for one in explain(booked.absent, difference_nano, left) or () if one.decision == "billed")
        verdicts = () if late else None
    if verdicts is None:
        return None
    return ModelReconciliation(
        model=undecided.model,
        booked=booked,
        billed=undecided.billed,
        verdicts=verdicts,
        unexplained_nano=0,
        late=late,
        carried_nano=carried_nano,
    )


def _without_hasty(found: ModelReconciliation, *, complete: bool) -> ModelReconciliation:
    """Leave out "not billed" where the bill can still change it."""
    open_ended = {doubt.attempt_id for doubt in found.booked.doubts if doubt.open_ended}
    verdicts = tuple(
        verdict
        for verdict in found.verdicts
        if verdict.decision == "billed" or (complete and verdict.attempt_id not in open_ended)
    )
    return ModelReconciliation(
        model=found.model,
        booked=found.booked,
        billed=found.billed,
        verdicts=verdicts,
        unexplained_nano=found.unexplained_nano,
        late=found.late,
        carried_nano=found.carried_nano,
    )
