"""Fewer dots than there are mixtures, where a picture has more of them than anyone can tell apart or wants to wait for.

Data are given whole.
"""

from dataclasses import replace
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from ncmix.plots.picture import Cloud, Panel, Picture
from ncmix.results import Probe

MOST_MIXTURES = 40_000


def thinned(picture: Picture, most: int = MOST_MIXTURES) -> Picture:
    """With at most so many mixtures in all, as many in every plane that has more; its note says how many."""
    counts = [len(mark.probe.points) for panel in picture.panels for mark in panel.marks if isinstance(mark, Cloud)]
    if sum(counts) <= most:
        return picture
    each = max(1, most // len(counts))
    of = f"{max(counts):,}" if len(set(counts)) == 1 else f"up to {max(counts):,}"
    note = ", ".join(filter(None, (picture.note, f"{each:,} of {of} mixtures in each plane")))
    return replace(picture, panels=tuple(_thinned(panel, each) for panel in picture.panels), note=note)


def _thinned(panel: Panel, most: int) -> Panel:
    marks = (replace(m, probe=_chosen(m.probe, most)) if isinstance(m, Cloud) else m for m in panel.marks)
    return replace(panel, marks=tuple(marks))


def _chosen(probe: Probe, most: int) -> Probe:
    return probe.some(_places(len(probe.points), most)) if len(probe.points) > most else probe


@lru_cache(8)
def _places(count: int, most: int) -> NDArray[np.intp]:
    """So many places in a row, drawn by lot, always the same: every n-th could leave out a kind of pair."""
    return np.sort(np.random.default_rng(0).permutation(count)[:most])
