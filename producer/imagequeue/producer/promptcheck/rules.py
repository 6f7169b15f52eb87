"""The rules of the prompt check, read from rules.toml once and made into patterns."""

import functools
import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib.resources import files

from imagequeue.producer.promptcheck.finding import PromptFinding, Severity, Span


@dataclass(frozen=True, kw_only=True)
class Kind:
    """One of several things of which an image can be only one, and those it does not go with."""

    name: str
    pattern: re.Pattern[str]
    excludes: frozenset[str]


@dataclass(frozen=True, kw_only=True)
class Rule:
    """How grave a finding is, and what to do."""

    severity: Severity
    advice: str


@dataclass(frozen=True, kw_only=True)
class Rules:
    """Everything that the check looks for."""

    rules: Mapping[str, Rule]
    conflicts: Mapping[str, tuple[Kind, ...]]
    apart: re.Pattern[str]
    looks: re.Pattern[str]
    empty: frozenset[str]
    elsewhere: re.Pattern[str]
    negation: re.Pattern[str]
    spared: re.Pattern[str]
    count: re.Pattern[str]
    bounds: Mapping[str, int]

    def finding(self, code: str, *spans: Span) -> PromptFinding:
        """Return a finding by its rule."""
        rule = self.rules[code]
        return PromptFinding(code=code, severity=rule.severity, spans=spans, advice=rule.advice)


@functools.cache
def load_rules() -> Rules:
    """Return the packaged rules."""
    data = tomllib.loads((files("imagequeue.producer.promptcheck") / "rules.toml").read_text(encoding="utf-8"))
    negated = data["negations"]["words"]
    return Rules(
        rules={code: Rule(**rule) for code, rule in data["rules"].items()},
        conflicts={
            "conflicting_styles": _kinds(data["media"]),
            "conflicting_framing": _kinds(data["framing"]),
            "conflicting_light": _kinds(data["light"]),
        },
        apart=words_pattern(data["apart"]["words"]),
        looks=words_pattern(word for word in (*data["subject"]["words"], *_media_words(data["media"]))),
        empty=frozenset(data["subject"]["empty"]),
        elsewhere=words_pattern(data["elsewhere"]["words"]),
        negation=re.compile(rf"(?<!\w)(?:{_alternatives(negated)})\s+\w+(?:\s+\w+)?", re.IGNORECASE),
        spared=words_pattern(data["negations"]["spared"]),
        count=re.compile(rf"(?<![\w-])(?:{_alternatives(data['counts']['words'])})\s+[a-z]+s\b", re.IGNORECASE),
        bounds=data["bounds"],
    )


def words_pattern(words: Iterable[str]) -> re.Pattern[str]:
    """Return what matches any of the words, whole; the longest where several begin at one place."""
    return re.compile(rf"(?<!\w)(?:{_alternatives(words)})(?!\w)", re.IGNORECASE)


def _alternatives(words: Iterable[str]) -> str:
    longest_first = sorted(words, key=len, reverse=True)
    return "|".join(re.escape(word).replace(r"\ ", r"[\s-]+").replace("'", "['\u2019]") for word in longest_first)


def _kinds(table: Mapping[str, Mapping[str, list[str]]]) -> tuple[Kind, ...]:
    return tuple(
        Kind(name=name, pattern=words_pattern(kind["words"]), excludes=frozenset(kind["with"]))
        for name, kind in table.items()
    )


def _media_words(table: Mapping[str, Mapping[str, list[str]]]) -> list[str]:
    return [word for kind in table.values() for word in kind["words"]]
