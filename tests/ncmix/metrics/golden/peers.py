"""What public implementations make of the regimes in clouds.py, written to `peers.json`: numbers, none of their code.

No dependencies. With a checkout of rhubarbwu/neural-collapse at c05a0b8, the notebook beside Papyan, Han, Donoho
2020 (neuralcollapse/neuralcollapse), and kowalski 0.0.2 from PyPI installed beside ncmix,

    python -m tests.ncmix.metrics.golden.peers RHUBARBWU NOTEBOOK.ipynb

prints how far each is from the definitions, which are the tables in docs/metrics.md.
"""

import json
import sys
from collections import defaultdict
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from scipy.sparse.linalg import svds

from benchmarks.metrics.peer import Peer
from tests.ncmix.metrics.clouds import REGIMES
from tests.ncmix.metrics.textbook import textbook

FILE = Path(__file__).with_suffix(".json")
NAMES = (
    "ordinary",
    "collapsed",
    "to the last digits",
    "means over 2 decades",
    "means over 3.5 decades",
    "imbalanced 30:1",
)


def kowalski(h, y, w, b):
    """Under our names."""
    from kowalski.neural_collapse import neural_collapse_metrics  # noqa: PLC0415

    found = neural_collapse_metrics([h[y == c] for c in range(len(w))], w, b)
    meant = {
        "within_class_variability": "nc1", "class_distance_normalized_variance": "nc1_cdnv",
        "classifier_etf_convergence": "nc2_etf_weights", "self_duality": "nc3_wh", "bias_collapse": "nc4_bias",
    }  # fmt: skip
    return {name: float(found[theirs]) for theirs, name in meant.items()}


def notebook(path):
    """Its own function `analysis`, out of the file, run on features instead of a network."""
    cells = ["".join(cell["source"]) for cell in json.loads(path.read_text())["cells"]]
    (code,) = [cell for cell in cells if cell.startswith("def analysis")]

    def table(h, y, w, b):
        graphs, features = defaultdict(list), SimpleNamespace()
        quiet = SimpleNamespace(update=lambda _: None, set_description=lambda _: None, close=lambda: None)
        names: dict[str, Any] = {
            "torch": torch, "np": np, "svds": svds, "F": torch.nn.functional, "tqdm": lambda **_: quiet,
            "C": len(w), "debug": False, "device": "cpu", "epoch": 0, "loss_name": "CrossEntropyLoss",
            "weight_decay": 0.0, "features": features, "classifier": SimpleNamespace(weight=w, bias=b),
        }  # fmt: skip

        class Model:
            """Features are the data, and the hook is here."""

            def __call__(self, data):
                features.value = SimpleNamespace(data=data)
                return data @ w.T + b

            def eval(self):
                pass

            def parameters(self):
                return ()

        class Graphs:
            def __getattr__(self, name):
                return graphs[name]

        exec(code, names)  # noqa: S102
        loss = torch.nn.CrossEntropyLoss(reduction="sum")
        names["analysis"](Graphs(), Model(), loss, "cpu", len(w), list(zip(h.split(128), y.split(128), strict=True)))
        meant = {
            "Sw_invSb": "nc1", "norm_M_CoV": "nc2_norm_means", "norm_W_CoV": "nc2_norm_weights",
            "cos_M": "nc2_angle_means", "cos_W": "nc2_angle_weights", "W_M_dist": "nc3", "NCC_mismatch": "nc4",
            "loss": "nll", "accuracy": "accuracy",
        }  # fmt: skip
        found = {name: float(graphs[theirs][0]) for theirs, name in meant.items()}
        return found | {"nc1": found["nc1"] / len(w)}  # it does not divide by K

    return table


def golden(implementations):
    """regime -> implementation -> metric -> value, and a sum by which the features can be known again."""
    found = {}
    for regime in NAMES:
        features = REGIMES[regime]
        found[regime] = {"sum of features": float(features[0].double().sum())}
        found[regime] |= {name: table(*features) for name, table in implementations.items()}
    return found


def tables(found):
    """Markdown: an implementation's deviations from the definitions, regime by regime."""
    right = {regime: textbook(*REGIMES[regime]) for regime in NAMES}
    lines = []
    for name in list(found[NAMES[0]])[1:]:
        lines += [f"| {name} | {' | '.join(NAMES)} |", f"|---|{'---|' * len(NAMES)}"]
        for metric in [metric for metric in found[NAMES[0]][name] if metric in right[NAMES[0]]]:
            cells = (deviation(found[regime][name][metric], right[regime][metric]) for regime in NAMES)
            lines.append(f"| `{metric}` | {' | '.join(cells)} |")
        lines.append("")
    return "\n".join(lines)


def deviation(value, right):
    """Nothing to speak of, relative, or a factor where it is far off."""
    ratio = value / right if right else 1 + abs(value)
    if abs(ratio - 1) <= 1e-5:
        return "✓"
    return f"{ratio - 1:+.0e}" if abs(ratio - 1) < 0.1 else f"× {ratio:.2g}"


if __name__ == "__main__":
    torch.set_grad_enabled(False)
    peer = Peer(Path(sys.argv[1]))
    results = golden(
        {
            "rhubarbwu/neural-collapse": lambda h, y, w, b: peer.table(h, y, w),
            "kowalski 0.0.2": kowalski,
            "the notebook": notebook(Path(sys.argv[2])),
        }
    )
    FILE.write_text(json.dumps(results, indent=1) + "\n")
    sys.stdout.write(tables(results))
