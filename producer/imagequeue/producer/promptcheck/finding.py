"""What the check says of a prompt: a code, how grave it is, the words it is about, and what to do."""

from dataclasses import dataclass
from typing import Literal

Severity = Literal["error", "warning", "hint"]
"""`error`: it cannot come out as meant. `warning`: it often does not. `hint`: it may not."""


@dataclass(frozen=True, kw_only=True)
class Span:
    """Words of a prompt: characters from `start` up to `end`."""

    start: int
    end: int
    text: str


@dataclass(frozen=True, kw_only=True)
class PromptFinding:
    """One thing to look at. `spans` are the words it is about, none when it is about what is missing."""

    code: str
    severity: Severity
    spans: tuple[Span, ...]
    advice: str

    @property
    def blocks(self) -> bool:
        """Whether a door that was asked to block refuses the prompt for it; a hint is never reason enough."""
        return self.severity != "hint"

    def as_json(self) -> dict[str, object]:
        """Return JSON values."""
        spans = [{"start": span.start, "end": span.end, "text": span.text} for span in self.spans]
        return {"code": self.code, "severity": self.severity, "spans": spans, "advice": self.advice}

    def __str__(self) -> str:
        words = " / ".join(repr(span.text) for span in self.spans)
        return f"{self.code}: {words}: {self.advice}" if words else f"{self.code}: {self.advice}"
