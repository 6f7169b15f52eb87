"""The prompt check at the door: off, a word with the answer, or a refusal, as the request and the settings say."""

from collections.abc import Sequence
from typing import Final

from imagequeue.config.errors import JobRefused
from imagequeue.producer.door.parts import Asked
from imagequeue.producer.promptcheck.jobs import check_job, refuse_flagged
from imagequeue.queue.entries import Entry

HEADER: Final = "X-ImageQueue-Check"
MODES: Final = ("off", "warn", "block")


def findings_of(asked: Asked, entries: Sequence[Entry], *, listed: bool) -> list[list[dict[str, object]]] | None:
    """Return the findings for each entry, None when nobody asked; JobRefused when one is refused for them.

    `listed`: the entries came as a list, and a refusal names the place.
    """
    mode = _mode(asked)
    if mode == "off":
        return None
    found = [check_job(entry.job) for entry in entries]
    if mode == "block":
        for place, findings in enumerate(found):
            try:
                refuse_flagged(findings)
            except JobRefused as refused:
                field = f"{place}.{refused.field}" if listed else refused.field
                raise JobRefused(field, refused.message) from refused
    return [[finding.as_json() for finding in findings] for findings in found]


def _mode(asked: Asked) -> str:
    """What the header says, where there is one; what is configured to be blocked it cannot let through."""
    configured = asked.door.settings.prompt_check
    said = asked.request.headers.get(HEADER, configured)
    if said not in MODES:
        raise JobRefused(HEADER, f"accepted: {', '.join(MODES)}")
    return configured if configured == "block" else said
