"""How runs are called in a figure: short, printable, and each otherwise."""

from collections.abc import Sequence

from ncmix.results import Run

LONGEST_LABEL = 64


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


def nothing(runs: Sequence[Run], what: str, until: int | None) -> str:
    """The sentence for runs that have none of `what` to draw."""
    names = ", ".join(repr(label) for label in labels(runs))
    end = "" if until is None else f" up to epoch {until}"
    return f"There is no {what} to draw yet{end} of {names}."
