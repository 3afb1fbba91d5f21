"""NC4: how the network comes to decide as the nearest class mean does; and how well both decide."""

from ncmix.metrics.common import norm, require_decisions, require_logits, require_reference
from ncmix.stats import Statistics


def nc4(s: Statistics) -> float:
    """Share of samples with argmax z ≠ argmin_k ‖h − μ_k‖, train-split means (Papyan, Han, Donoho 2020, Fig. 7)."""
    require_decisions(s)
    require_reference(s)
    return s.decisions.disagreements / s.samples


def nc4_bias(s: Statistics) -> float:
    """‖Wμ_G + b‖, called NC4 in some papers (Zhou 2022)."""
    require_logits(s)
    return norm(s.w_KD @ s.means.centre + s.b_K)


def accuracy(s: Statistics) -> float:
    """Share of samples with argmax z = y."""
    require_decisions(s)
    return s.decisions.correct / s.samples


def ncc_accuracy(s: Statistics) -> float:
    """Share of samples with argmin_k ‖h − μ_k‖ = y, train-split means (nearest class centre)."""
    require_reference(s)
    return s.decisions.nearest_correct / s.samples


def nll(s: Statistics) -> float:
    """Mean cross-entropy of softmax(z) in nats."""
    require_decisions(s)
    return s.decisions.nll / s.samples
