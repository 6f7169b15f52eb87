"""The command `ledger retain`: details of old months go to files; sums, costs and the chain stay."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from imagequeue.config.errors import ImageQueueError
from imagequeue.producer.commands.ledger_options import AsJson, run

if TYPE_CHECKING:
    from imagequeue.ledger.ledger import Ledger

STRIPS_MAX = 1_000_000


def retain(
    keep_months: Annotated[int, typer.Option(min=1, max=1_200, help="Whole months whose details stay.")],
    archive: Annotated[Path, typer.Option(help="The folder that the details go to, one file a month.")],
    as_json: AsJson = False,  # noqa: FBT002 - typer makes an option of it
) -> None:
    """Take prompts, request ids, usage and messages of old months out of the ledger, into files with a digest."""
    from imagequeue.producer.commands.output import print_json, print_line

    try:
        archive.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ImageQueueError(f"archive: cannot make {archive}: {error.strerror}") from error
    done = run(lambda ledger: _retain(ledger, keep_months, archive))
    if as_json:
        print_json(done)
        return
    for one in done:
        print_line(", ".join(f"{name} {value}" for name, value in one.items()))
    if not done:
        print_line("no month is older than that")


async def _retain(ledger: "Ledger", keep_months: int, folder: Path) -> list[dict[str, object]]:
    from imagequeue.ledger.retention import months_to_archive

    now = ledger.now()
    done: list[dict[str, object]] = []
    for of in await ledger.read(lambda connection: months_to_archive(connection, keep_months, now)):
        if of.undecided and not of.sealed:
            why = f"{of.undecided} attempts are not decided: ledger resolve, ledger reconcile"
            done.append({"month": of.month, "skipped": why})
            continue
        sealed = {} if of.sealed else await _seal(ledger, of.month, folder)
        done.append({"month": of.month, **sealed, "stripped_rows": await _strip(ledger, of.month)})
    return done


async def _seal(ledger: "Ledger", month: str, folder: Path) -> dict[str, object]:
    from imagequeue.ledger.retention import write_archive

    path = folder / f"ledger-{month}.jsonl.gz"
    archived = await ledger.read(lambda connection: write_archive(connection, month, path))
    if not await ledger.seal(archived):
        raise ImageQueueError(
            f"archive: {month} was archived by another process at the same time; {path} is not needed"
        )
    return {"file": str(path), "rows": archived.rows, "sha256": archived.sha256}


async def _strip(ledger: "Ledger", month: str) -> int:
    total = 0
    for _ in range(STRIPS_MAX):
        stripped = await ledger.strip(month)
        total += stripped
        if not stripped:
            break
    return total
