"""The prompt check: looks at one prompt and says what often makes another try necessary. Pure.

It is a list of rules of thumb with the words each is about, not a judge of taste; it changes and blocks nothing.
"""

import re
from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Final

from imagequeue.producer.promptcheck.finding import PromptFinding, Span
from imagequeue.producer.promptcheck.rules import Kind, Rules, load_rules

FINDINGS_MAX: Final = 20
ABOUT_INPUTS: Final = frozenset({"missing_subject", "refers_elsewhere"})
QUOTED: Final = re.compile(r'"([^"\n]{2,})"|“([^”\n]{2,})”|«([^»\n]{2,})»')
PLACEHOLDER: Final = re.compile(
    r"\{\{?\s*\w[\w .-]{0,40}\}?\}|\[(?:insert|your|subject|name|topic|style)[^\]]{0,40}\]|<(?:subject|name|style)>"
    r"|\$\{\w+\}|%\(\w+\)s|lorem ipsum",
    re.IGNORECASE,
)
WORD: Final = re.compile(r"\w+(?:['\u2019-]\w+)*")


def check_prompt(prompt: str, *, characters_max: int | None = None, edits: bool = False) -> tuple[PromptFinding, ...]:
    """Return what is worth a look in a prompt, in the order of the words; empty when nothing is.

    `characters_max` is the most the model takes, when it is known; `edits` says that images go with the prompt, so that
    it may be about them. Spans count characters of `prompt`. At most
    FINDINGS_MAX findings.
    """
    rules = load_rules()
    every = (finding for look in CHECKS for finding in look(prompt, rules))
    found = [finding for finding in every if not (edits and finding.code in ABOUT_INPUTS)]
    if characters_max is not None and len(prompt) > characters_max:
        found.append(rules.finding("too_long", _span(prompt, characters_max, len(prompt))))
    found.sort(key=lambda finding: finding.spans[0].start if finding.spans else 0)
    return tuple(found[:FINDINGS_MAX])


def _conflicts(prompt: str, rules: Rules) -> Iterator[PromptFinding]:
    """Two that exclude each other, unless something between them says that one is inside or beside the other."""
    shown = _unquoted(prompt)
    for code, kinds in rules.conflicts.items():
        marks = sorted(
            ((match.start(), match.end(), kind) for kind in kinds for match in kind.pattern.finditer(shown)),
            key=lambda mark: mark[:2],
        )
        for (start, end, kind), (start_2, end_2, other) in pairwise(marks):
            if _excluded(kind, other) and end <= start_2 and not rules.apart.search(shown[end:start_2]):
                yield rules.finding(code, _span(prompt, start, end), _span(prompt, start_2, end_2))
                break


def _excluded(kind: Kind, other: Kind) -> bool:
    return other.name in kind.excludes or kind.name in other.excludes


def _subject(prompt: str, rules: Rules) -> Iterator[PromptFinding]:
    """Nothing is left once words of style, quality and no meaning are taken away."""
    rest = rules.looks.sub(" ", prompt)
    looked = rest != prompt
    left = [word for word in WORD.findall(rest.lower()) if word not in rules.empty]
    words = WORD.findall(prompt)
    if not left and (looked or words) and (len(words) > 1 or not words):
        yield rules.finding("missing_subject")


def _elsewhere(prompt: str, rules: Rules) -> Iterator[PromptFinding]:
    for match in rules.elsewhere.finditer(_unquoted(prompt)):
        yield rules.finding("refers_elsewhere", _span(prompt, *match.span()))


def _placeholders(prompt: str, rules: Rules) -> Iterator[PromptFinding]:
    for match in PLACEHOLDER.finditer(prompt):
        yield rules.finding("placeholder", _span(prompt, *match.span()))


def _long_text(prompt: str, rules: Rules) -> Iterator[PromptFinding]:
    for match in QUOTED.finditer(prompt):
        text = next(group for group in match.groups() if group)
        words = len(WORD.findall(text))
        if words > rules.bounds["text_words_max"] or len(text) > rules.bounds["text_characters_max"]:
            yield rules.finding("long_text", _span(prompt, *match.span()))


def _negations(prompt: str, rules: Rules) -> Iterator[PromptFinding]:
    shown = _unquoted(prompt)
    spared = [match.span() for match in rules.spared.finditer(shown)]
    for match in rules.negation.finditer(shown):
        if not any(start <= match.start() < end for start, end in spared):
            yield rules.finding("negation", _span(prompt, *match.span()))


def _counts(prompt: str, rules: Rules) -> Iterator[PromptFinding]:
    for match in rules.count.finditer(_unquoted(prompt)):
        yield rules.finding("exact_count", _span(prompt, *match.span()))


def _crowded(prompt: str, rules: Rules) -> Iterator[PromptFinding]:
    commas = [match.start() for match in re.finditer(r"[,;|]", prompt)]
    if len(commas) >= rules.bounds["parts_max"]:
        yield rules.finding("crowded", _span(prompt, commas[rules.bounds["parts_max"] - 1], len(prompt)))


def _repetition(prompt: str, rules: Rules) -> Iterator[PromptFinding]:
    """The same word again and again, with nothing but separators between."""
    again = rules.bounds["repeated_min"] - 1
    for match in re.finditer(rf"\b(\w+)\b(?:[\s,]+\1\b){{{again},}}", _unquoted(prompt), re.IGNORECASE):
        yield rules.finding("repetition", _span(prompt, *match.span()))


CHECKS: Final[tuple[Callable[[str, Rules], Iterator[PromptFinding]], ...]] = (
    _conflicts,
    _subject,
    _elsewhere,
    _placeholders,
    _long_text,
    _negations,
    _counts,
    _crowded,
    _repetition,
)


def _unquoted(prompt: str) -> str:
    """The prompt with quoted text blanked out, at the same places: it is what is to be read, not what is asked for."""
    return QUOTED.sub(lambda match: " " * len(match.group()), prompt)


def _span(prompt: str, start: int, end: int) -> Span:
    return Span(start=start, end=end, text=prompt[start:end])
