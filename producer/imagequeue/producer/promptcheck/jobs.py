"""The prompt check of a job, and refusing it where a door was asked to. Pure."""

from collections.abc import Sequence

from imagequeue.config.errors import JobRefused
from imagequeue.config.job import Job
from imagequeue.producer.promptcheck.check import check_prompt
from imagequeue.producer.promptcheck.finding import PromptFinding


def check_job(job: Job) -> tuple[PromptFinding, ...]:
    """Return the findings about a job's prompt, none when it needs none; its length was checked before."""
    if job.operation == "variation":
        return ()
    return check_prompt(job.prompt, edits=job.operation != "generation")


def refuse_flagged(findings: Sequence[PromptFinding]) -> None:
    """JobRefused names the first of the findings that is more than a hint."""
    for finding in findings:
        if finding.blocks:
            raise JobRefused("prompt", str(finding))
