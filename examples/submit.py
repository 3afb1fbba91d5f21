"""Submits an experiment, waits for it, and fetches every plot: `python examples/submit.py [FOLDER]`."""

import sys
from pathlib import Path

from ncmix.client import Client

SPEC = {
    "dataset": "digits",
    "model": {"kind": "mlp", "hidden": [64]},
    "mix": {"kind": "mixup", "alpha": 1.0},
    "epochs": 10,
    "measure": {"epochs": [0, 1, 5, 10]},
}


def main(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    with Client() as client:
        experiment = client.submit(SPEC).wait(progress=True)
        if not experiment.succeeded:
            sys.exit(f"{experiment.state}: {experiment.reason}\n{experiment.log()[-2000:]}")
        for name in client.vocabulary()["plots"]:
            print(experiment.plot(name).save(folder / f"{name}.png"))
        train = experiment.latest["train"]
        print(f"NC1 {train['nc1']:.3f}, amplification of mixtures {train['mix_amplification']:.3f}")


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "plots"))
