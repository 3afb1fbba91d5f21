"""What Prometheus reads is what is on record, costs few queries, and outlives a database that does not answer."""

import json
import re
import threading
from dataclasses import replace
from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from prometheus_client.parser import text_string_to_metric_families
from sqlalchemy import event, update
from sqlalchemy.exc import OperationalError

from api import meters
from api.app import create
from ncmix.jobs import lifecycle, recording
from ncmix.jobs.database import now
from ncmix.jobs.settings import Settings
from ncmix.jobs.states import Reason
from ncmix.jobs.tables import Experiment
from ncmix.results import Tick
from tests.api.lives import Lives
from tests.servers import wait_for

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is kept from the scrape before, and the newest event counts."""
    monkeypatch.setattr(meters, "_KEPT_SECONDS", 0.0)
    monkeypatch.setattr(meters, "_SETTLE_SECONDS", -1.0)


def scrape(client: TestClient) -> dict[tuple[str, ...], float]:
    """Every sample, by its name and the values of its labels in the order of their names."""
    answer = client.get("/metrics")
    assert answer.headers["content-type"].startswith("text/plain")
    families = text_string_to_metric_families(answer.text)
    return {(s.name, *(s.labels[n] for n in sorted(s.labels))): s.value for f in families for s in f.samples}


def test_the_record_in_numbers(client: TestClient, lives: Lives, settings: Settings):
    assert scrape(client)["ncmix_record_up",] == 1.0
    dead = lives.running(seed=1, epochs=2)
    with lives.database.transaction() as session:
        lifecycle.crash(session, dead, Reason("killed", "It was killed."), replace(settings, backoff_seconds=1e6))
    lives.fail(lives.running(seed=2), Reason("oom", "Memory ran out."))
    lives.done(seed=3, epochs=3)
    lives.queued(seed=4)
    lease = lives.running(seed=5, epochs=0, priority=1)
    with lives.database.transaction() as session:
        recording.progress(session, lease, Tick(1, 1, 8), gpu_bytes=3 * 2**30)
        session.execute(update(Experiment).where(Experiment.state == "queued").values(created=now() - 600.0))
    found = scrape(client)
    expected = {("cpu", "queued"): 2, ("cpu", "running"): 1, ("cpu", "failed"): 1, ("cpu", "succeeded"): 1}
    assert {key[1:]: n for key, n in found.items() if key[0] == "ncmix_experiments" and n} == expected
    assert found["ncmix_experiments", "gpu", "queued"] == 0
    assert found["ncmix_oldest_queued_seconds", "cpu"] == pytest.approx(600, abs=30)
    assert 0 <= found["ncmix_lease_age_seconds",] < settings.lease_seconds
    assert found["ncmix_leases_expired",] == 0
    assert found["ncmix_attempt",] == 1
    assert found["ncmix_gpu_bytes", "test"] == 3 * 2**30
    assert (found["ncmix_starts_total",], found["ncmix_epochs_total",]) == (4, 5)
    assert (found["ncmix_deaths_total", "killed"], found["ncmix_deaths_total", "oom"]) == (1, 1)
    assert found["ncmix_events_total", "succeeded"] == 1
    with lives.database.transaction() as session:
        session.execute(update(Experiment).where(Experiment.id == lease.experiment_id).values(lease_until=now() - 5.0))
    again = scrape(client)
    assert again["ncmix_leases_expired",] == 1
    assert again["ncmix_lease_age_seconds",] == pytest.approx(settings.lease_seconds + 5, abs=3)
    # Nothing is counted twice.
    assert again["ncmix_epochs_total",] == 5


def test_who_has_which_duty_is_told(settings: Settings):
    with TestClient(create(replace(settings, reap_seconds=0.5)), base_url="http://localhost") as client:
        left = wait_for(lambda: scrape(client).get(("ncmix_duty_seconds", "reaper")), "The first reaping")
        assert -1 < left <= 1  # type: ignore[operator]


def test_requests_are_measured_by_the_template_of_their_route(client: TestClient, lives: Lives):
    for experiment in (lives.queued(), "0" * 20):
        client.get(f"/api/v1/experiments/{experiment}")
    client.get("/nowhere")
    found = scrape(client)
    route = "/api/v1/experiments/{id}"
    assert found["ncmix_http_seconds_count", "GET", route, "200"] == 1
    assert found["ncmix_http_seconds_count", "GET", route, "404"] == 1
    assert found["ncmix_http_seconds_count", "GET", "none", "404"] == 1


def test_many_scrapes_read_once_and_cost_few_queries(client: TestClient, lives: Lives, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(meters, "_KEPT_SECONDS", 60.0)
    for seed in range(5):
        lives.done(seed=seed)
    asked: list[tuple[str, str]] = []
    engine = client.app.state.context.database.engine  # type: ignore[attr-defined]
    event.listen(engine, "before_cursor_execute", lambda *w: asked.append((threading.current_thread().name, w[2])))
    for _ in range(3):
        scrape(client)
    # The service's own duties, in threads of these names, begin when it does.
    mine = [statement for thread, statement in asked if thread not in ("reap", "keep") and "api_key" not in statement]
    assert 0 < len([statement for statement in mine if statement.startswith("SELECT")]) <= 6
    assert scrape(client)["ncmix_experiments", "cpu", "succeeded"] == 5


def test_without_a_record_it_says_so_and_the_rest_stays(client: TestClient, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(meters, "_KEPT_SECONDS", 0.0)
    client.get("/healthz")
    assert scrape(client)["ncmix_record_up",] == 1.0
    monkeypatch.setattr(meters.figures, "figures", unanswered)
    found = scrape(client)
    assert found["ncmix_record_up",] == 0.0
    assert found["ncmix_http_seconds_count", "GET", "/healthz", "200"] == 1


def unanswered(*_: object) -> None:
    raise OperationalError("SELECT 1", {}, Exception("the server is gone"))


def names(client: TestClient) -> set[str]:
    """The names of all our families, as a query may use them."""
    lines = client.get("/metrics").text.splitlines()
    families = [line.split()[2:] for line in lines if line.startswith("# TYPE")]
    suffixes = {"histogram": ("_bucket", "_count", "_sum"), "counter": ("",), "gauge": ("",)}
    return {f"{name}{suffix}" for name, kind in families for suffix in suffixes[kind]}


def test_every_number_on_the_dashboard_exists(client: TestClient):
    dashboard = json.loads((ROOT / "docker" / "grafana" / "ncmix.json").read_text())
    expressions = [target["expr"] for panel in dashboard["panels"] for target in panel.get("targets", [])]
    used = {name for text in expressions for name in re.findall(r"\b(?:ncmix|process)_[a-z_]+", text)}
    assert len(dashboard["panels"]) >= 8
    assert used <= names(client)
    assert len({panel["id"] for panel in dashboard["panels"]}) == len(dashboard["panels"])


def test_every_label_on_the_dashboard_exists(client: TestClient, lives: Lives):
    # The first scrape is where the counters begin.
    scrape(client)
    lives.done()
    families = text_string_to_metric_families(client.get("/metrics").text)
    labels = {label for family in families for sample in family.samples for label in sample.labels}
    dashboard = json.loads((ROOT / "docker" / "grafana" / "ncmix.json").read_text())
    expressions = [target["expr"] for panel in dashboard["panels"] for target in panel.get("targets", [])]
    grouped = {
        word for text in expressions for words in re.findall(r"by \(([^)]*)\)", text) for word in words.split(", ")
    }
    selected = {word for text in expressions for word in re.findall(r"[{,]\s*(\w+)=", text)}
    assert grouped | selected >= {"state", "queue", "status", "route", "kind"}
    assert grouped | selected <= labels


def test_the_operations_page_explains_every_number(client: TestClient):
    page = (ROOT / "docs" / "operations.md").read_text()
    ours = {re.sub("_(bucket|count|sum)$", "", name) for name in names(client) if name.startswith("ncmix_")}
    assert not {name for name in ours if f"`{name}`" not in page}
