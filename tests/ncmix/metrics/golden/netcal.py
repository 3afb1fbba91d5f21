"""What netcal makes of calibration, written to `netcal.json`. To be run in an environment of its own.

    python -m venv /tmp/netcal && /tmp/netcal/bin/pip install netcal==1.4.0
    /tmp/netcal/bin/python -m tests.ncmix.metrics.golden.netcal

It puts a confidence on the border of two bins into the upper one, but none here is; and it has no Brier score.
"""

import json
import warnings
from pathlib import Path

import numpy as np

FILE = Path(__file__).with_suffix(".json")

# Samples, classes, scale of the logits, seed.
CASES = {
    "well calibrated": (1500, 10, 1.0, 0),
    "too sure": (1500, 10, 3.0, 1),
    "too timid": (1500, 4, 0.3, 2),
    "many classes": (3000, 50, 2.0, 3),
}


def logits(samples, classes, scale, seed):
    """Logits (N, K) and labels (N,) drawn from softmax(logits/scale), so that T is about scale."""
    draws = np.random.RandomState(seed)  # the generator that NumPy promises never to change
    z = 2 * draws.standard_normal((samples, classes))
    y = np.argmax(z + draws.gumbel(size=z.shape), axis=1)
    return scale * z, y


def held_back(y):
    """Whether a sample is the 1st, 3rd, 5th … of its class."""
    return np.array([np.sum(y[:i] == y[i]) % 2 == 0 for i in range(len(y))])


def golden(case):
    """What netcal makes of a case."""
    from netcal.metrics import ECE  # noqa: PLC0415
    from netcal.scaling import TemperatureScaling  # noqa: PLC0415

    z, y = logits(*case)
    p = np.exp(z - z.max(1, keepdims=True))
    p /= p.sum(1, keepdims=True)
    held = held_back(y)
    scaling = TemperatureScaling()
    scaling.fit(p[held], y[held])
    return {
        "ece": float(ECE(15).measure(p, y)),
        "ece_adaptive": float(ECE(15, equal_intervals=False).measure(p, y)),
        "temperature": float(1 / np.squeeze(scaling.temperature)),
        "ece_scaled": float(ECE(15).measure(scaling.transform(p[~held]), y[~held])),
    }


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    FILE.write_text(json.dumps({name: golden(case) for name, case in CASES.items()}, indent=1) + "\n")
