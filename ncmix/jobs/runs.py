"""An experiment as a `Run` whose parts are read when a plot asks for them, and no more of them than it can show."""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Generic, TypeVar

from sqlalchemy import ColumnElement, Integer, func, literal, select
from sqlalchemy.orm import Session, aliased

from ncmix.jobs import features
from ncmix.jobs.curves import Curves, Reader
from ncmix.jobs.tables import Experiment, FeatureSet, MetricValue
from ncmix.results import ArraySet, Probe, Run, Spectra, Summary

T = TypeVar("T")

# Of every curve at least so many points, however many curves there are; of more runs than `_MANY`, which are drawn as
# means over groups of them, fewer do.
_FEWEST, _FEWEST_OF_MANY = 100, 25
_MANY = 200

# Most curves are of two splits.
_SPLITS = 2

# Bytes of array sets of one name that are read together.
_TOGETHER = 4 * 2**20


@dataclass(frozen=True)
class Recorded(Run):
    """A run on record, to be used while its session is open."""

    read: Callable[[], Curves] = dict

    @cached_property
    def curves(self) -> Curves:
        """See Run.curves."""
        return self.read()


def recorded(
    session: Session, experiments: Sequence[Experiment], metrics: Sequence[str], most: int | None
) -> list[Recorded]:
    """Experiments as runs with these metrics; their arrays are read one by one as they are asked for.

    Args:
        session: stays open until the runs have been used.
        experiments: the rows.
        metrics: names of curves; of others there will be none.
        most: points of all curves together, about; beyond it evenly spaced epochs are left out. None for all of them.
    """
    wanted = max(1, len(experiments) * len(metrics) * _SPLITS)
    fewest = _FEWEST if len(experiments) <= _MANY else _FEWEST_OF_MANY
    each = None if most is None else max(fewest, most // wanted)
    # Runs that are as far and are measured by the same rule have the same epochs.
    known: dict[tuple[int, str], tuple[list[int] | None, int]] = {}
    reader = Reader(session, [experiment.id for experiment in experiments], metrics)
    return [_recorded(session, experiment, metrics, each, known, reader) for experiment in experiments]


def _recorded(
    session: Session,
    experiment: Experiment,
    metrics: Sequence[str],
    most: int | None,
    known: dict[tuple[int, str], tuple[list[int] | None, int]],
    reader: Reader,
) -> Recorded:
    epochs, every = None, 1
    if metrics and most is not None and experiment.epoch > most:
        rule = experiment.epoch, repr(experiment.spec.get("measure"))
        if rule not in known:
            known[rule] = _thinned(_measured(session, experiment.id), most)
        epochs, every = known[rule]
    return Recorded(
        experiment.title,
        experiment.spec,
        (),
        Sets(session, experiment.id, "geometry", _probe),
        Sets(session, experiment.id, "summary", _summary),
        Sets(session, experiment.id, "spectrum", _spectra),
        every,
        lambda: reader.read(experiment.id, epochs),
    )


def _thinned(epochs: list[int], most: int) -> tuple[list[int] | None, int]:
    """Every n-th of the epochs, and the last; None for all of them."""
    every = -(-len(epochs) // most)
    return (sorted({*epochs[::every], epochs[-1]}), every) if every > 1 else (None, 1)


def _measured(session: Session, experiment_id: str) -> list[int]:
    """The epochs with a metric, increasing: by asking for the next one again and again, not by reading all rows."""
    of_it = MetricValue.experiment_id == experiment_id
    first = select(func.min(MetricValue.epoch).label("epoch")).where(of_it).cte("steps", recursive=True)
    further = aliased(MetricValue)
    following = (
        select(func.min(further.epoch))
        .where(further.experiment_id == literal(experiment_id), further.epoch > first.c.epoch)
        .scalar_subquery()
    )
    steps = first.union_all(select(func.cast(following, Integer)).where(first.c.epoch.is_not(None)))
    return [epoch for epoch in session.scalars(select(steps.c.epoch)) if epoch is not None]


class Sets(Mapping[int, T], Generic[T]):
    """The array sets of one name by epoch, each read when it is asked for: a picture needs few of many."""

    def __init__(self, session: Session, experiment_id: str, name: str, make: Callable[[ArraySet], T]) -> None:
        self._session, self._make, self._known = session, make, dict[int, T]()
        self._experiment_id, self._name = experiment_id, name

    @cached_property
    def _which(self) -> tuple[ColumnElement[bool], ...]:
        """Made when it is wanted: of a thousand runs few plots want any."""
        return (
            FeatureSet.experiment_id == self._experiment_id,
            FeatureSet.name == self._name,
            FeatureSet.state == "complete",
        )

    @cached_property
    def _sizes(self) -> dict[int, int]:
        """Bytes by epoch, increasing."""
        query = select(FeatureSet.epoch, FeatureSet.size).where(*self._which).order_by(FeatureSet.epoch)
        return dict(self._session.execute(query).all())

    def __iter__(self) -> Iterator[int]:
        """The epochs, increasing."""
        return iter(self._sizes)

    def __len__(self) -> int:
        """How many there are."""
        return len(self._sizes)

    def __getitem__(self, epoch: int) -> T:
        """What is on record of that epoch."""
        if epoch not in self._known:
            self._read([epoch])
        return self._known[epoch]

    def fetch(self, epochs: Collection[int]) -> None:
        """See Fetching.fetch."""
        missing = [epoch for epoch in epochs if epoch in self._sizes and epoch not in self._known]
        if missing and sum(self._sizes[epoch] for epoch in missing) <= _TOGETHER:
            self._read(missing)

    def _read(self, epochs: Collection[int]) -> None:
        kept = self._session.scalars(select(FeatureSet).where(*self._which, FeatureSet.epoch.in_(epochs))).all()
        sets = features.read_all(self._session, kept)
        self._known |= {each.epoch: self._make(arrays) for each, arrays in zip(kept, sets, strict=True)}


def epochs(session: Session, experiment_id: str) -> dict[str, list[int]]:
    """The epochs of which array sets are complete, increasing, by the sets' name."""
    query = select(FeatureSet.name, FeatureSet.epoch).where(
        FeatureSet.experiment_id == experiment_id, FeatureSet.state == "complete"
    )
    found: dict[str, list[int]] = {}
    for name, epoch in session.execute(query.order_by(FeatureSet.epoch)):
        found.setdefault(name, []).append(epoch)
    return found


def _probe(kept: ArraySet) -> Probe:
    return Probe.from_set(kept.arrays, kept.facts)


def _summary(kept: ArraySet) -> Summary:
    return Summary.from_set(kept.arrays, kept.facts)


def _spectra(kept: ArraySet) -> Spectra:
    return Spectra.from_set(kept.arrays, kept.facts)
