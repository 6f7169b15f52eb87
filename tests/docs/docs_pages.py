"""The pages of the documentation, taken apart: fenced blocks, code in the text, links, and the anchors of headings."""

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
SPAN = re.compile(r"`([^`]+)`")
LINK = re.compile(r"\]\(([^)\s]+)\)")
HEADING = re.compile(r"^#{1,6} (.+)$", re.MULTILINE)


@dataclass(frozen=True, kw_only=True)
class Code:
    """A piece of code on a page; `language` is empty where a fence names none, and None for code in the text."""

    line: int
    language: str | None
    text: str


@dataclass(frozen=True, kw_only=True)
class Page:
    """One page of Markdown."""

    path: Path

    @property
    def name(self) -> str:
        """Return the path from the checkout on."""
        return self.path.relative_to(ROOT).as_posix()

    @cached_property
    def text(self) -> str:
        """Return the whole page."""
        return self.path.read_text(encoding="utf-8")

    @cached_property
    def prose(self) -> str:
        """Return the page with its fenced blocks blank, line by line."""
        return FENCE.sub(lambda block: "\n" * block[0].count("\n"), self.text)

    @cached_property
    def blocks(self) -> tuple[Code, ...]:
        """Return the fenced blocks; their first line is the one behind the fence."""
        return tuple(
            Code(line=line_of(self.text, block.start(2)), language=block[1], text=block[2])
            for block in FENCE.finditer(self.text)
        )

    @cached_property
    def spans(self) -> tuple[Code, ...]:
        """Return the code in the text; one that goes over the end of a line is one line."""
        return tuple(
            Code(line=line_of(self.prose, span.start()), language=None, text=" ".join(span[1].split()))
            for span in SPAN.finditer(self.prose)
        )

    @cached_property
    def links(self) -> tuple[tuple[int, str], ...]:
        """Return the line and target of each link and picture that leads to no other site."""
        return tuple(
            (line_of(self.prose, link.start()), link[1])
            for link in LINK.finditer(self.prose)
            if "://" not in link[1] and not link[1].startswith("mailto:")
        )

    @cached_property
    def anchors(self) -> frozenset[str]:
        """Return what a link can name behind `#`, as GitHub makes it of the headings."""
        return frozenset(_anchors(HEADING.findall(self.prose)))

    def blocks_in(self, *languages: str) -> list[Code]:
        """Return the blocks whose fence names one of these languages."""
        return [block for block in self.blocks if block.language in languages]


def pages(*patterns: str) -> list[Page]:
    """Return the pages that these patterns name, from the checkout on."""
    return [Page(path=path) for pattern in patterns for path in sorted(ROOT.glob(pattern))]


def line_of(text: str, position: int) -> int:
    """Return the number of the line at a position, the first being 1."""
    return text.count("\n", 0, position) + 1


def _anchors(headings: list[str]) -> Iterator[str]:
    seen: Counter[str] = Counter()
    for heading in headings:
        words = re.sub(r"[^\w\s-]", "", re.sub(r"\[([^]]+)\]\([^)]*\)", r"\1", heading).lower())
        slug = re.sub(r"\s", "-", words.strip())
        yield f"{slug}-{seen[slug]}" if seen[slug] else slug
        seen[slug] += 1
