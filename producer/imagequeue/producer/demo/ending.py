"""What the demonstration says at its end. Pure text and tables."""

from collections.abc import Mapping
from pathlib import Path

from imagequeue.config.money import format_usd
from imagequeue.config.settings import CONFIG_VARIABLE, Settings
from imagequeue.producer.commands.output import print_line, print_table
from imagequeue.producer.commands.words import dollars
from imagequeue.producer.demo.account import Account, PriorityAccount
from imagequeue.producer.demo.place import CONFIG
from imagequeue.producer.demo.run import Ran


def print_ending(ran: Ran, settings: Settings, folder: Path, *, dashboard: str | None) -> None:
    """Print the account as tables and lines, and where everything is."""
    of = ran.account
    print_line("")
    print_table(
        ("PRIORITY", "JOBS", "IMAGES", "COST", "MEAN WAIT"),
        [*map(_row, of.priorities), _total(of)],
        right=("JOBS", "IMAGES", "COST", "MEAN WAIT"),
    )
    print_line("")
    for name, value in _facts(ran):
        print_line(f"{name:<12}{value}")
    print_line("")
    verdict = "the ledger equals the provider's bill, and nothing was lost" if of.good else _trouble(of)
    print_line(verdict, style="bold green" if of.good else "bold red")
    print_line("")
    for name, value in _places(settings, folder, dashboard):
        print_line(f"{name:<12}{value}")


def ending_json(ran: Ran, settings: Settings, folder: Path, *, dashboard: str | None) -> dict[str, object]:
    """Return the account as JSON values, money as text."""
    of = ran.account
    return {
        "jobs": of.jobs, "succeeded": of.succeeded, "images": of.images, "lost": list(of.lost),
        "missing_images": of.missing_images, "seconds": round(ran.seconds, 3),
        "images_per_second": None if ran.pace is None else round(ran.pace, 2),
        "ceiling_images_per_second": round(ran.ceiling, 2),
        "refused": ran.refused, "provoked": ran.provoked,
        "doubts": {"billed": ran.doubts.billed, "not_billed": ran.doubts.not_billed},
        "ledger_usd": format_usd(of.ledger_nano), "bill_usd": format_usd(of.bill_nano),
        "different_calls": of.different_calls, "open_attempts": of.open_attempts, "good": of.good,
        "priorities": {line.priority: _priority_json(line) for line in of.priorities},
        "data_dir": str(folder), "ledger": settings.ledger_url.get_secret_value(), "images_at": settings.store_url,
        "dashboard": dashboard,
    }  # fmt: skip


def _priority_json(line: PriorityAccount) -> Mapping[str, object]:
    return {"jobs": line.jobs, "images": line.images, "usd": format_usd(line.nano_usd), "wait_s": round(line.wait_s, 3)}


def _row(line: PriorityAccount) -> tuple[str, ...]:
    cost = f"${dollars(line.nano_usd)}"
    return line.priority, f"{line.jobs:,}", f"{line.images:,}", cost, f"{line.wait_s:.1f} s"


def _total(of: Account) -> tuple[str, ...]:
    nano = sum(line.nano_usd for line in of.priorities)
    return "all", f"{of.jobs:,}", f"{of.images:,}", f"${dollars(nano)}", ""


def _facts(ran: Ran) -> list[tuple[str, str]]:
    of = ran.account
    return [
        ("time", f"{ran.seconds:.1f} s"),
        ("pace", _pace(ran)),
        ("429s", _refusals(ran)),
        ("in doubt", _doubts(ran)),
        ("ledger", f"${format_usd(of.ledger_nano)}"),
        ("bill", f"${format_usd(of.bill_nano)}"),
        ("lost", f"{len(of.lost)} jobs, {of.missing_images} images"),
    ]


def _pace(ran: Ran) -> str:
    if ran.pace is None:
        return "too few jobs to tell; 1,000 show it"
    return f"{ran.pace:.1f} images/s, {ran.pace / ran.ceiling:.0%} of the {ran.ceiling:.1f} allowed"


def _refusals(ran: Ran) -> str:
    if not ran.refused:
        return "none"
    which = "all" if ran.refused == ran.provoked else f"{ran.provoked} of them"
    return f"{ran.refused}, {which} provoked; those jobs went back to their places in line"


def _doubts(ran: Ran) -> str:
    billed, not_billed = ran.doubts.billed, ran.doubts.not_billed
    if not billed + not_billed:
        return "none"
    return f"{billed + not_billed} calls were never answered well: {billed} on the bill, {not_billed} not"


def _trouble(of: Account) -> str:
    found = []
    if not of.books_agree:
        found.append(
            f"the ledger does not equal the provider's bill: {of.different_calls} calls differ, {of.open_attempts} open"
        )
    if of.succeeded != of.jobs:
        found.append(f"{of.jobs - of.succeeded} of {of.jobs} jobs did not succeed, {len(of.lost)} of them lost")
    if of.missing_images:
        found.append(f"{of.missing_images} images are missing")
    return "; ".join(found)


def _places(settings: Settings, folder: Path, dashboard: str | None) -> list[tuple[str, str]]:
    config = f"{CONFIG_VARIABLE}={folder / CONFIG}"
    return [
        ("images", settings.store_url.removeprefix("file://")),
        ("ledger", settings.ledger_url.get_secret_value().removeprefix("sqlite:///")),
        ("logs", f"{folder}/worker.log, {folder}/provider.log"),
        *([("dashboard", dashboard)] if dashboard else []),
        ("look around", f"{config} imagequeue jobs list"),
    ]
