"""What specs will take before any of them runs: time and checkpoints as those on record took, features by count."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from ncmix.jobs.tables import CheckpointFile, Experiment
from ncmix.spec import Spec, workload

# What a pace is known of: dataset and model.
Kind = tuple[str, str]


@dataclass(frozen=True)
class Estimate:
    """Sums over specs; where a number is None the sentence says why.

    Attributes:
        seconds: of training, one after the other, at the mean pace of finished runs of the same dataset and model.
        feature_bytes: of the kept last-layer features.
        checkpoint_bytes: of the checkpoints that stay, at the mean of finished runs of the same dataset and model.
    """

    seconds: float | None
    seconds_reason: str | None
    feature_bytes: int | None
    feature_bytes_reason: str | None
    checkpoint_bytes: int | None
    checkpoint_bytes_reason: str | None


def estimate(session: Session, specs: Sequence[Spec]) -> Estimate:
    """What these specs will take together."""
    paces, checkpoints = _paces(session), _checkpoints(session)
    seconds, slow = _summed([(_kind(spec), spec.epochs) for spec in specs], paces, "tells a pace")
    held, large = _summed([(_kind(spec), 1) for spec in specs], checkpoints, "has checkpoints on record")
    features, unknown = _features(specs)
    return Estimate(seconds, slow, features, unknown, None if held is None else round(held), large)


def _kind(spec: Spec) -> Kind:
    return spec.dataset.kind, spec.model.kind


def _summed(wanted: Sequence[tuple[Kind, int]], each: dict[Kind, float], what: str) -> tuple[float | None, str | None]:
    unknown = sorted({kind for kind, _ in wanted} - each.keys())
    if unknown:
        dataset, model = unknown[0]
        others = f", nor of {len(unknown) - 1} other kinds" if len(unknown) > 1 else ""
        return None, f"No finished run of {dataset} with {model} {what}{others}."
    return float(sum(each[kind] * times for kind, times in wanted)), None


def _paces(session: Session) -> dict[Kind, float]:
    """Seconds an epoch."""
    query = (
        select(Experiment.dataset, Experiment.model, func.avg(Experiment.epoch_seconds))
        .where(Experiment.state == "succeeded", Experiment.epoch_seconds.is_not(None))
        .group_by(Experiment.dataset, Experiment.model)
    )
    return {(dataset, model): float(pace) for dataset, model, pace in session.execute(query)}


def _checkpoints(session: Session) -> dict[Kind, float]:
    """Bytes of checkpoints an experiment."""
    size, runs = func.sum(CheckpointFile.size), func.count(CheckpointFile.experiment_id.distinct())
    query = (
        select(Experiment.dataset, Experiment.model, size, runs)
        .join(CheckpointFile, CheckpointFile.experiment_id == Experiment.id)
        .where(Experiment.state == "succeeded")
        .group_by(Experiment.dataset, Experiment.model)
    )
    return {(dataset, model): float(total) / count for dataset, model, total, count in session.execute(query)}


def _features(specs: Sequence[Spec]) -> tuple[int | None, str | None]:
    total = 0
    for spec in specs:
        size = workload(spec).feature_bytes
        if size is None:
            return None, f"Only a worker sees how many features {spec.dataset.kind} with {spec.model.kind} has."
        total += size
    return total, None
