"""The prompt check at the door: off, a word with the answer, or a refusal, as the request and the settings say."""

import json
from collections.abc import Sequence
from typing import Final

from imagequeue.config.errors import JobRefused
from imagequeue.producer.door.parts import Asked
from imagequeue.producer.promptcheck.finding import PromptFinding
from imagequeue.producer.promptcheck.jobs import check_job, refuse_flagged
from imagequeue.queue.entries import Entry

HEADER: Final = "X-ImageQueue-Check"
MODES: Final = ("off", "warn", "block")
FINDINGS_HEADER: Final = "X-ImageQueue-Findings"
FINDINGS_HEADER_BYTES_MAX: Final = 4_096
"""Proxies refuse answers whose headers are much larger."""

Told = list[dict[str, object]]
"""The findings about one prompt, as JSON values."""


def findings_of(asked: Asked, entries: Sequence[Entry], *, listed: bool) -> list[Told] | None:
    """Return the findings for each entry, None when nobody asked; JobRefused when one is refused for them.

    `listed`: the entries came as a list, and a refusal names the place.
    """
    mode = mode_of(asked)
    if mode == "off":
        return None
    told = []
    for place, entry in enumerate(entries):
        try:
            told.append(as_json(findings_about(entry, mode)))
        except JobRefused as refused:
            field = f"{place}.{refused.field}" if listed else refused.field
            raise JobRefused(field, refused.message) from refused
    return told


def findings_headers(asked: Asked, entry: Entry) -> dict[str, str]:
    """Return the findings about an entry as a header of its answer, none when nobody asked; JobRefused as above."""
    mode = mode_of(asked)
    return {} if mode == "off" else {FINDINGS_HEADER: header_text(findings_about(entry, mode))}


def findings_about(entry: Entry, mode: str) -> tuple[PromptFinding, ...]:
    """Return the findings about an entry; JobRefused when `mode` is block and one is more than a hint."""
    found = check_job(entry.job)
    if mode == "block":
        refuse_flagged(found)
    return found


def as_json(found: Sequence[PromptFinding]) -> Told:
    """Return findings as JSON values."""
    return [finding.as_json() for finding in found]


def header_text(found: Sequence[PromptFinding]) -> str:
    """Return findings as a header's value: a JSON list in ASCII, as many as fit, long ones without their words."""
    texts: list[str] = []
    room = FINDINGS_HEADER_BYTES_MAX - len("[]")
    for finding in found:
        whole = finding.as_json()
        for told in (whole, {**whole, "spans": []}):
            text = json.dumps(told, separators=(",", ":"))
            if len(text) + 1 <= room:
                room -= len(text) + 1
                texts.append(text)
                break
    return f"[{','.join(texts)}]"


def mode_of(asked: Asked) -> str:
    """Return what the header says, where there is one; what is configured to be blocked it cannot let through."""
    configured = asked.door.settings.prompt_check
    said = asked.request.headers.get(HEADER, configured)
    if said not in MODES:
        raise JobRefused(HEADER, f"accepted: {', '.join(MODES)}")
    return configured if configured == "block" else said
