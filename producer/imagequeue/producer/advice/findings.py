"""The shape of advice: findings with their figures, and what would help."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

Figure = str | int | float | None
Severity = Literal["info", "warning", "critical"]


@dataclass(frozen=True, kw_only=True)
class Option:
    """One thing that would help."""

    code: str
    text: str
    figures: Mapping[str, Figure] = field(default_factory=dict)

    def as_json(self) -> dict[str, object]:
        """Return JSON values."""
        return {"code": self.code, "text": self.text, "figures": dict(self.figures)}


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One thing to know: about which pool, organization or model, in a sentence, with the figures it comes from."""

    code: str
    severity: Severity
    subject: str
    text: str
    figures: Mapping[str, Figure]
    options: tuple[Option, ...] = ()

    def as_json(self) -> dict[str, object]:
        """Return JSON values."""
        return {
            "code": self.code,
            "severity": self.severity,
            "subject": self.subject,
            "text": self.text,
            "figures": dict(self.figures),
            "options": [option.as_json() for option in self.options],
        }
