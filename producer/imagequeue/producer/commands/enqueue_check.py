"""`enqueue --check` and `--block`: what the prompt check says, on standard error, before anything is queued."""

from collections.abc import Callable, Sequence
from typing import Final

import typer

from imagequeue.config.job import Job
from imagequeue.producer.commands.output import printable
from imagequeue.producer.promptcheck.check import check_prompt
from imagequeue.producer.promptcheck.finding import PromptFinding
from imagequeue.producer.promptcheck.jobs import check_job, refuse_flagged
from imagequeue.queue.entries import Entry

LINES_MAX: Final = 100


class PromptReport:
    """Checks prompts one after the other; `block` refuses the first that is likely to need another try."""

    def __init__(self, make_entry: Callable[[Job], Entry], *, block: bool) -> None:
        self._make_entry = make_entry
        self._block = block
        self._findings = 0
        self._prompts = 0

    def entry(self, job: Job) -> Entry:
        """Return a job's entry; JobRefused when its prompt is refused."""
        if self._block:
            refuse_flagged(check_job(job))
        return self._make_entry(job)

    def look(self, job: Job, *, line: int) -> None:
        """Print the findings about a job of a file."""
        self._print(check_job(job), f"line {line}: ")

    def look_at_one(self, prompt: str, *, edits: bool) -> None:
        """Print the findings about the only prompt; JobRefused when it is refused."""
        found = check_prompt(prompt, edits=edits)
        self._print(found, "")
        self.end()
        if self._block:
            refuse_flagged(found)

    def _print(self, found: Sequence[PromptFinding], where: str) -> None:
        self._prompts += bool(found)
        for finding in found:
            self._findings += 1
            if self._findings <= LINES_MAX:
                typer.echo(printable(f"{where}{finding.severity}: {finding}"), err=True)

    def end(self) -> None:
        """Say how much there was."""
        more = f"; the first {LINES_MAX} are shown" if self._findings > LINES_MAX else ""
        findings, prompts = _counted(self._findings, "finding"), _counted(self._prompts, "prompt")
        typer.echo(f"{findings} in {prompts}{more}", err=True)


def _counted(number: int, word: str) -> str:
    return f"{number} {word}" if number == 1 else f"{number} {word}s"
