"""A bitmap as the bytes of a PNG file, opaque, every line as it is.

Filters, which Pillow always tries, and a harder squeeze help photographs: figures are flat, and come out larger and
later by them.
"""

import os
import struct
import zlib
from concurrent.futures import ThreadPoolExecutor
from functools import reduce

import numpy as np
from numpy.typing import NDArray

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_RGB, _EIGHT_BITS, _METRES = 2, 8, 1
_INCHES_A_METRE = 1 / 0.0254

# The head of a stream of zlib that was squeezed fast, and a stream without head and checksum.
_FASTEST, _BARE = b"\x78\x01", -15
# The modulus of its checksum.
_ADLER = 65521
# Bytes of a piece: fewer are not worth a thread.
_PIECE = 4 * 2**20


def encode(rgba: NDArray[np.uint8], dpi: int) -> bytes:
    """The file of (height, width, red, green, blue and what is left out), the topmost line first."""
    high, wide, _ = rgba.shape
    density = round(dpi * _INCHES_A_METRE)
    return _SIGNATURE + b"".join(
        (
            _chunk(b"IHDR", struct.pack(">2I5B", wide, high, _EIGHT_BITS, _RGB, 0, 0, 0)),
            _chunk(b"pHYs", struct.pack(">2IB", density, density, _METRES)),
            _chunk(b"IDAT", squeezed(rgba)),
            _chunk(b"IEND", b""),
        )
    )


def squeezed(rgba: NDArray[np.uint8]) -> bytes:
    """The lines of the bitmap, as PNG has them, squeezed: by all cores, piece by piece, as one stream of zlib."""
    high, wide, _ = rgba.shape
    step = max(1, _PIECE // (1 + 3 * wide))
    pieces = [rgba[start : start + step] for start in range(0, high, step)]
    last = [False] * (len(pieces) - 1) + [True]
    if len(pieces) == 1:
        parts = [_squeezed(rgba, last=True)]
    else:
        with ThreadPoolExecutor(min(len(pieces), os.cpu_count() or 1)) as pool:
            parts = list(pool.map(_squeezed, pieces, last))
    checksum = reduce(_followed, [(adler, size) for _, adler, size in parts])[0]
    return _FASTEST + b"".join(data for data, _, _ in parts) + struct.pack(">I", checksum)


def _squeezed(rgba: NDArray[np.uint8], last: bool) -> tuple[bytes, int, int]:
    """Some lines, to be followed by others unless they are the last; the checksum and size of what was squeezed."""
    high, wide, _ = rgba.shape
    lines = np.zeros((high, 1 + 3 * wide), np.uint8)  # a line begins with the number of its filter, 0 for none
    _copy(rgba, lines[:, 1:].reshape(high, wide, 3))
    press = zlib.compressobj(1, wbits=_BARE)
    data = press.compress(lines.data) + press.flush(zlib.Z_FINISH if last else zlib.Z_FULL_FLUSH)
    return data, zlib.adler32(lines.data), lines.size


def _followed(one: tuple[int, int], other: tuple[int, int]) -> tuple[int, int]:
    """Adler-32 and size of some bytes followed by others, of those of each (zlib's adler32_combine)."""
    (adler, size), (further, length) = one, other
    low = (adler & 0xFFFF) + (further & 0xFFFF) - 1
    high = (adler >> 16) + (further >> 16) + length * ((adler & 0xFFFF) - 1)
    return (high % _ADLER) << 16 | low % _ADLER, size + length


def opaque(rgba: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The bitmap in red, green and blue alone."""
    rgb = np.empty((*rgba.shape[:2], 3), np.uint8)
    _copy(rgba, rgb)
    return rgb


def _copy(rgba: NDArray[np.uint8], rgb: NDArray[np.uint8]) -> None:
    for channel in range(3):  # one by one: five times as fast as three out of four at once
        rgb[..., channel] = rgba[..., channel]


def _chunk(kind: bytes, data: bytes) -> bytes:
    """A part of a PNG file: length, kind, data, checksum."""
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(data, zlib.crc32(kind)))
