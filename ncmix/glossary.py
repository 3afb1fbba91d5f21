"""What every number is called, how it is defined and who defined it; for those who read numbers, without torch.

Letters: N samples, K classes, D feature dimension; h features, z = Wh + b logits, μ_k class means, μ_G their
unweighted mean, M̃ the K×D matrix with rows μ_k − μ_G, Σ_W and Σ_B = M̃ᵀM̃/K the covariances within and between
classes, μ̂ the normalised rows of M̃; λ the share of the first of two mixed samples, i and j their classes.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Definition:
    """A formula or a sentence, and the paper it is from; "" where it is nobody's."""

    definition: str
    source: str = ""


PAPYAN = "Papyan, Han, Donoho 2020"
ZHU = "Zhu et al. 2021; Zhou et al. 2022"
WU = "Wu and Papyan 2024"
FISHER = "Fisher, Meng, Papyan 2024"

METRICS: dict[str, Definition] = {
    "nc0": Definition("‖Wᵀ1‖₂", "Zhao et al. 2026, arXiv 2602.16642"),
    "nc1": Definition("tr(Σ_W Σ_B†)/K, Σ_B† from the top min(K−1, D) eigenpairs", f"{PAPYAN}, Fig. 6"),
    "nc1_condition": Definition("smallest over largest of the min(K−1, D) singular values of M̃: how far nc1 is sound"),
    "nc1_quotient": Definition("tr Σ_W / tr Σ_B", "Tirer, Huang, Niles-Weed 2023"),
    "nc1_cdnv": Definition(
        "mean over pairs k<l of (v_k + v_l)/(2‖μ_k − μ_l‖²), v_k = mean ‖h − μ_k‖²", "Galanti, György, Hutter 2021"
    ),
    "nc2_norm_means": Definition("unbiased std / mean of ‖μ_k − μ_G‖", f"{PAPYAN}, Fig. 2"),
    "nc2_norm_weights": Definition("unbiased std / mean of ‖w_k‖", f"{PAPYAN}, Fig. 2"),
    "nc2_angle_means": Definition("mean over k≠l of |cos(μ_k − μ_G, μ_l − μ_G) + 1/(K−1)|", f"{PAPYAN}, Fig. 4"),
    "nc2_angle_weights": Definition("mean over k≠l of |cos(w_k, w_l) + 1/(K−1)|", f"{PAPYAN}, Fig. 4"),
    "nc2_etf_means": Definition("‖G/‖G‖_F − (I − 11ᵀ/K)/√(K−1)‖_F, G = M̃M̃ᵀ", ZHU),
    "nc2_etf_weights": Definition("‖G/‖G‖_F − (I − 11ᵀ/K)/√(K−1)‖_F, G = WWᵀ with the rows of W centred", ZHU),
    "nc2_uniformity": Definition(
        "population std / |mean| over pairs k<l of log(1/‖μ̂_k − μ̂_l‖)", f"Liu et al. 2023; {WU}"
    ),
    "nc3": Definition("‖W/‖W‖_F − M̃/‖M̃‖_F‖_F²", f"{PAPYAN}, Fig. 5"),
    "nc3_wh": Definition("‖WM̃ᵀ/‖WM̃ᵀ‖_F − (I − 11ᵀ/K)/√(K−1)‖_F", ZHU),
    "nc3_uniform": Definition("population variance over k of ⟨w_k/‖w_k‖, μ̂_k⟩", WU),
    "nc4": Definition("share of samples with argmax z ≠ argmin_k ‖h − μ_k‖, train-split means", f"{PAPYAN}, Fig. 7"),
    "nc4_bias": Definition("‖Wμ_G + b‖₂", "Zhou et al. 2022"),
    "loss": Definition("the training objective; a mean over clean data, or over an epoch's own batches while training"),
    "nll": Definition("mean cross-entropy of softmax(z), in nats"),
    "accuracy": Definition("share of samples with argmax z = y; while training, of the label with the larger share"),
    "ncc_accuracy": Definition("share of samples with argmin_k ‖h − μ_k‖ = y, train-split means"),
    "lr": Definition("the learning rate of the epoch's last step"),
    "mix_same_alignment": Definition("mean cos(h − μ_G, w_y − w̄) over mixtures within a class", FISHER),
    "mix_amplification": Definition(
        "mean ⟨h − μ_G, u⟩ over mixtures of two classes at λ = ½, over ‖½(μ̃_i + μ̃_j)‖, u its direction; "
        "a convex combination of features gives 1",
        FISHER,
    ),
    "mix_logit_slope": Definition("slope of z_i − z_j on logit(λ) through the origin", FISHER),
    "mix_logit_corr": Definition("correlation of z_i − z_j with logit(λ)", FISHER),
    "mix_ufm_residual": Definition(
        "relative distance of the mean mixed features to the optimum of the unconstrained-features model", FISHER
    ),
}
