"""Features, labels and classifiers of all kinds for the tests of metrics, and how to read their table."""

import math

import torch

from ncmix import metrics

# What has no value where all classes have about as many samples.
BALANCED = {"minority_cosine"}


def table(*arguments, split="train", **named):
    """name -> value."""
    return {m.name: m.value for m in metrics.measure(split, *arguments, **named)}


def notes(*arguments, split="train", **named):
    """name -> why there is no value, for those that have none."""
    return {m.name: m.note for m in metrics.measure(split, *arguments, **named) if m.value is None}


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


def classified(classes=6, dimension=20, samples=600, noise=0.5, flips=0.1, scale=1.0, dtype=torch.float32, seed=0):
    """Features of a network that has learned: it decides by the nearest true mean; a share of labels is wrong."""
    h, y, _, _ = cloud(classes, dimension, samples, noise, dtype=torch.float64, seed=seed)
    g = torch.Generator().manual_seed(seed)
    means = torch.randn(classes, dimension, generator=g, dtype=torch.float64)
    w, b = scale * means, -scale * means.square().sum(1) / 2
    flipped = torch.rand(samples, generator=g) < flips
    y = torch.where(flipped, torch.randint(classes, (samples,), generator=g), y)
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


def dual(features):
    """The same features, with the classifier that decides by the nearest class mean, at unit distance of the logits."""
    h, y, _, _ = features
    means = metrics.class_means(h, y, int(y.max()) + 1)
    centred = means - means.mean(0)
    w = centred / centred.norm(dim=1).square().mean()
    return h, y, w.to(h.dtype), (-(w * (means + means.mean(0))).sum(1) / 2).to(h.dtype)


REGIMES = {
    "ordinary": cloud(10, 64, 1000),
    "collapsed": cloud(10, 64, 1000, noise=3e-3, offset=10),
    "to the last digits": cloud(10, 64, 1000, noise=1e-5, offset=10),
    "means over 2 decades": decaying(2),
    "means over 3.5 decades": decaying(3.5),
    "imbalanced 30:1": imbalanced(),
    "more classes than dimensions": cloud(12, 5, 240),
    "two classes": cloud(2, 8, 50),
    "many classes": cloud(150, 200, 3000),
    "float64": cloud(10, 64, 1000, dtype=torch.float64),
    "many rows in many blocks": cloud(10, 600, 9000),
}

# Networks with something to calibrate: wrong labels, and classifiers from timid to sure beyond reason.
CLASSIFIED = {
    "well calibrated": classified(noise=1.0, flips=0),
    "too sure": classified(scale=20),
    "too timid": classified(scale=0.05),
    "two classes": classified(2, 8, 100),
    "many classes": classified(40, 30, 900, scale=3),
    "collapsed": classified(noise=3e-3, scale=3),
    "float64": classified(dtype=torch.float64),
    **{f"dual, {name}": dual(features) for name, features in REGIMES.items()},
}
