"""Runs two mixes with two seeds each and prints means and deviations: `python examples/sweep.py [PICTURE]`."""

import sys

from ncmix.client import Client

SWEEP = {
    "name": "mixup or not",
    "base": {
        "dataset": "digits",
        "model": {"kind": "mlp", "hidden": [64]},
        "epochs": 5,
        "measure": {"epochs": "last", "geometry": None},
    },
    "grid": {"mix": ["none", "mixup"]},
    "seeds": 2,
}


def main(picture: str) -> None:
    with Client() as client:
        print(f"{client.plan_sweep(SWEEP)['made']} experiments are new")
        sweep = client.submit_sweep(SWEEP).wait(progress=True)
        print(sweep.states)
        for group in sweep.table(metrics="nc1,accuracy", split="test")["items"]:
            accuracy, nc1 = (group["metrics"]["test"][name] for name in ("accuracy", "nc1"))
            print(f"{group['fields']['mix.kind']:6} accuracy {accuracy['mean']:.3f} ± {accuracy['std']:.3f}  "
                  f"NC1 {nc1['mean']:.3f} ± {nc1['std']:.3f}")  # fmt: skip
        print(sweep.plot("curves").save(picture))


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "sweep.png")
