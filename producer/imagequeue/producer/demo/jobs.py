"""The jobs of the demonstration: small scenes in many media, at mixed priorities, for two tenants. Pure."""

from collections.abc import Iterator, Mapping
from importlib.resources import files
from typing import Final

from imagequeue.config.job import Job, Priority

MODEL: Final = "dall-e-3"
MIX: Final[tuple[Priority, ...]] = (
    "default",
    "high",
    "low",
    "default",
    "low",
    "default",
    "high",
    "low",
    "default",
    "low",
)
"""Priorities of ten jobs in a row: two high, four default, four low."""
SHAPES: Final[tuple[Mapping[str, str], ...]] = (
    {"size": "1024x1024"},
    {"size": "1024x1024"},
    {"size": "1792x1024"},
    {"size": "1024x1024", "quality": "hd"},
    {"size": "1024x1024"},
    {"size": "1024x1792", "quality": "hd"},
    {"size": "1024x1024"},
)
CAMPAIGNS: Final = ("spring", "postcards", "covers")


def demo_jobs(count: int) -> Iterator[Job]:
    """Give so many jobs; no two of the first thousand are alike."""
    scenes, media = _lines("prompts.txt"), _lines("media.txt")
    for index in range(count):
        scene = scenes[index % len(scenes)]
        medium = media[(index + index // len(scenes)) % len(media)]
        yield Job(
            prompt=f"{scene}, {medium}",
            model=MODEL,
            priority=MIX[index % len(MIX)],
            tenant="shop" if index % 3 else "editorial",
            tags={"campaign": CAMPAIGNS[index % len(CAMPAIGNS)]},
            **SHAPES[index % len(SHAPES)],
        )


def _lines(name: str) -> list[str]:
    return (files("imagequeue.producer.demo") / name).read_text(encoding="utf-8").splitlines()
