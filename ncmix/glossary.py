"""What every number is called, its definition and who defined it: read from the docstrings, without loading torch."""

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.resources import files
from importlib.resources.abc import Traversable

# What the letters in definitions mean.
LETTERS = (
    "N samples, K classes, D feature dimension; h features, z = Wh + b logits, y labels; μ_k class means, μ_G their "
    "unweighted mean, M̃ the K×D matrix with rows μ_k − μ_G; Σ_W and Σ_B = M̃ᵀM̃/K the covariances within and between "
    "classes; λ the share of the first of two mixed samples, i and j their classes."
)


@dataclass(frozen=True)
class Definition:
    """A formula or a sentence, and the paper it is from; "" where it is nobody's."""

    definition: str
    source: str = ""


# A docstring's first sentence ends with its source: (Papyan, Han, Donoho 2020, Fig. 6).
_SOURCE = re.compile(r"\s*\((?P<source>[A-Z][^()]*\b(?:19|20)\d\d\b[^()]*)\)$")

# What the trainer itself reports, beside what is measured.
_TRAINING = {
    "loss": Definition("the training objective: a mean over clean data, or over an epoch's own batches while training"),
    "lr": Definition("the learning rate of the epoch's last step"),
}


def sources(text: str) -> list[str]:
    """The papers that a text names in brackets, up to their year: (Lin et al. 2017, for softmax)."""
    return re.findall(r"\(([A-Z][^()]*\b(?:19|20)\d\d[a-z]?)\b", text)


def _define(docstring: str) -> Definition:
    sentence = " ".join(docstring.split("\n\n", maxsplit=1)[0].split()).removesuffix(".")
    found = _SOURCE.search(sentence)
    return Definition(_SOURCE.sub("", sentence), found["source"] if found else "")


def _documented(folder: str, table: str) -> dict[str, Definition]:
    """The definition of every name in the dict `table`, somewhere in the package `folder`, in its order."""
    trees = [ast.parse(file.read_text(encoding="utf-8")) for file in _sources(files("ncmix") / folder)]
    nodes = [node for tree in trees for node in tree.body]
    docs = {n.name: ast.get_docstring(n) or "" for n in nodes if isinstance(n, ast.FunctionDef)}
    return {name: _define(docs[name]) for node in nodes for name in _keys(node, table)}


def _sources(folder: Traversable) -> Iterator[Traversable]:
    return (file for file in folder.iterdir() if file.name.endswith(".py"))


def _keys(node: ast.stmt, table: str) -> list[str]:
    """The keys of a dict that this statement assigns to the name `table`."""
    match node:
        case ast.AnnAssign(target=ast.Name(id=name), value=ast.Dict(keys=keys)) if name == table:
            return [key.value for key in keys if isinstance(key, ast.Constant) and isinstance(key.value, str)]
        case _:
            return []


METRICS: dict[str, Definition] = {
    **_documented("metrics", "METRICS"),
    **_documented("geometry", "SCALARS"),
    **_TRAINING,
}
