"""How long a picture takes, cold and from memory: `python -m benchmarks.plots`; a table, and build/bench/plots.json.

Cold is everything but the import of matplotlib, which the service does as it starts: reading the record, drawing, the
file. The record holds 20 runs of 500 epochs, every metric measured at each of them, on SQLite in a temporary folder.
"""

from collections.abc import Callable
from statistics import median
from tempfile import TemporaryDirectory
from time import perf_counter

from fastapi.testclient import TestClient
from sqlalchemy import insert, update
from sqlalchemy.orm import Session

from api.app import create
from benchmarks import report
from ncmix.jobs import lifecycle
from ncmix.jobs.database import Database
from ncmix.jobs.migrate import migrate
from ncmix.jobs.settings import Settings
from ncmix.jobs.tables import Experiment, MetricValue
from ncmix.plots import FORMATS, warm
from ncmix.spec import parse
from tests.ncmix.plots import synthetic

RUNS, EPOCHS, REPEATS = 20, 500, 5
COLD, KEPT = 400, 5


def fill(database: Database) -> list[str]:
    """Put the runs on record; gives their ids."""
    made = []
    for seed in range(RUNS):
        with database.transaction() as session:
            made.append(_add(session, seed))
    return made


def _add(session: Session, seed: int) -> str:
    spec = parse({"dataset": "digits", "model": "mlp", "epochs": EPOCHS, "seed": seed, "measure": {"geometry": None}})
    experiment = lifecycle.submit(session, spec, "cpu").experiment.id
    run = synthetic.run(epochs=EPOCHS, mixup=bool(seed % 2))
    columns = ("epoch", "split", "name", "value")
    rows = [{"experiment_id": experiment, **{c: getattr(row, c) for c in columns}, "note": ""} for row in run.rows]
    session.execute(insert(MetricValue), rows)
    session.execute(update(Experiment).where(Experiment.id == experiment).values(epoch=EPOCHS))
    return experiment


def measure(client: TestClient, ids: list[str]) -> dict[str, dict[str, float]]:
    """Median milliseconds by plot and format; no picture is asked for twice as a cold one."""
    found: dict[str, dict[str, float]] = {}
    for name in ("nc", "curves"):
        for kind in FORMATS:
            cold, again = [], []
            for repeat in range(REPEATS):
                address = f"/api/v1/compare/plots/{name}.{kind}?ids={','.join(ids)}&dpi={160 + repeat}"
                cold.append(_milliseconds(lambda address=address: client.get(address).raise_for_status()))
                again.append(_milliseconds(lambda address=address: client.get(address).raise_for_status()))
            found[f"{name}.{kind}"] = {"cold": median(cold), "from memory": median(again)}
    return found


def _milliseconds(action: Callable[[], object]) -> float:
    start = perf_counter()
    action()
    return 1000 * (perf_counter() - start)


def main() -> None:
    """Measure, print, write."""
    with TemporaryDirectory(prefix="ncmix-bench-") as folder:
        settings = Settings.from_environment({"NCMIX_HOME": folder})
        migrate(settings.database_url)
        database = Database(settings.database_url)
        ids = fill(database)
        database.dispose()
        with TestClient(create(settings)) as client:
            warm()
            found = measure(client, ids)
    rows = [(name, row["cold"], row["from memory"]) for name, row in found.items()]
    title = f"A comparison of {RUNS} runs × {EPOCHS} epochs, milliseconds (goals: {COLD} cold, {KEPT} from memory)"
    table = report.Table(title, ("plot", "cold", "from memory"), rows)
    report.show(table)
    report.write("plots", [table], runs=RUNS, epochs=EPOCHS, repeats=REPEATS)


if __name__ == "__main__":
    main()
