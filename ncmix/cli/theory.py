"""`ncmix theory`: the closed-form optimum of unconstrained features under mixup, for any K, m, λ_H and λ."""

import json

import click
from rich import box
from rich.table import Table

from ncmix import theory as closed_form
from ncmix.terminal import out

# What is printed of the optimum, and what it says.
_COLUMNS = {
    "lam": "λ",
    "p_i": "p_i",
    "p_j": "p_j",
    "q": "q",
    "norm": "‖h‖",
    "along_i": "a_i",
    "along_j": "a_j",
    "gap": "z_i − z_j",
}


@click.command()
@click.option("--classes", type=int, required=True, metavar="K", help="How many classes.")
@click.option("--m", type=float, default=1.0, show_default=True, help="Squared length of the classifier's rows.")
@click.option("--lambda-h", type=float, required=True, metavar="L", help="Decay of the features.")
@click.option(
    "--lam",
    type=float,
    multiple=True,
    default=(0.5, 0.6, 0.7, 0.8, 0.9, 1.0),
    show_default=True,
    metavar="X",
    help="Share of class i in the mixture, 0 to 1; 1 is a mixture within one class. May be given several times.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON: one object, or a list where --lam is given twice.")
def theory(classes: int, m: float, lambda_h: float, lam: tuple[float, ...], as_json: bool) -> None:
    """Where features that could move freely would go under cross-entropy with mixup.

    The classifier is a fixed simplex with squared row length m and no bias; each mixture λ of classes i and j has the
    feature h that minimises cross-entropy plus (λ_H/2)‖h‖² (Fisher, Meng, Papyan 2024, Theorem 3.1). p_i, p_j and q
    are the probabilities of the two classes and of each other one; h = a_i·w_i + a_j·w_j.

    \b
    Example
      ncmix theory --classes 10 --lambda-h 1e-3 --lam 0.7 --json
    """  # fmt: skip
    rows = [_row(closed_form.optimum(classes, m, lambda_h, share), share) for share in lam]
    if as_json:
        click.echo(json.dumps(rows[0] if len(rows) == 1 else rows, indent=2))
    else:
        out.print(_table(rows, f"K = {classes}, m = {m:g}, λ_H = {lambda_h:g}"))


def _row(optimum: closed_form.Optimum, share: float) -> dict[str, float]:
    return {name: share if name == "lam" else float(getattr(optimum, name)) for name in _COLUMNS}


def _table(rows: list[dict[str, float]], parameters: str) -> Table:
    table = Table(title=f"Optimal features of mixtures: {parameters}", title_justify="left", box=box.SIMPLE_HEAD)
    for heading in _COLUMNS.values():
        table.add_column(heading, justify="right", no_wrap=True)
    for row in rows:
        table.add_row(*(f"{value:.4g}" for value in row.values()))
    return table
