"""Fetches the last-layer features of an experiment as NumPy arrays, and measures their collapse by hand:
`python examples/features.py [ID]`, by default the newest that has succeeded.
"""

import sys

import numpy as np

from ncmix.client import Client


def main(word: str | None) -> None:
    with Client() as client:
        experiment = client.experiment(word) if word else next(client.experiments(state="succeeded"))
        arrays = experiment.features("train")
        h_ND, y = arrays["H"].astype(np.float64), arrays["y"]
        mean_KD = np.stack([h_ND[y == k].mean(axis=0) for k in np.unique(y)])
        within = ((h_ND - mean_KD[y]) ** 2).sum(axis=1).mean()
        between = ((mean_KD - mean_KD.mean(axis=0)) ** 2).sum(axis=1).mean()
        print(f"{experiment.title}: {h_ND.shape[0]} features of {h_ND.shape[1]} dimensions, {len(mean_KD)} classes")
        print(f"spread within classes / between classes: {within / between:.3f}")


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else None)
