"""Small valid images, built from the formats' own definitions."""

import struct
import zlib


def png(width: int = 3, height: int = 2, seed: int = 0) -> bytes:
    """Return a complete PNG of one grey shade."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    note = chunk(b"tEXt", b"Comment\0" + str(seed).encode())
    pixels = zlib.compress(b"".join(b"\0" + bytes([seed % 256]) * width for _ in range(min(height, 64))))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + note + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")


def jpeg(width: int = 3, height: int = 2) -> bytes:
    """Return the skeleton of a JPEG: an application segment, a frame, a scan and the end."""
    app = b"\xff\xe0\x00\x10JFIF\0\x01\x01\0\0\x01\0\x01\0\0"
    frame = b"\xff\xc2\x00\x0b\x08" + struct.pack(">HH", height, width) + b"\x01\x01\x11\x00"
    return b"\xff\xd8" + app + b"\xff" + frame + b"\xff\xda\x00\x08\x01\x01\x00\x00\x3f\x00" + b"\x11\x22" + b"\xff\xd9"


def webp(kind: bytes, body: bytes) -> bytes:
    """Return a RIFF container with one chunk."""
    inside = b"WEBP" + kind + struct.pack("<I", len(body)) + body + b"\0" * (len(body) % 2)
    return b"RIFF" + struct.pack("<I", len(inside)) + inside


def gif(width: int = 3, height: int = 2) -> bytes:
    """Return a GIF with a screen, one empty comment and the trailer."""
    return b"GIF89a" + struct.pack("<HH", width, height) + b"\0\0\0" + b"\x21\xfe\x00" + b"\x3b"


def samples() -> dict[str, bytes]:
    """Return one valid image of 300 x 200 pixels of every kind."""
    return {
        "png": png(300, 200),
        "jpeg": jpeg(300, 200),
        "webp-lossy": webp(b"VP8 ", b"\x00\x00\x00\x9d\x01\x2a" + struct.pack("<HH", 300, 200)),
        "webp-lossless": webp(b"VP8L", b"\x2f" + struct.pack("<I", 299 | 199 << 14)),
        "webp-extended": webp(b"VP8X", b"\0\0\0\0" + (299).to_bytes(3, "little") + (199).to_bytes(3, "little")),
        "gif": gif(300, 200),
    }
