"""Features, labels and classifiers of all kinds for the tests of metrics, and how to read their table."""

import math

import torch

from ncmix import metrics


def table(*arguments, **named):
    """name -> value, of those that have one."""
    return {m.name: m.value for m in metrics.measure("train", *arguments, **named) if m.value is not None}


def notes(*arguments, **named):
    """name -> why there is no value, for those that have none."""
    return {m.name: m.note for m in metrics.measure("train", *arguments, **named) if m.value is None}


def simplex(classes, dimension, norm=1.0, dtype=torch.float64):
    """A simplex ETF: rows of length `norm` with equal angles, in `dimension` ≥ classes dimensions."""
    rows = torch.eye(classes, dimension, dtype=torch.float64)
    rows[:, :classes] -= 1 / classes
    return (norm * math.sqrt(classes / (classes - 1)) * rows).to(dtype)


def cloud(classes=6, dimension=20, samples=300, noise=0.5, offset=0.0, dtype=torch.float32, seed=0):
    """Features around random class means, labels, weights and bias."""
    g = torch.Generator().manual_seed(seed)
    y = torch.arange(samples) % classes
    means = torch.randn(classes, dimension, generator=g, dtype=torch.float64)
    h = means[y] + offset + noise * torch.randn(samples, dimension, generator=g, dtype=torch.float64)
    w, b = torch.randn(classes, dimension, generator=g), torch.randn(classes, generator=g)
    return h.to(dtype), y, w.to(dtype), b.to(dtype)


def decaying(decades, classes=10, dimension=40):
    """Class means whose singular values fall over so many decades, as early in training, at offset 3."""
    h, y, w, b = cloud(classes, dimension, 600)
    g = torch.Generator().manual_seed(5)
    u, _, vh = torch.linalg.svd(torch.randn(classes, dimension, generator=g).double(), full_matrices=False)
    spread = (u * torch.logspace(1, 1 - decades, classes).double()) @ vh
    return (spread[y] + 3 + 0.01 * torch.randn(h.shape, generator=g)).float(), y, w, b


def imbalanced():
    """Classes of 30, 60, …, 900 samples."""
    counts = torch.linspace(30, 900, 10).int()
    h, _, w, b = cloud(10, 32, int(counts.sum()))
    y = torch.repeat_interleave(torch.arange(10), counts)
    return h + 2 * torch.randn(10, 32, generator=torch.Generator().manual_seed(1))[y], y, w, b


REGIMES = {
    "ordinary": cloud(10, 64, 1000),
    "collapsed": cloud(10, 64, 1000, noise=3e-3, offset=10),
    "to the last digits": cloud(10, 64, 1000, noise=1e-5, offset=10),
    "means over 2 decades": decaying(2),
    "means over 3.5 decades": decaying(3.5),
    "imbalanced 30:1": imbalanced(),
    "more classes than dimensions": cloud(12, 5, 240),
    "two classes": cloud(2, 8, 50),
    "float64": cloud(10, 64, 1000, dtype=torch.float64),
    "many rows in many blocks": cloud(10, 600, 9000),
}
