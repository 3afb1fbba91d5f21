"""Measures a network between epochs: clean data, eval mode, float32, on the splits and at the epochs the spec names."""

import time
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ncmix import geometry, losses, metrics, mix, stats, summaries
from ncmix.datasets.base import Data, Split
from ncmix.losses import Outputs, PerSample
from ncmix.models import Network
from ncmix.numerics import arithmetic
from ncmix.ranks import Ranks
from ncmix.results import ArraySet, Metric, MetricSplit, Probe
from ncmix.spec import Geometry, Spec
from ncmix.stats import Statistics

BATCH = 1000

# Batches of a run from which on cuDNN may search: for ResNet-18 on an H200 it takes 3 s, and takes a third off each.
_SEARCHED_FROM = 1000

# The probe has a stream of its own: measuring never moves the training's, and every epoch sees the same mixtures.
PROBE_STREAM = 1


# The metrics of an epoch, and the array sets that are kept of it.
Measured = tuple[tuple[Metric, ...], tuple[ArraySet, ...]]


class Measurer:
    """Knows when to measure and what to keep; the network it watches is left as it was found."""

    def __init__(self, spec: Spec, data: Data, network: Network, loss: PerSample, ranks: Ranks | None = None) -> None:
        self.ranks = ranks or Ranks()
        self.spec, self.data, self.network, self.loss = spec, data, network, loss
        self.splits = {"train": data.train, "test": data.test}
        batches = sum(-(-len(self.splits[name]) // BATCH) for name in {"train", *spec.measure.splits})
        self._searching = batches * len(spec.measured_epochs) >= _SEARCHED_FROM

    def at(self, epoch: int, seconds: float) -> Generator[None, None, Measured]:
        """The metrics and the array sets of this epoch; both empty if it is not to be measured.

        Yields every `seconds` while it reads the data, so that whoever iterates can stop.
        """
        if epoch not in self.spec.measured_epochs:
            return (), ()
        features: dict[str, Tensor] = {}
        for name in ("train", *self.spec.measure.splits):
            if name not in features:
                features[name] = yield from self._features(self.splits[name], seconds)
        with self._looking():
            last = epoch == self.spec.measured_epochs[-1]
            statistics, means_KD = self._statistics(features)
            found, sets = self._measure(features, statistics, means_KD, keep=self._keeps(epoch))
            return found, (*sets, *self._summaries(features, statistics, last=last))

    def _keeps(self, epoch: int) -> bool:
        keep = self.spec.features.keep
        return keep == "measured" or (keep == "last" and epoch == self.spec.measured_epochs[-1])

    def _statistics(self, features: dict[str, Tensor]) -> tuple[dict[str, Statistics], Tensor]:
        """Of every measured split, and the class means (K, D) of the training split, which tell what is nearest."""
        found: dict[str, Statistics] = {}
        if "train" in self.spec.measure.splits:
            found["train"] = self._of("train", features["train"], None)
            means_KD = found["train"].means.mean_KD
        else:
            means_KD = metrics.class_means(features["train"], self.data.train.y, len(self.data.classes))
        for name in self.spec.measure.splits:
            if name not in found:
                found[name] = self._of(name, features[name], means_KD)
        return {name: found[name] for name in self.spec.measure.splits}, means_KD

    def _of(self, name: str, h_ND: Tensor, means_KD: Tensor | None) -> Statistics:
        chunks, extras = [(h_ND, self.splits[name].y)], stats.Extras(temperature=name == "test")
        return stats.statistics(chunks, *self._classifier(), means_KD, extras)

    def _classifier(self) -> tuple[Tensor, Tensor | None]:
        bias = self.network.bias
        return self.network.weight.detach(), None if bias is None else bias.detach()

    def _measure(
        self, features: dict[str, Tensor], statistics: dict[str, Statistics], means_KD: Tensor, keep: bool
    ) -> Measured:
        found: list[Metric] = []
        for name in self.spec.measure.splits:
            found += self._split(name, features[name], self.splits[name].y, statistics[name])
        sets = [self._kept(name, features[name], self.splits[name].y) for name in self.spec.measure.splits if keep]
        if keep:
            sets.append(_classifier(self.network))
        if wanted := self.spec.measure.geometry:
            probe, scalars = self._probe(wanted, means_KD, keep)
            found += scalars
            sets.append(probe.to_set())
            if probe.features is not None:
                sets.append(_mixed(probe, _narrow(probe.features, self.spec.features.dtype)))
        return tuple(found), tuple(sets)

    def _summaries(
        self, features: dict[str, Tensor], statistics: dict[str, Statistics], *, last: bool
    ) -> tuple[ArraySet, ...]:
        classifier = summaries.Classifier(*self._classifier(), self.data.classes, self._softmax)
        measured = {name: (features[name], self.splits[name].y) for name in self.spec.measure.splits}
        return summaries.summarise(measured, statistics, classifier, last=last)

    def _features(self, split: Split, seconds: float) -> Generator[None, None, Tensor]:
        """(N, D) last-layer features of a split, in float32 on the device; each rank computes a part of them."""
        rows = self.ranks.of(len(split))
        batches, parts = split.batches(BATCH, *self._order(rows)), list[Tensor]()
        while len(parts) * BATCH < rows.stop - rows.start:
            with self._looking(self._searching):
                parts += self._forward(batches, seconds)
            yield
        return self.ranks.joined(torch.cat(parts), len(split))

    def _order(self, rows: slice) -> tuple[Tensor, ...]:
        """The numbers of some samples; none for all of them, which are not gathered then."""
        return () if self.ranks.count == 1 else (torch.arange(rows.start, rows.stop, device=self.data.device),)

    def _forward(self, batches: Iterator[tuple[Tensor, Tensor]], seconds: float) -> Iterator[Tensor]:
        """Features of the next batches, until there are no more or `seconds` are over; of one batch at least."""
        deadline = time.perf_counter() + seconds
        for x_B, _ in batches:
            yield self.network(self.data.normalize(x_B))[0].float()
            if time.perf_counter() > deadline:
                return

    @contextmanager
    def _looking(self, searching: bool = False) -> Iterator[None]:
        """Within: no gradients, eval mode, and the arithmetic of the spec; afterwards all is as it was."""
        precision, training = self.spec.measure.precision, self.network.training
        self.network.eval()
        try:
            with (
                torch.no_grad(),
                arithmetic("tf32" if precision == "tf32" else "ieee", self.spec.deterministic, searching),
                torch.autocast(self.data.device.type, torch.bfloat16, enabled=precision == "bf16"),
            ):
                yield
        finally:
            self.network.train(training)

    @property
    def _softmax(self) -> bool:
        return self.spec.loss.kind in losses.SOFTMAX

    def _split(self, name: MetricSplit, h_ND: Tensor, y_N: Tensor, statistics: Statistics) -> tuple[Metric, ...]:
        table = metrics.tabulate(name, statistics, self._softmax)
        table = (Metric(name, "loss", self._loss(h_ND, y_N)), *table)
        if self.spec.measure.precision == "fp32":
            return table
        return tuple(replace(m, note=m.note or f"features in {self.spec.measure.precision}") for m in table)

    def _loss(self, h_ND: Tensor, y_N: Tensor) -> float:
        """The training objective on clean data, a mean over the split.

        In batches of about the training's size, whose rows are strided over the split: a contrastive loss depends on
        both, and data may be sorted by class.
        """
        total = torch.zeros((), dtype=torch.float64, device=h_ND.device)
        batches = max(1, len(y_N) // self.spec.batch_size)
        for h_BD, y_B in ((h_ND[i::batches], y_N[i::batches]) for i in range(batches)):
            outputs = Outputs(h_BD, self.network.head(h_BD), self.network.weight)
            total += self.loss(outputs, mix.one_hot(y_B, len(self.data.classes))).sum(dtype=torch.float64)
        return float(total / len(y_N))

    def _probe(self, wanted: Geometry, means_KD: Tensor, keep: bool) -> tuple[Probe, tuple[Metric, ...]]:
        draws = mix.Draws.seeded(self.spec.seed, self.data.device, stream=PROBE_STREAM)
        centre_D = means_KD.mean(0)
        return geometry.run_probe(self.network, self.data, wanted, centre_D, means_KD, draws, keep=keep)

    def _kept(self, name: str, h_ND: Tensor, y_N: Tensor) -> ArraySet:
        rows = _first_of_each_class(y_N.cpu().numpy(), self.spec.features.max_per_class)
        kept = h_ND[torch.from_numpy(rows).to(h_ND.device)].cpu().numpy()
        return ArraySet(name, {"H": _narrow(kept, self.spec.features.dtype), "y": y_N.cpu().numpy()[rows]})


def _first_of_each_class(y_N: NDArray[np.int64], most: int | None) -> NDArray[np.int64]:
    """The rows of the first `most` samples of every class, in the order of the data."""
    if most is None:
        return np.arange(len(y_N))
    by_class = np.argsort(y_N, kind="stable")
    starts = np.searchsorted(y_N[by_class], y_N[by_class])
    return np.sort(by_class[np.arange(len(y_N)) - starts < most])


def _narrow(h_ND: NDArray[np.float32], dtype: str) -> NDArray[np.floating]:
    """In the kept precision; float32 stays where float16 (at most 65,504) would overflow."""
    overflows = np.abs(h_ND, where=np.isfinite(h_ND), out=np.zeros_like(h_ND)).max(initial=0) > np.finfo(np.float16).max
    return h_ND if dtype == "float32" or overflows else h_ND.astype(np.float16)


def _mixed(probe: Probe, h_PD: NDArray[np.floating]) -> ArraySet:
    """The mixtures of the probe's picture: features, λ and the two classes of each."""
    arrays = {"H": h_PD, "lam": probe.lam, "first": probe.first, "second": probe.second}
    return ArraySet("mixed", arrays, {"mode": probe.mode})


def _classifier(network: Network) -> ArraySet:
    arrays = {"W": network.weight.detach().float().cpu().numpy()}
    if network.bias is not None:
        arrays["b"] = network.bias.detach().float().cpu().numpy()
    return ArraySet("classifier", arrays)
