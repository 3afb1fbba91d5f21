"""How long a picture takes, cold and from memory: `python -m benchmarks.plots`; tables, and build/bench/plots.json.

Cold is everything but the import of matplotlib, which the service does as it starts: reading the record, drawing, the
file. No picture is asked for cold twice: the runs come in another order, or a sweep's picture in other dots. Letters
that an earlier picture had are known by then, as in any service that has been asked before. The record,
on SQLite in a temporary folder, holds 20 runs of 500 epochs, every metric measured at each of them
and what else plots show at the 14 epochs at which Fisher et al. looked; and a sweep of 1,000 short runs.
"""

import argparse
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from statistics import median
from tempfile import TemporaryDirectory
from time import perf_counter

from fastapi.testclient import TestClient
from sqlalchemy import insert, update
from sqlalchemy.orm import Session

from api.app import create
from benchmarks import report
from benchmarks.report import Table
from ncmix.jobs import curves, lifecycle, recording, sweeps
from ncmix.jobs.database import Database
from ncmix.jobs.migrate import migrate
from ncmix.jobs.settings import Settings
from ncmix.jobs.tables import Experiment, MetricValue
from ncmix.plots import FORMATS, PLOTS, warm
from ncmix.results import MetricRow, Snapshot
from ncmix.spec import expand, parse, parse_sweep
from tests.ncmix.plots import synthetic

LOOKED = (1, 3, 5, 9, 17, 33, 65, 129, 201, 251, 301, 351, 401, 500)
COLD, KEPT = 400.0, 5.0
_SPEC = {"dataset": "digits", "model": "mlp"}
# A new row is inserted for each value: so many at once.
_AT_ONCE = 100_000

Row = tuple[str | float, ...]


def compared(database: Database, settings: Settings, runs: int, epochs: int) -> list[str]:
    """Put runs on record of which everything was measured; gives their ids."""
    return [_whole(database, settings, seed, epochs) for seed in range(runs)]


def _whole(database: Database, settings: Settings, seed: int, epochs: int) -> str:
    # Runs that differ in every number, as real ones do: equal ones would be written once.
    own = 1 + seed / 100
    told = synthetic.run(epochs=epochs, mixup=True).rows
    rows = [replace(row, value=None if row.value is None else own * row.value) for row in told]
    with database.transaction() as session:
        lifecycle.submit(session, parse({**_SPEC, "epochs": epochs, "seed": seed}), "cpu")
    with database.transaction() as session:
        claim = lifecycle.claim(session, ["cpu"], "benchmark", settings)
    if claim is None:
        raise RuntimeError("The experiment of the benchmark cannot be claimed.")
    for epoch in (e for e in LOOKED if e <= epochs):
        done = epoch / epochs / own
        probe = synthetic.probe(channel=0.5 * done, scale=7 * own + done)
        kept = (probe, synthetic.summary(done), synthetic.spread(done, 512))
        recording.record(database, claim.lease, Snapshot(epoch, (), tuple(each.to_set() for each in kept)))
    with database.transaction() as session:
        _values(session, {claim.lease.experiment_id: rows})
        lifecycle.finish(session, claim.lease)
    curves.keep(database, claim.lease.experiment_id)
    return claim.lease.experiment_id


def swept(database: Database, settings: Settings, seeds: int) -> str:
    """Put a sweep on record, with and without mixup, all of which has succeeded; gives its id."""
    definition = parse_sweep({"base": {**_SPEC, "epochs": 10}, "grid": {"mix": ["none", "mixup"]}, "seeds": seeds})
    rows = synthetic.run(epochs=10).rows
    with database.transaction() as session:
        filled = sweeps.submit(session, definition, expand(definition), settings)
        ids = [experiment.id for experiment in filled.made]
        _values(session, dict.fromkeys(ids, rows))
        session.execute(update(Experiment).values(state="succeeded", epoch=10).where(Experiment.id.in_(ids)))
    for experiment_id in ids:
        curves.keep(database, experiment_id)
    return filled.sweep.id


def _values(session: Session, runs: Mapping[str, Sequence[MetricRow]]) -> None:
    columns = ("epoch", "split", "name", "value")
    rows = [
        {"experiment_id": experiment_id, **{c: getattr(row, c) for c in columns}, "note": ""}
        for experiment_id, of_it in runs.items()
        for row in of_it
    ]
    for first in range(0, len(rows), _AT_ONCE):
        session.connection().execute(insert(MetricValue), rows[first : first + _AT_ONCE])


def drawn(
    client: TestClient, asked: Callable[[int], str], names: Sequence[str], kinds: Sequence[str], repeats: int
) -> Iterator[Row]:
    """A row a file: median milliseconds cold, from memory, and if the client has it; each repeat asks otherwise."""
    for name, kind in ((name, kind) for name in names for kind in kinds):
        cold, again, known = [], [], []
        for repeat in range(repeats):
            address = f"/api/v1/compare/plots/{name}.{kind}?{asked(repeat)}"
            cold.append(_milliseconds(lambda a=address: client.get(a).raise_for_status()))
            tag = client.get(address).headers["etag"]
            again.append(_milliseconds(lambda a=address: client.get(a).raise_for_status()))
            known.append(_milliseconds(lambda a=address, t=tag: client.get(a, headers={"If-None-Match": t})))
        yield f"{name}.{kind}", median(cold), COLD, median(again), KEPT, median(known)


def _milliseconds(action: Callable[[], object]) -> float:
    start = perf_counter()
    action()
    return 1000 * (perf_counter() - start)


def tables(runs: int, epochs: int, seeds: int, repeats: int) -> Iterator[Table]:
    """Comparisons of whole runs, then pictures of a sweep."""
    columns = ("plot", "cold", "goal", "from memory", "goal", "304")
    with TemporaryDirectory(prefix="ncmix-bench-") as folder:
        settings = Settings.from_environment({"NCMIX_HOME": folder})
        migrate(settings.database_url)
        database = Database(settings.database_url)
        ids = compared(database, settings, runs, epochs)
        sweep = swept(database, settings, seeds)
        database.dispose()
        with TestClient(create(settings), base_url="http://localhost") as client:
            warm()
            title = f"A comparison of {runs} runs × {epochs} epochs, milliseconds; medians of {repeats}"
            yield Table(title, columns, list(drawn(client, _turned(ids), list(PLOTS), FORMATS, repeats)))
            title = f"A sweep of {2 * seeds:,} runs × 10 epochs in two groups, milliseconds; medians of {repeats}"
            plots, kinds = ("nc", "curves"), ("png", "json")
            yield Table(title, columns, list(drawn(client, _of_sweep(sweep), plots, kinds, repeats)))


def _turned(ids: Sequence[str]) -> Callable[[int], str]:
    return lambda repeat: f"ids={','.join([*ids[repeat:], *ids[:repeat]])}"


def _of_sweep(sweep: str) -> Callable[[int], str]:
    return lambda repeat: f"sweep={sweep}&group_by=mix.kind&dpi={160 + repeat}"


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.plots", description=__doc__)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--quick", action="store_true", help="tiny sizes: whether it runs, not how fast")
    asked = parser.parse_args()
    runs, epochs, seeds = (2, 5, 2) if asked.quick else (20, 500, 500)
    made: list[Table] = []
    for table in tables(runs, epochs, seeds, asked.repeats):
        made.append(table)
        report.show(table)
        report.write("plots", made, repeats=asked.repeats, quick=asked.quick)


if __name__ == "__main__":
    main()
