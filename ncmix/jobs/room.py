"""How many bytes the features of an experiment will take, and whether there is room for them."""

import shutil
from pathlib import Path
from urllib.parse import unquote, urlsplit

from sqlalchemy import func, make_url, select
from sqlalchemy.orm import Session

from ncmix.errors import NcmixError
from ncmix.jobs.settings import Settings
from ncmix.jobs.states import LIVE
from ncmix.jobs.tables import Experiment, FeatureSet
from ncmix.spec import Spec
from ncmix.spec.data import Facts, class_sizes, facts

# Of models of timm only a worker knows: what most of the large ones have.
_USUAL_DIMENSION = 2048
_PAIRS = 6


class NoRoomError(NcmixError, RuntimeError):
    """Features are expected to take more bytes than there are; the message is a sentence that names both."""


def expected(spec: Spec) -> int:
    """About how many bytes will be kept of all epochs; of an image folder, which only a worker can see, 0.

    Little that is kept besides (of each measured epoch a summary and the probe's points) is counted too.
    """
    known = facts(spec.dataset)
    if known is None:
        return 0
    measured = len(spec.measured_epochs)
    epochs = {"none": 0, "last": min(1, measured), "measured": measured}[spec.features.keep]
    return epochs * _features(spec, known) + measured * _summaries(spec, known)


def check(session: Session, settings: Settings) -> None:
    """Make sure that all that is on record or expected has room; to be asked within the transaction that submits.

    Raises:
        NoRoomError: it has not.
    """
    coming = session.scalar(select(func.sum(Experiment.feature_bytes)).where(Experiment.state.in_(LIVE))) or 0
    if (quota := settings.feature_quota) is not None:
        kept = session.scalar(select(func.sum(FeatureSet.size))) or 0
        if kept + coming > quota:
            raise NoRoomError(
                f"Features take {kept:,} bytes, and with this one those that are queued or running are expected to "
                f"take {coming:,} more; NCMIX_FEATURE_QUOTA allows {quota:,}."
            )
    folder = _folder(settings)
    if folder and coming > (free := shutil.disk_usage(folder).free):
        raise NoRoomError(
            f"With this one the features of what is queued or running are expected to take {coming:,} bytes; "
            f"{folder} has {free:,} left."
        )


def _features(spec: Spec, known: Facts) -> int:
    """Of one epoch whose features are kept: H and y of each split, W and b, and those of mixtures."""
    number = 2 if spec.features.dtype == "float16" else 4
    dimension = spec.model.feature_dim or _USUAL_DIMENSION
    samples = sum(_kept(spec, known, split) for split in spec.measure.splits)
    mixtures = _PAIRS * spec.measure.geometry.per_pair if spec.measure.geometry else 0
    classifier = 4 * known.classes * (dimension + 1)
    return samples * (number * dimension + 8) + mixtures * (number * dimension + 4 + 8 + 8) + classifier


def _kept(spec: Spec, known: Facts, split: str) -> int:
    """Samples of a split."""
    each = (known.train if split == "train" else known.test) // known.classes
    sizes = class_sizes(spec.dataset, (each,) * known.classes) if split == "train" else (each,) * known.classes
    most = spec.features.max_per_class
    return sum(size if most is None else min(size, most) for size in sizes)


def _summaries(spec: Spec, known: Facts) -> int:
    """Of one measured epoch."""
    points = _PAIRS * spec.measure.geometry.per_pair * (8 + 4 + 8 + 8) if spec.measure.geometry else 0
    square = 5 * 4 * min(known.classes, 100) ** 2
    return points + square + 4 * 4 * (spec.model.feature_dim or _USUAL_DIMENSION)


def _folder(settings: Settings) -> Path | None:
    """Where the bytes will lie on a disk that this process can see."""
    if settings.feature_store.startswith("file://"):
        return _there(Path(unquote(urlsplit(settings.feature_store).path)))
    database = make_url(settings.database_url)
    if settings.feature_store == "sql" and database.get_backend_name() == "sqlite" and database.database:
        return _there(Path(database.database).parent)
    return None


def _there(folder: Path) -> Path:
    return next(path for path in (folder, *folder.parents) if path.exists())
