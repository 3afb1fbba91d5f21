"""An experiment as a file that is made while it is sent: a zip that another service imports, or a pickle.

The zip is a run directory as `ncmix train` writes one, with the experiment's row, events and log beside it. Last comes
the manifest, with the SHA-256 of every other file. `ncmix plot` draws from the folder it unpacks to.
"""

import csv
import hashlib
import io
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import yaml

from ncmix import __version__
from ncmix.jobs import queries
from ncmix.jobs.archive import Archive
from ncmix.jobs.chunks import Source
from ncmix.jobs.database import Database
from ncmix.jobs.files import Bytes, Npy, Npz
from ncmix.jobs.selecting import select
from ncmix.jobs.streamed_pickle import Later, pickled
from ncmix.jobs.tables import Event, Experiment
from ncmix.results import MetricRow
from ncmix.rundir import COLUMNS, FORMAT

EXPORT = "ncmix export 1"
# The columns of an experiment that are its own story, not that of the service it ran on.
STORY = (
    *("id", "parent_id", "queue", "priority", "state", "created", "not_before", "started", "finished", "attempt"),
    *("fence", "worker", "reason_code", "reason_message", "epoch", "step", "steps", "progressed", "epoch_seconds"),
    *("latest", "revision", "feature_bytes", "gpu_bytes"),
)
EVENT = ("at", "kind", "state", "fence", "data")
_LOG_PIECE = 2**20


@dataclass(frozen=True)
class Exported:
    """All of an experiment but its log and its arrays, as it was at one moment."""

    database: Database
    experiment: Experiment
    metrics: Sequence[MetricRow]
    events: Sequence[Event]
    sources: Sequence[Source]

    @classmethod
    def of(cls, database: Database, experiment_id: str) -> "Exported":
        """The experiment of this id as it is now.

        Raises:
            UnknownExperimentError: there is none.
        """
        with database.reading() as session:
            experiment = queries.get(session, experiment_id)
            return cls(
                database,
                experiment,
                queries.metrics(session, experiment_id),
                queries.events(session, experiment_id, limit=2**31 - 1),
                [Source.of(session, database, kept) for kept in queries.feature_sets(session, experiment_id)],
            )

    def zip(self) -> Iterator[bytes]:
        """The archive, piece by piece.

        Raises:
            DamagedSetError: a set was deleted meanwhile, or is not as it was written.
        """
        archive, files = Archive(), dict[str, dict[str, Any]]()
        for name, content in self._files():
            yield from archive.add(name, _told(files, name, content))
        manifest = {**self.manifest(), "files": files}
        yield from archive.add("manifest.json", [_json(manifest)])
        yield from archive.end()

    def pickle(self) -> Iterator[Bytes]:
        """What `ncmix train` writes as run.pkl, array by array."""
        sets = [
            {
                "epoch": s.kept.epoch,
                "name": s.kept.name,
                "facts": s.kept.facts,
                "arrays": {n: Later(c.dtype, c.shape, _content(s, n)) for n, c in s.columns.items()},
            }
            for s in self.sources
        ]
        metrics = {column: [getattr(row, column) for row in self.metrics] for column in COLUMNS}
        return pickled({"format": FORMAT, "manifest": self.manifest(), "metrics": metrics, "sets": sets})

    def manifest(self) -> dict[str, Any]:
        """What must be known to repeat it, and its row."""
        ran = next((e.data["ran_on"] for e in reversed(self.events) if "ran_on" in e.data), {})
        return {
            "format": EXPORT,
            "title": self.experiment.title,
            "key": self.experiment.key,
            "spec": self.experiment.spec,
            "seed": self.experiment.spec.get("seed"),
            "exported_by": f"ncmix {__version__}",
            **ran,
            "experiment": {name: getattr(self.experiment, name) for name in STORY},
        }

    def _files(self) -> Iterator[tuple[str, Iterable[Bytes]]]:
        yield "spec.yaml", [yaml.safe_dump(self.experiment.spec, sort_keys=False, allow_unicode=True).encode()]
        yield "metrics.csv", [as_csv(self.metrics)]
        yield "metrics.parquet", [as_parquet(self.metrics)]
        yield "events.json", [_json([{name: getattr(e, name) for name in EVENT} for e in self.events])]
        yield "log.txt", self._log()
        for source in self.sources:
            stem = f"arrays/epoch-{source.kept.epoch:05d}-{source.kept.name}"
            rows = select(source, None, None)
            yield f"{stem}.npz", Npz([Npy(source, column, rows) for column in source.columns.values()]).read(0, None)
            if source.kept.facts:
                yield f"{stem}.json", [_json(source.kept.facts)]

    def _log(self) -> Iterator[bytes]:
        """As far as it went when the rest was read."""
        for offset in range(0, self.experiment.log_bytes, _LOG_PIECE):
            limit = min(_LOG_PIECE, self.experiment.log_bytes - offset)
            with self.database.reading() as session:
                yield queries.log(session, self.experiment.id, offset, limit).data


def as_csv(rows: Sequence[MetricRow]) -> bytes:
    """Metrics as a table of epoch, split, name and value; an undefined value is empty."""
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    writer.writerows((r.epoch, r.split, r.name, "" if r.value is None else repr(r.value)) for r in rows)
    return text.getvalue().encode()


def as_parquet(rows: Sequence[MetricRow]) -> bytes:
    """The same as Parquet, with the notes that say why a value is undefined."""
    types = {"epoch": pa.int32(), "split": pa.string(), "name": pa.string(), "value": pa.float64(), "note": pa.string()}
    table = pa.table({name: pa.array([getattr(r, name) for r in rows], kind) for name, kind in types.items()})
    buffer = pa.BufferOutputStream()
    pq.write_table(table, buffer)
    return buffer.getvalue().to_pybytes()


def _content(source: Source, name: str) -> Iterator[Bytes]:
    column = source.columns[name]
    npy = Npy(source, column, select(source, None, None))
    return npy.read(len(npy.header), None)


def _told(files: dict[str, dict[str, Any]], name: str, content: Iterable[Bytes]) -> Iterator[Bytes]:
    """The content, and at its end its length and digest among `files`."""
    digest, size = hashlib.sha256(), 0
    for piece in content:
        digest.update(piece)
        size += len(piece)
        yield piece
    files[name] = {"bytes": size, "sha256": digest.hexdigest()}


def _json(value: Any) -> bytes:
    return json.dumps(value, indent=1, ensure_ascii=False).encode()
