"""The ledger's reports as tables for people."""

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, cast

from imagequeue.producer.commands.output import print_line, print_table
from imagequeue.producer.commands.words import counted, dollars, figure, moment

if TYPE_CHECKING:
    from imagequeue.ledger.api import AttemptRow
    from imagequeue.ledger.audit import AuditReport
    from imagequeue.ledger.provider_state import OrgAgreement, ProviderState
    from imagequeue.ledger.summary import Figures, Summary

FIGURES = (
    "settled",
    "held",
    "in doubt",
    "voided",
    "corrected",
    "images",
    "kept",
    "$/image",
    "$/kept",
    "cache hits",
    "saved",
)
OF_INTENTS = ("intents", "regenerations", "per intent")
"""Shown where attempts name an intent."""


def print_summary(summary: "Summary", group_by: Sequence[str]) -> None:
    """Print one line for each group, and one for all; then what each kind of saving amounts to."""
    columns = (*FIGURES, *(OF_INTENTS if summary.total.answers else ()))
    rows = [[*(value or "-" for value in group.key.values()), *_figures(group.figures)] for group in summary.groups]
    total = ["total", *[""] * (len(group_by) - 1)] if group_by else []
    rows.append([*total, *_figures(summary.total)])
    shown = len(group_by) + len(columns)
    print_table((*group_by, *columns), [row[:shown] for row in rows], right=columns)
    _print_savings(summary.total)
    if summary.intents_left_out:
        print_line(
            f"The dearest intents are listed; {summary.intents_left_out} others are in the line without one. A shorter "
            "--since and --until lists them."
        )
    if summary.total.over_bound:
        over = dollars(summary.total.over_bound_nano)
        print_line(f"{summary.total.over_bound} attempts cost more than was held for them, ${over} in all")


def _figures(of: "Figures") -> list[str]:
    shown = of.as_json()
    return [
        *map(dollars, (of.settled_nano, of.held_nano, of.in_doubt_nano, of.voided_nano, of.corrected_nano)),
        figure(of.images),
        figure(of.kept_images),
        str(shown["usd_per_image"] or "-"),
        str(shown["usd_per_kept_image"] or "-"),
        figure(of.cache_hits),
        dollars(of.saved_nano),
        figure(of.intents),
        figure(of.answers - of.intents),
        "-" if shown["regenerations_per_intent"] is None else str(shown["regenerations_per_intent"]),
    ]


def _print_savings(of: "Figures") -> None:
    kinds = {
        "cache": of.saved_cache_nano,
        "coalesced": of.saved_coalesced_nano,
        "batch": of.saved_batch_nano,
        "overflow": of.saved_overflow_nano,
    }
    if any(kinds.values()):
        amounts = (f"{kind} {'-' if nano < 0 else ''}${dollars(abs(nano))}" for kind, nano in kinds.items() if nano)
        print_line(f"saved: {', '.join(amounts)}")


def print_audit(report: "AuditReport") -> None:
    """Print every check, what deserves a look, and the heads of the chains."""
    rows = [(check.mark, check.states, figure(check.checked), check.breach or "holds") for check in report.checks]
    print_table(("check", "states", "checked", "result"), rows, right=("checked",))
    for note in report.notes:
        print_line(f"note: {note}")
    for head in report.heads:
        print_line(f"writer {head.writer_id}: {head.seq} entries, chain ends with {head.hash or '-'}")


def print_reconciliation(report: Mapping[str, object]) -> None:
    """Print both sides of a day by model, and what was booked."""
    models = cast("Sequence[Mapping[str, object]]", report["models"])
    columns = (
        "model",
        "booked_usd",
        "corrected_usd",
        "billed_usd",
        "booked_calls",
        "billed_calls",
        "in_doubt",
        "found_billed",
        "found_not_billed",
        "unexplained_usd",
    )
    rows = [["-" if one[name] is None else str(one[name]) for name in columns] for one in models]
    print_table([name.replace("_", " ") for name in columns], rows, title=f"{report['org']}, {report['day']} (UTC)")
    rest = f"unexplained ${report['unexplained_usd']}, in doubt {report['in_doubt']}"
    print_line(f"billed ${report['billed_usd']}, {rest}")
    for booked in cast("Iterable[Mapping[str, object]]", report["booked"]):
        print_line("booked: " + ", ".join(f"{name} {value}" for name, value in booked.items()))


def print_agreement(state: "ProviderState | None") -> None:
    """Print how far each organization is reconciled, what is in doubt, batches under way; None: nobody knows."""
    if state is None:
        print_line("the ledger cannot be reached: nothing is known of doubts and reconciliation", style="yellow")
        return
    if state.orgs:
        print_table(("RECONCILED", "UNTIL", "AT", "UNEXPLAINED $", "OPEN"), [_agreement(org) for org in state.orgs])
    if state.in_doubt:
        since = f", the oldest since {moment(state.doubt_oldest)}" if state.doubt_oldest else ""
        print_line(f"in doubt: {counted(state.in_doubt, 'attempt')} for ${dollars(state.in_doubt_nano)}{since}")
    for batch in state.batches:
        print_line(f"batch of {batch.items} jobs for {batch.org}, {batch.model}: {batch.state} {batch.note}".rstrip())


def _agreement(org: "OrgAgreement") -> tuple[str, ...]:
    return (
        org.org,
        org.last.day if org.last else "-",
        moment(org.last.checked_at) if org.last and org.last.checked_at else "-",
        dollars(sum(day.unexplained_nano or 0 for day in org.open_days)) if org.last else "-",
        ", ".join(f"{day.day}: {day.note or 'a rest or doubts'}" for day in org.open_days) or "nothing",
    )


def print_in_doubt(waiting: "Sequence[AttemptRow]") -> None:
    """Print the attempts that wait for a decision, oldest first."""
    if not waiting:
        print_line("nothing is in doubt")
        return
    rows = [
        (
            str(one.attempt_id),
            one.job_id,
            str(one.n),
            one.org,
            one.model,
            dollars(one.upper_bound_nano),
            moment(one.held_at),
            one.request_id or one.client_request_id or "-",
            one.error_code or one.reason or "-",
        )
        for one in waiting
    ]
    print_table(
        ("attempt", "job", "n", "org", "model", "held $", "since", "request", "why"), rows, right=("n", "held $")
    )
