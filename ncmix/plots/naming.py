"""How runs are called in a figure: short, printable, and each otherwise."""

import html
from collections.abc import Sequence

from ncmix.plots.picture import Panel, Picture
from ncmix.results import Run

LONGEST_LABEL = 64

# Between what is said of a panel; the most characters of it in one line of an interactive figure.
_BETWEEN, _LINE = " · ", 48

# From so many names on, the words that all of them share are said once.
_MANY = 5


def labels(runs: Sequence[Run], longest: int = LONGEST_LABEL) -> list[str]:
    """A short, printable, distinct label for each run."""
    return distinct([run.title for run in runs], longest)


def distinct(titles: Sequence[str], longest: int = LONGEST_LABEL) -> list[str]:
    """These titles, short, printable and distinct."""
    found: list[str] = []
    for title in titles:
        label = base = shortened(title, longest)
        number = 1
        while label in found:
            number += 1
            label = f"{base} ({number})"
        found.append(label)
    return found


def shortened(text: str, longest: int = LONGEST_LABEL) -> str:
    """One printable line of at most `longest` characters; long ones lose their middle, as the ends tell them apart."""
    line = "".join(c for c in " ".join(text.split()) if c.isprintable()) or "untitled"
    if len(line) <= longest:
        return line
    half = (longest - 1) // 2
    return f"{line[:half]}…{line[-half:]}"


def apart(names: Sequence[str]) -> tuple[str, list[str]]:
    """What all of many names share, as `resnet18 cifar10 … seed 0`, and what is left of each; else nothing, and all."""
    words = [name.split() for name in names]
    # Every name keeps a word of its own, and a number what it is the number of.
    most = min((len(each) for each in words), default=1) - 1
    before = _shared(words, most)
    behind = _shared([each[::-1] for each in words], most - before)
    before -= before > 0 and all(each[before].isdecimal() for each in words)
    if len(names) < _MANY or not before + behind:
        return "", list(names)
    first = words[0]
    said = " ".join([*first[:before], "…", *first[len(first) - behind :]])
    return said, [" ".join(each[before : len(each) - behind]) for each in words]


def _shared(words: Sequence[Sequence[str]], most: int) -> int:
    """With how many words all of them begin, at most so many."""
    columns = zip(*(each[:most] for each in words), strict=True)
    return next((place for place, column in enumerate(columns) if len(set(column)) > 1), most)


def words(panel: Panel, picture: Picture, names: Sequence[str]) -> tuple[str, str]:
    """What stands over a panel, where groups have these names.

    Planes, and heat maps of several groups, are headed by their group; small maps briefly.
    """
    group = names[panel.marks[0].group or 0]
    if picture.of_planes:
        brief = panel.meaning.partition(" · ")[0] if picture.layout == "grid" else panel.meaning
        return group if panel.name else "", brief
    if not picture.of_maps or len(names) == 1:
        return panel.name, panel.meaning
    if picture.layout == "maps":
        return group, f"{panel.name}, {panel.meaning.rpartition(', ')[2]}"
    return group, f"{panel.name}: {panel.meaning}"


def lines(said: str) -> list[str]:
    """What is said of a panel in one line, or, if it is long, in two of about one length."""
    parts = said.split(_BETWEEN)
    ways = [[_BETWEEN.join(parts[:n]), _BETWEEN.join(parts[n:])] for n in range(1, len(parts))]
    return [said] if len(said) <= _LINE or not ways else min(ways, key=lambda way: max(map(len, way)))


def escaped(words: str) -> str:
    """What users wrote, as it is, for Plotly, which reads a little HTML in every text."""
    return html.escape(words, quote=False)


def nothing(runs: Sequence[Run], what: str, until: int | None) -> str:
    """The sentence for runs that have none of `what` to draw."""
    names = ", ".join(repr(label) for label in labels(runs))
    end = "" if until is None else f" up to epoch {until}"
    return f"There is no {what} to draw yet{end} of {names}."
