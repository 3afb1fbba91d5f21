"""Picture files of any format to uint8 pixels, on all cores, with every picture that cannot be used named.

Shapes: N pictures, C channels, H height, W width, S the wanted height and width.
"""

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ncmix import memory
from ncmix.datasets.base import DataError

_GRAY = frozenset({"1", "L", "LA", "La"})
_DEEP = ("I", "F")  # with all their variants, such as I;16: more than 8 bits a channel
_AT_ONCE = 128
_NAMED = 3


class _UnusableError(Exception):
    """Why one picture cannot be used, in words that follow its name."""


Put = Callable[[int, NDArray[np.uint8]], None]
"""(i, pixels): keeps picture i, (3, H, W), or (H, W) for the same in every channel; called by several threads."""


def size_of(first: Path, image_size: int | None) -> tuple[int, int]:
    """Height and width of the decoded pictures: `image_size`, or those of the first one.

    Raises:
        DataError: the first one is corrupt.
    """
    if image_size is not None:
        return image_size, image_size
    try:
        with Image.open(first) as picture:
            return picture.height, picture.width
    except Exception as error:
        raise DataError(_listed([f"{first} {_unreadable(error)}"])) from error


def decode(paths: Sequence[Path], image_size: int | None, put: Put) -> bool:
    """Decode every picture, `put` it, and say whether all are gray; transparency is dropped.

    With `image_size` S the shorter side is resized to S (bilinear, antialiased) and the centre S×S cut out; without,
    all pictures must have one size.

    Raises:
        DataError: pictures are corrupt, of different sizes, or have more than 8 bits a channel; the first are named.
    """
    size = size_of(paths[0], image_size)
    gray_N = np.zeros(len(paths), bool)

    def read(start: int) -> list[str]:
        problems = []
        for i in range(start, min(start + _AT_ONCE, len(paths))):
            try:
                pixels, gray_N[i] = _pixels(paths[i], size, image_size)
            except _UnusableError as reason:
                problems.append(f"{paths[i]} {reason}")
            else:
                put(i, pixels)
        return problems

    # Pillow decodes outside the interpreter's lock; beyond a few threads that lock is the limit.
    with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
        problems = [p for some in pool.map(read, range(0, len(paths), _AT_ONCE)) for p in some]
    if problems:
        raise DataError(_listed(problems))
    return bool(gray_N.all())


def in_memory(paths: Sequence[Path], image_size: int | None) -> NDArray[np.uint8]:
    """All pictures as one array (N, C, H, W), C = 1 if all are gray and 3 otherwise.

    Raises:
        DataError: as `decode`, or all of them together are larger than the memory that is free.
    """
    height, width = size_of(paths[0], image_size)
    if (needed := 3 * len(paths) * height * width) > (there := memory.available()):
        raise DataError(
            f"{len(paths)} pictures of {width}×{height} pixels take {needed / 1e9:.1f} GB, and {there / 1e9:.1f} GB of "
            "memory are free; give them a data folder that can be written, with room for so much, or a smaller "
            "dataset.image_size."
        )
    x_N = np.empty((len(paths), 3, height, width), np.uint8)
    gray = decode(paths, image_size, x_N.__setitem__)
    return x_N[:, :1].copy() if gray else x_N


def _listed(problems: list[str]) -> str:
    more = f"; and {len(problems) - _NAMED} more" if len(problems) > _NAMED else ""
    return f"{len(problems)} picture(s) cannot be used: {'; '.join(problems[:_NAMED])}{more}."


def _pixels(path: Path, size: tuple[int, int], image_size: int | None) -> tuple[NDArray[np.uint8], bool]:
    """One picture as (3, H, W), or (H, W) where it is gray, which is also told.

    Raises:
        _UnusableError: it is corrupt, of another size, or has more than 8 bits a channel.
    """
    try:
        with Image.open(path) as picture:
            if picture.mode.startswith(_DEEP):
                raise _UnusableError(f"has more than 8 bits a channel (mode {picture.mode})")
            if image_size is None and (picture.height, picture.width) != size:
                raise _UnusableError(
                    f"is {picture.width}×{picture.height}, the first is {size[1]}×{size[0]} "
                    "(dataset.image_size brings all to one size)"
                )
            gray = picture.mode in _GRAY
            if image_size is not None:
                # Lets the JPEG decoder skip detail far below the wanted size.
                picture.draft(None, (2 * image_size, 2 * image_size))
            plain = picture.convert("L" if gray else "RGB")
            pixels = np.asarray(plain if image_size is None else _centre(plain, image_size))
    except _UnusableError:
        raise
    except Exception as error:  # Pillow's decoders raise what they meet in the bytes: anything
        raise _UnusableError(_unreadable(error)) from error
    return (pixels if gray else pixels.transpose(2, 0, 1)), gray


def _unreadable(error: Exception) -> str:
    return f"cannot be read ({type(error).__name__}: {error})"


def _centre(picture: Image.Image, size: int) -> Image.Image:
    """The shorter side resized to `size`, and the square in the middle."""
    if picture.size == (size, size):
        return picture
    scale = size / min(picture.size)
    width, height = (max(size, round(side * scale)) for side in picture.size)
    resized = picture.resize((width, height), Image.Resampling.BILINEAR)
    left, top = (width - size) // 2, (height - size) // 2
    return resized.crop((left, top, left + size, top + size))
