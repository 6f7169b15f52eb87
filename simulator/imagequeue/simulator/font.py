"""A 5 by 7 dot-matrix font for printable ASCII. Other letters lose their accents or become `?`."""

import unicodedata
from functools import lru_cache
from typing import Final

ROWS: Final = 8  # seven of dots and one of space
COLUMNS: Final = 6  # five of dots and one of space

# Five bytes a letter from space to tilde: one byte a column, lowest bit on top.
_DOTS: Final = bytes.fromhex(
    "0000000000 00005f0000 0007000700 147f147f14 242a7f2a12 2313086462 3649552250 0005030000 001c224100 0041221c00"
    "082a1c2a08 08083e0808 0050300000 0808080808 0060600000 2010080402 3e5149453e 00427f4000 4261514946 2141454b31"
    "1814127f10 2745454539 3c4a494930 0171090503 3649494936 064949291e 0036360000 0056360000 0814224100 1414141414"
    "0041221408 0201510906 324979413e 7e1111117e 7f49494936 3e41414122 7f4141221c 7f49494941 7f09090901 3e4149497a"
    "7f0808087f 00417f4100 2040413f01 7f08142241 7f40404040 7f020c027f 7f0408107f 3e4141413e 7f09090906 3e4151215e"
    "7f09192946 4649494931 01017f0101 3f4040403f 1f2040201f 3f4038403f 6314081463 0708700807 6151494543 007f414100"
    "0204081020 0041417f00 0402010204 4040404040 0001020400 2054545478 7f48444438 3844444420 384444487f 3854545418"
    "087e090102 0c5252523e 7f08040478 00447d4000 2040443d00 7f10284400 00417f4000 7c04180478 7c08040478 3844444438"
    "7c14141408 081414187c 7c08040408 4854545420 043f444020 3c4040207c 1c2040201c 3c4030403c 4428102844 0c5050503c"
    "4464544c44 0008364100 00007f0000 0041360800 1008081008"
)


def plain(text: str) -> str:
    """Return `text` in the font's letters; runs of white space become one space."""
    if text.isascii() and text.isprintable() and "  " not in text:
        return text  # nearly always so, and worth the shortcut
    letters = unicodedata.normalize("NFKD", " ".join(text.split()))
    bare = "".join(letter for letter in letters if not unicodedata.combining(letter))
    return "".join(letter if " " <= letter <= "~" else "?" for letter in bare)


@lru_cache(maxsize=8)
def _letters(scale: int, ink: int, paper: int) -> tuple[dict[str, bytes], ...]:
    places = range(len(_DOTS) // 5)
    return tuple({chr(32 + place): _dots(place, row, scale, ink, paper) for place in places} for row in range(ROWS))


def _dots(place: int, row: int, scale: int, ink: int, paper: int) -> bytes:
    columns = (*_DOTS[5 * place : 5 * place + 5], 0)
    return b"".join(bytes([ink if column >> row & 1 else paper]) * scale for column in columns)


def line(text: str, *, width: int, scale: int, ink: int, paper: int) -> list[bytes]:
    """Return one line of text as ROWS pixel rows of exactly `width` bytes; what does not fit is cut.

    Each row stands for `scale` equal ones. `text` must be `plain`; `ink` and `paper` are palette indexes.
    """
    shown = text[: width // (COLUMNS * scale)]
    blank = bytes([paper])
    rows = (b"".join(map(letters.__getitem__, shown)) for letters in _letters(scale, ink, paper))
    return [row.ljust(width, blank) for row in rows]
