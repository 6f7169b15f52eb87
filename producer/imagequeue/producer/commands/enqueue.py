"""The command `enqueue`: one job from the command line, or many from a file or a pipe; with --wait until they end."""

import asyncio
import functools
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import aclosing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Annotated, Final

import typer

from imagequeue.config.errors import JobRefused

if TYPE_CHECKING:
    from imagequeue.producer.client import AsyncImageQueue, JobHandle
    from imagequeue.producer.commands.enqueue_check import PromptReport
    from imagequeue.producer.commands.progress import Bar

STANDARD_INPUT: Final = "-"
CHECKS_PER_NOTE: Final = 500


def register(app: typer.Typer) -> None:
    """Add the command to an application."""
    app.command("enqueue")(enqueue)


def enqueue(
    context: typer.Context,
    source: Annotated[
        str | None, typer.Argument(metavar="-", help="- reads jobs from standard input, as --file does.")
    ] = None,
    file: Annotated[
        Path | None, typer.Option(help="JSONL file: one job object a line. Nothing is queued if a line is bad.")
    ] = None,
    prompt: Annotated[str | None, typer.Option(help="What to draw.")] = None,
    model: Annotated[str | None, typer.Option(help="Default: the first of IMAGEQUEUE_MODELS that is served.")] = None,
    n: Annotated[int | None, typer.Option(help="Images, 1 to 10 where the model makes so many.")] = None,
    size: Annotated[str | None, typer.Option(help="e.g. 1024x1024; default: the model's standard.")] = None,
    quality: Annotated[str | None, typer.Option(help="e.g. hd; default: the model's standard.")] = None,
    style: Annotated[str | None, typer.Option(help="e.g. vivid or natural.")] = None,
    background: Annotated[str | None, typer.Option(help="e.g. transparent.")] = None,
    output_format: Annotated[str | None, typer.Option(help="e.g. png, webp, jpeg.")] = None,
    priority: Annotated[str | None, typer.Option(help="high, default or low.")] = None,
    tenant: Annotated[str | None, typer.Option(help="Whose job it is; tenants share a priority fairly.")] = None,
    tag: Annotated[list[str] | None, typer.Option(help="k=v, to report costs by; may be repeated.")] = None,
    intent: Annotated[str | None, typer.Option(help="What the image is for; counts regenerations.")] = None,
    idempotency_key: Annotated[str | None, typer.Option(help="The same key and body are queued once.")] = None,
    cache: Annotated[str | None, typer.Option(help="off, use or refresh.")] = None,
    overflow: Annotated[list[str] | None, typer.Option(help="Model to move to on 429; may be repeated.")] = None,
    delivery: Annotated[str | None, typer.Option(help="now, batch or auto.")] = None,
    deadline: Annotated[str | None, typer.Option(help="ISO 8601; not started by then, it expires.")] = None,
    not_before: Annotated[str | None, typer.Option(help="ISO 8601; it waits until then.")] = None,
    max_attempts: Annotated[int | None, typer.Option(help="Calls that may fail before the job fails; 5.")] = None,
    max_cost_usd: Annotated[str | None, typer.Option(help="The most all its calls may cost, in dollars.")] = None,
    on_doubt: Annotated[str | None, typer.Option(help="retry or hold, when a call is never answered.")] = None,
    operation: Annotated[str | None, typer.Option(help="generation, edit or variation; edit with --image.")] = None,
    image: Annotated[
        list[str] | None,
        typer.Option(help="Input image: a file, sha256:DIGEST or http(s) address; may be repeated. It makes an edit."),
    ] = None,
    mask: Annotated[str | None, typer.Option(help="Mask of an edit, as --image; transparent where to change.")] = None,
    webhook: Annotated[str | None, typer.Option(help="URL told when the job ends.")] = None,
    metadata: Annotated[str | None, typer.Option(help="JSON object of your own; comes back with the job.")] = None,
    wait: Annotated[bool, typer.Option("--wait", help="Wait for all; exit 1 unless all succeed.")] = False,  # noqa: FBT002 - typer makes an option of it
    check: Annotated[bool, typer.Option("--check", help="Say which prompts are likely to need another try.")] = False,  # noqa: FBT002
    block: Annotated[bool, typer.Option("--block", help="Queue nothing if one of the prompts is.")] = False,  # noqa: FBT002
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of one id a line.")] = False,  # noqa: FBT002
) -> None:
    """Queue one job (--prompt) or many (--file JOBS.jsonl, or -) and print their ids."""
    fields = _fields(context.params)
    chosen = _chosen_source(source, file, fields)
    code = asyncio.run(_enqueue(chosen, fields, Checks(show=check, block=block), wait=wait, as_json=as_json))
    raise typer.Exit(code)


@dataclass(frozen=True, kw_only=True)
class Checks:
    """What is to be done about prompts: shown, or nothing queued if one is likely to need another try."""

    show: bool
    block: bool


async def _enqueue(path: str | None, fields: Mapping[str, object], checks: Checks, *, wait: bool, as_json: bool) -> int:
    from imagequeue.producer.client import AsyncImageQueue
    from imagequeue.producer.commands.enqueue_check import PromptReport
    from imagequeue.producer.commands.enqueue_output import print_handles, wait_and_print

    async with AsyncImageQueue() as queue:
        report = PromptReport(queue.entry, block=checks.block) if checks.show or checks.block else None
        if path is None:
            if report is not None:
                _look_at_one(report, fields)
            handles = [await queue.submit(fields)]
        else:
            with _opened(path) as lines:
                handles = await _enqueue_file(queue, lines, report)
        if wait:
            return await wait_and_print(queue, handles, as_json=as_json)
        print_handles(handles, as_json=as_json)
        return 0


def _look_at_one(report: "PromptReport", fields: Mapping[str, object]) -> None:
    edits = bool(fields.get("images")) or fields.get("operation", "generation") != "generation"
    report.look_at_one(str(fields.get("prompt", "")), edits=edits)


async def _enqueue_file(queue: "AsyncImageQueue", lines: IO[bytes], report: "PromptReport | None") -> "list[JobHandle]":
    from imagequeue.producer.commands.progress import bar
    from imagequeue.producer.file_inputs import FileInputs
    from imagequeue.producer.job_file import JobFile
    from imagequeue.producer.known_keys import refuse_known

    taking_in = FileInputs(asyncio.get_running_loop(), queue.inputs)
    with JobFile(queue.entry if report is None else report.entry, taking_in) as jobs:
        with bar("checking", None) as shown:
            await asyncio.to_thread(jobs.check, lines, functools.partial(_note, shown))
        if report is not None:
            for line in jobs.lines():
                report.look(line.entry.job, line=line.number)
            report.end()
        await refuse_known(queue.scripts, jobs.lines())
        handles: list[JobHandle] = []
        with bar("queueing", jobs.count) as shown:
            async with aclosing(queue.submit_entries(line.entry for line in jobs.lines())) as batches:
                async for batch in batches:
                    handles += batch
                    shown.show(len(handles))
    return handles


def _note(shown: "Bar", count: int) -> None:
    if count % CHECKS_PER_NOTE == 0:
        shown.show(count)


def _chosen_source(source: str | None, file: Path | None, fields: Mapping[str, object]) -> str | None:
    """The file to read, `-` for standard input, or None for the one job of the options."""
    paths = [path for path in (source, None if file is None else str(file)) if path is not None]
    if len(paths) > 1:
        raise typer.BadParameter("give one file, or - for standard input")
    if paths and fields:
        given = ", ".join(f"--{name.replace('_', '-')}" for name in fields)
        raise typer.BadParameter(f"in a file each line says its own {given}")
    if not paths and "prompt" not in fields and fields.get("operation") != "variation":
        raise typer.BadParameter("--prompt TEXT, --file JOBS.jsonl or - is needed")
    return paths[0] if paths else None


@contextmanager
def _opened(path: str) -> Iterator[IO[bytes]]:
    if path == STANDARD_INPUT:
        yield sys.stdin.buffer
        return
    with _opened_file(path) as stream:
        yield stream


def _opened_file(path: str) -> IO[bytes]:
    try:
        return Path(path).open("rb")
    except OSError as error:
        raise JobRefused("file", f"cannot read {path}: {error.strerror}") from error


NOT_OF_THE_JOB: Final = ("source", "file", "wait", "as_json", "check", "block", "tag", "image", "metadata")


def _fields(options: Mapping[str, object]) -> dict[str, object]:
    """The job's fields that were given as options."""
    given = {
        name: value for name, value in options.items() if value not in (None, [], ()) and name not in NOT_OF_THE_JOB
    }
    if tags := options.get("tag"):
        given["tags"] = parse_tags(tags)  # type: ignore[arg-type]  # typer gives a list of text
    if images := options.get("image"):
        given["images"] = images
        given.setdefault("operation", "edit")
    if (metadata := options.get("metadata")) is not None:
        given["metadata"] = _json(str(metadata))
    return given


def parse_tags(tags: Sequence[str]) -> dict[str, str]:
    """Return `k=v` options as a dictionary; JobRefused when one is not of that form."""
    pairs = [tag.partition("=") for tag in tags]
    for tag, (key, separator, _) in zip(tags, pairs, strict=True):
        if not key or not separator:
            raise JobRefused("tag", f"k=v is needed, not {tag!r}")
    return {key: value for key, _, value in pairs}


def _json(text: str) -> object:
    try:
        return json.loads(text)
    except ValueError as error:
        raise JobRefused("metadata", f"a JSON object is needed: {error}") from error
