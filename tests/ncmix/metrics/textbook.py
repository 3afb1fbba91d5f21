"""Every metric as its definition is written, in float64 NumPy and plain loops: slow, and with nothing of the code."""

import itertools

import numpy as np
from scipy.optimize import brentq
from scipy.special import log_softmax, softmax


def textbook(h, y, w, b, m=None):
    """The whole table of a test split: whole Σ_W and Σ_B, a pseudo-inverse of exact rank, m the training split's means.

    A temperature that no T > 0 minimises is None.
    """
    h, y, w, b = h.double().numpy(), y.numpy(), w.double().numpy(), b.double().numpy()
    mu = np.stack([h[y == k].mean(0) for k in range(len(w))])
    near = mu if m is None else m.double().numpy()
    z = h @ w.T + b
    nearest = np.stack([np.sum((h - row) ** 2, 1) for row in near], 1).argmin(1)
    guess = z.argmax(1)
    return {
        **variability(h, y, mu),
        **simplex(w, mu),
        **duality(w, mu),
        "minority_cosine": minority_cosine(y, w),
        "nc4": np.mean(guess != nearest),
        "nc4_bias": np.linalg.norm(w @ mu.mean(0) + b),
        "accuracy": np.mean(guess == y),
        "ncc_accuracy": np.mean(nearest == y),
        **calibration(z, y),
        "effective_rank": effective_rank(h),
    }


def variability(h, y, mu):
    """NC1 from the covariances themselves."""
    classes, t, d = len(mu), mu - mu.mean(0), h - mu[y]
    within, between = d.T @ d / len(h), t.T @ t / classes
    u, s, vh = np.linalg.svd(between)
    rank = min(classes - 1, h.shape[1])
    inverse = vh[:rank].T @ np.diag(1 / s[:rank]) @ u[:, :rank].T
    singular = np.linalg.svd(t, compute_uv=False)
    v = np.array([np.mean(np.sum((h[y == k] - mu[k]) ** 2, 1)) for k in range(classes)])
    return {
        "nc1": np.trace(within @ inverse) / classes,
        "nc1_condition": singular[rank - 1] / singular[0],
        "nc1_quotient": np.trace(within) / np.trace(between),
        "nc1_cdnv": np.mean([(v[k] + v[j]) / (2 * np.sum((mu[k] - mu[j]) ** 2)) for k, j in pairs(classes)]),
    }


def simplex(w, mu):
    """NC0 and NC2."""
    t, centred_w = mu - mu.mean(0), w - w.mean(0)
    energy = np.array([np.log(1 / np.linalg.norm(rows(t)[k] - rows(t)[j])) for k, j in pairs(len(t))])
    return {
        "nc0": np.linalg.norm(w.T @ np.ones(len(w))),
        "nc2_norm_means": variation(t),
        "nc2_norm_weights": variation(w),
        "nc2_angle_means": angle(t),
        "nc2_angle_weights": angle(w),
        "nc2_etf_means": from_ideal(t @ t.T),
        "nc2_etf_weights": from_ideal(centred_w @ centred_w.T),
        "nc2_uniformity": energy.std() / abs(energy.mean()),
    }


def duality(w, mu):
    """NC3."""
    t = mu - mu.mean(0)
    return {
        "nc3": np.sum((w / np.linalg.norm(w) - t / np.linalg.norm(t)) ** 2),
        "nc3_wh": from_ideal(w @ t.T),
        "nc3_uniform": np.sum(rows(w) * rows(t), 1).var(),
    }


def minority_cosine(y, w):
    """Between the classes that have at most half the samples of the largest; None where there are not two."""
    counts = np.bincount(y)
    few = [(k, j) for k, j in pairs(len(w)) if max(counts[k], counts[j]) <= counts.max() / 2]
    return np.mean([rows(w)[k] @ rows(w)[j] for k, j in few]) if few else None


def calibration(z, y):
    """Of logits; the 1st, 3rd … sample of each class is held back for the temperature."""
    p, one_hot = softmax(z, axis=1), np.eye(z.shape[1])[y]
    held = np.array([np.sum(y[:i] == y[i]) % 2 == 0 for i in range(len(y))])
    t = temperature(z[held], y[held])
    return {
        "nll": -np.mean(log_softmax(z, axis=1)[np.arange(len(y)), y]),
        "brier": np.mean(np.sum((p - one_hot) ** 2, 1)),
        "ece": ece(z, y),
        "ece_adaptive": ece_adaptive(z, y),
        "ece_scaled": None if t is None else ece(z[~held] / t, y[~held]),
        "temperature": t,
    }


def ece(z, y, bins=15):
    """Equal-width bins (lo, hi]."""
    confidence, right = softmax(z, axis=1).max(1), z.argmax(1) == y
    total = 0.0
    for i in range(bins):
        inside = (confidence > i / bins) & (confidence <= (i + 1) / bins)
        if inside.any():
            total += inside.mean() * abs(right[inside].mean() - confidence[inside].mean())
    return total


def ece_adaptive(z, y, bins=15):
    """Bins of the least sure fifteenth, the next, and so on; right only where no two confidences are equal."""
    doubt = 1 - softmax(z, axis=1).max(1)
    order, right = np.argsort(doubt, kind="stable"), z.argmax(1) == y
    edges = [i * len(y) // bins for i in range(bins + 1)]
    inside = [order[start:end] for start, end in itertools.pairwise(edges)]
    return sum(len(i) / len(y) * abs(right[i].mean() - (1 - doubt[i]).mean()) for i in inside if len(i))


def temperature(z, y):
    """Where the derivative of the cross-entropy in 1/T is zero; never where all are right, or none but by chance."""

    def slope(beta):
        return np.sum(softmax(beta * z, axis=1) * z) - np.sum(z[np.arange(len(y)), y])

    if (z.argmax(1) == y).all() or slope(0) >= 0:
        return None
    highest = 1.0
    while slope(highest) < 0:
        highest *= 2
    return 1 / brentq(slope, 0, highest, xtol=1e-300, rtol=1e-13)


def effective_rank(h):
    """From the singular values of the features, not of a Gram matrix."""
    s = np.linalg.svd(h - h.mean(0), compute_uv=False)
    q = s[s > 0] / s.sum()
    return np.exp(-np.sum(q * np.log(q)))


def pairs(classes):
    """All k < l."""
    return list(itertools.combinations(range(classes), 2))


def rows(a):
    """With rows of length one."""
    return a / np.linalg.norm(a, axis=1)[:, None]


def variation(a):
    """Std/mean of the lengths of the rows."""
    lengths = np.linalg.norm(a, axis=1)
    return lengths.std(ddof=1) / lengths.mean()


def angle(a):
    """Mean deviation of the cosines between rows from −1/(K−1)."""
    return np.mean([abs(rows(a)[k] @ rows(a)[j] + 1 / (len(a) - 1)) for k, j in pairs(len(a))])


def from_ideal(g):
    """Distance from the Gram matrix of a simplex, both of norm one."""
    ideal = (np.eye(len(g)) - 1 / len(g)) / np.sqrt(len(g) - 1)
    return np.linalg.norm(g / np.linalg.norm(g) - ideal)
