"""What was made for a request: usage, price, pictures and the body of the good answer. Pure."""

import base64
import json
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, Literal

from imagequeue.config.catalog import Usage, output_tokens, price_call
from imagequeue.simulator.asked import Asked
from imagequeue.simulator.picture import Picture

CHARACTERS_PER_TOKEN: Final = 4
INPUT_IMAGE_TOKENS: Final = 323  # gpt-image-1, low fidelity, two tiles: 65 + 2 x 129; newer models publish no formula
TITLE_CHARACTERS_MAX: Final = 600


@dataclass(frozen=True, kw_only=True)
class Tokens:
    """The usage of one answer, in the provider's words."""

    text_input: int
    image_input: int
    image_output: int

    @property
    def total(self) -> int:
        """Return all tokens."""
        return self.text_input + self.image_input + self.image_output

    def counts(self) -> dict[str, int]:
        """Return the tokens by kind, for the bill."""
        return {"text_input": self.text_input, "image_input": self.image_input, "image_output": self.image_output}

    def answer(self) -> dict[str, object]:
        """Return the `usage` object."""
        return {
            "input_tokens": self.text_input + self.image_input,
            "input_tokens_details": {"text_tokens": self.text_input, "image_tokens": self.image_input},
            "output_tokens": self.image_output,
            "output_tokens_details": {"text_tokens": 0, "image_tokens": self.image_output},
            "total_tokens": self.total,
        }


def tokens(asked: Asked) -> Tokens | None:
    """Return the tokens of a request, None for a model that is priced per image."""
    if asked.model.priced_by == "image":
        return None
    sketches = asked.partial_images * asked.model.output_tokens.per_partial_image
    return Tokens(
        text_input=-(-len(asked.prompt) // CHARACTERS_PER_TOKEN),
        image_input=INPUT_IMAGE_TOKENS * asked.input_images,
        image_output=asked.n * (output_tokens(asked.model, size=asked.size, quality=asked.quality) + sketches),
    )


def price(asked: Asked, used: Tokens | None, at: float, delivery: Literal["now", "batch"] = "now") -> int:
    """Return what the request costs at that Unix time, in nano-dollars."""
    return price_call(
        asked.model,
        size=asked.size,
        quality=asked.quality,
        n=asked.n,
        usage=None if used is None else Usage.from_answer({"usage": used.answer()}),
        delivery=delivery,
        on=datetime.fromtimestamp(at, UTC).date(),
        prompt_characters=len(asked.prompt),
        input_images=asked.input_images,
    )


def pictures(asked: Asked, *, caption: str, bytes_min: int, render: Literal["fast", "full"]) -> list[Picture]:
    """Return what to draw, one picture per image asked for; each differs from every other."""
    return [
        Picture(
            width=asked.width,
            height=asked.height,
            title=asked.prompt[:TITLE_CHARACTERS_MAX],
            caption=f"{caption} {place + 1}/{asked.n}",
            bytes_min=bytes_min,
            transparent=asked.background == "transparent",
            render=render,
        )
        for place in range(asked.n)
    ]


def answer_with_bytes(asked: Asked, files: list[bytes], used: Tokens | None, created: int) -> bytes:
    """Return the body of a good answer that carries the images as base64.

    The base64 is put between the quotes without a JSON encoder: it needs no escaping, and this saves most of the time.
    """
    tail = b'"' + _revised(asked) + b"}"
    images = b",".join(b"".join([b'{"b64_json":"', base64.b64encode(file), tail]) for file in files)
    return b"".join([_head(created), images, _tail(asked, used)])


def answer_with_links(asked: Asked, links: list[str], used: Tokens | None, created: int) -> bytes:
    """Return the body of a good answer that carries links."""
    images = b",".join(b'{"url":' + json.dumps(link).encode() + _revised(asked) + b"}" for link in links)
    return b"".join([_head(created), images, _tail(asked, used)])


def _head(created: int) -> bytes:
    return b'{"created":%d,"data":[' % created


def _revised(asked: Asked) -> bytes:
    if asked.model.name != "dall-e-3":
        return b""
    return b',"revised_prompt":' + json.dumps(f"{asked.prompt}, in rich detail").encode()


def _tail(asked: Asked, used: Tokens | None) -> bytes:
    if used is None:
        return b"]}"
    about = {
        "background": asked.background,
        "output_format": asked.output_format,
        "quality": asked.quality,
        "size": asked.size,
        "usage": used.answer(),
    }
    return b"]," + json.dumps(about).encode()[1:]
