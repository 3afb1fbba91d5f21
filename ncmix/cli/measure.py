"""`ncmix measure`: the whole metric table for anybody's features, whatever framework made them."""

import json
import zipfile
from pathlib import Path
from typing import Any

import click
import numpy as np
from numpy.typing import NDArray
from rich.table import Table

from ncmix.errors import NcmixError
from ncmix.glossary import METRICS
from ncmix.results import Metric, MetricSplit
from ncmix.spec import VOCABULARY
from ncmix.terminal import number, out

Arrays = dict[str, NDArray[Any]]


class ArraysError(NcmixError, ValueError):
    """The file does not hold the arrays that can be measured."""


@click.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option(
    "--split",
    type=click.Choice(["train", "test"]),
    default="train",
    show_default=True,
    help="What the features are of. Only on test is a temperature fitted.",
)
@click.option(
    "--loss",
    type=click.Choice(list(VOCABULARY["loss"])),
    metavar="KIND",
    default="cross_entropy",
    show_default=True,
    help="What the network was trained with. ece has no value where the loss does not fit softmax of the logits.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON: an object of name and value; null is undefined.")
def measure(file: Path, split: MetricSplit, loss: str, as_json: bool) -> None:
    """Measure neural collapse of features in an .npz FILE, made by any framework.

    \b
    FILE holds
      H  (N, D)  last-layer features, the input of the classifier
      y  (N,)    class indices 0 … K−1
      W  (K, D)  classifier weights
      b  (K,)    classifier bias, optional
      M  (K, D)  class means of the training split, optional: for nc4 and
                 ncc_accuracy of a test split
    """
    metrics = _measure(_read(file), split, loss)
    if as_json:
        click.echo(json.dumps({m.name: m.value for m in metrics}, indent=2))
    else:
        out.print(_table(file, metrics))


def _read(file: Path) -> Arrays:
    try:
        # Opened here: NumPy leaves a file open that is no zip after all.
        with file.open("rb") as opened, np.load(opened, allow_pickle=False) as stored:
            arrays = {name: stored[name] for name in ("H", "y", "W", "b", "M") if name in stored}
    except (ValueError, OSError, zipfile.BadZipFile, AttributeError, TypeError) as error:
        raise ArraysError(f"{file} is not a readable .npz file of plain arrays: {error}") from error
    if missing := [name for name in ("H", "y", "W") if name not in arrays]:
        raise ArraysError(f"{file} lacks the array {missing[0]!r}; needed are H, y and W, and b if there is a bias.")
    if problem := _misfit(arrays["H"], arrays["y"], arrays["W"], arrays.get("b"), arrays.get("M")):
        raise ArraysError(f"{file} cannot be measured: {problem}")
    return arrays


def _misfit(
    h: NDArray[Any], y: NDArray[Any], w: NDArray[Any], b: NDArray[Any] | None, m: NDArray[Any] | None
) -> str | None:
    """What is wrong with the arrays, as a sentence."""
    if h.ndim != 2 or w.ndim != 2 or h.shape[1] != w.shape[1]:
        return f"H must be (N, D) and W (K, D) with one D; they are {h.shape} and {w.shape}."
    if y.shape != (len(h),) or y.dtype.kind not in "iu":
        return f"y must be {len(h)} whole numbers, one a row of H; it is {y.dtype} of shape {y.shape}."
    if b is not None and b.shape != (len(w),):
        return f"b must have shape ({len(w)},), one a row of W; it has {b.shape}."
    if m is not None and m.shape != w.shape:
        return f"M must have the shape of W, {w.shape}; it has {m.shape}."
    if strange := [a.dtype for a in (h, w, b, m) if a is not None and a.dtype.kind not in "fiu"]:
        return f"H, W, b and M must be real numbers; one is {strange[0]}."
    return None


def _measure(arrays: Arrays, split: MetricSplit, loss: str) -> tuple[Metric, ...]:
    import torch

    from ncmix import losses, metrics

    real = {name: torch.from_numpy(_real(a)) for name, a in arrays.items() if name != "y"}
    labels = torch.from_numpy(arrays["y"].astype(np.int64))
    softmax = loss in losses.SOFTMAX
    return metrics.measure(split, real["H"], labels, real["W"], real.get("b"), real.get("M"), softmax)


def _real(array: NDArray[Any]) -> NDArray[Any]:
    """Float32 and float64 as they are; half precision and integers, which are not summed exactly, as float32."""
    return array if array.dtype in (np.float32, np.float64) else array.astype(np.float32)


def _table(file: Path, metrics: tuple[Metric, ...]) -> Table:
    table = Table(title=f"Neural collapse of {file.name}", title_justify="left")
    table.add_column("metric", no_wrap=True)
    table.add_column("value", justify="right")
    table.add_column("definition", style="dim")
    for metric in metrics:
        table.add_row(metric.name, number(metric.value), metric.note or _definition(metric.name))
    return table


def _definition(name: str) -> str:
    entry = METRICS[name]
    return f"{entry.definition} ({entry.source})" if entry.source else entry.definition
