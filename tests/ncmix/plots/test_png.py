"""A bitmap squeezed in pieces, by several threads, is one file that everybody can read."""

import io

import numpy as np
import pytest
from PIL import Image

from ncmix.plots import png


@pytest.mark.parametrize("high", [1, 7, 20, 21])
@pytest.mark.parametrize("piece", [1, 5_000, 10**6])
def test_every_colour_is_read_as_it_was(high, piece, monkeypatch):
    monkeypatch.setattr(png, "_PIECE", piece)
    rgba = np.random.default_rng(0).integers(0, 256, (high, 333, 4), dtype=np.uint8)
    file = png.encode(rgba, 160)
    image = Image.open(io.BytesIO(file))
    assert (np.asarray(image) == rgba[..., :3]).all()
    assert image.mode == "RGB"
    assert image.info["dpi"] == pytest.approx((160, 160), abs=0.01)
    assert file == png.encode(rgba, 160)


def test_a_flat_bitmap_takes_little_room_in_pieces_too(monkeypatch):
    flat = np.full((2000, 1000, 4), 200, np.uint8)
    whole = len(png.squeezed(flat))
    monkeypatch.setattr(png, "_PIECE", 500_000)
    assert len(png.squeezed(flat)) < 1.1 * whole < 60_000
