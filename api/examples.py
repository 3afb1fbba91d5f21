"""An example of every answer, as the models that are answered: what OpenAPI shows, and /docs."""

from collections.abc import Iterator
from datetime import UTC, datetime

from pydantic import BaseModel

from api import models, sets
from api import sweep_models as swept
from api.problems import FieldError, Problem, problem
from api.routes.specs import ReadSpec
from ncmix import presets, vocabulary
from ncmix.spec import parse

_ID = "0193b2a4f1c07d1e9a3c"
_SPEC = parse({"dataset": "digits", "model": "mlp", "mix": "mixup", "epochs": 200, "tags": ["demo"], "device": "cpu"})
_NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
_DIGEST = "6b86b273ff34fce19d6b804eff5a3f5747ada4eaa22f1d49c01e52ddb7875b4b"


def answers() -> Iterator[BaseModel]:
    """One of each model that is answered."""
    experiment = _experiment()
    yield from (experiment, models.Experiments(items=[experiment], next_cursor=None))
    yield models.SubmittedPreset(items=[experiment])
    yield _read_spec(experiment)
    yield from _results()
    yield from (_feature_sets(), _plots(), _plot_data())
    yield from _sweeps()
    yield from _vocabulary()
    yield models.Health()
    yield models.Readiness(status="ready", broker="answers", schema_revision="v0009")


def _experiment() -> models.Experiment:
    return models.Experiment(
        id=_ID,
        title=_SPEC.title,
        state="running",
        queue="cpu",
        spec=_SPEC.model_dump(mode="json"),
        key=_SPEC.key,
        parent=None,
        tags=list(_SPEC.tags),
        priority=0,
        created_at=_NOON,
        started_at=_NOON.replace(second=1),
        finished_at=None,
        attempt=1,
        epoch=12,
        epochs=200,
        step=3,
        steps=23,
        progress=0.0607,
        eta_seconds=18.8,
        latest={"running": {"loss": 0.71}, "train": {"nc1": 1.93}, "test": {"accuracy": 0.96}},
        reason=None,
        links=models.links(_ID),
    )


def _read_spec(experiment: models.Experiment) -> ReadSpec:
    return ReadSpec(
        spec=experiment.spec,
        key=experiment.key,
        title=experiment.title,
        queue="cpu",
        measured_epochs=list(_SPEC.measured_epochs),
        steps=2400,
        feature_bytes=1_056_320,
        experiment=None,
    )


def _results() -> Iterator[BaseModel]:
    values = [
        models.MetricValue(epoch=12, split="train", name="nc1", value=1.93, note=""),
        models.MetricValue(epoch=12, split="train", name="nc3_uniform", value=None, note="the classifier is zero"),
    ]
    yield models.Metrics(items=values)
    happened = models.Event(id=812, at=_NOON, kind="started", state="running", data={"attempt": 1})
    yield models.Events(items=[happened], last_id=812)
    yield models.NewMetrics(epoch=12, items=values[:1])
    yield models.NewOutput(offset=10_240, text="epoch 12/200  loss 0.71\n")
    yield models.End(state="succeeded", reason=None)


def _feature_sets() -> sets.FeatureSets:
    here = f"{models.ROOT}/experiments/{_ID}/features/train"
    array = sets.Array(
        name="H", dtype="<f2", shape=[1442, 256], bytes=738_304, sha256=_DIGEST, npy=f"{here}.npy?epoch=200&array=H"
    )
    files = {kind: f"{here}.{kind}?epoch=200" for kind in ("npz", "parquet")}
    kept = sets.FeatureSet(name="train", epoch=200, rows=1442, bytes=738_304, arrays=[array], facts={}, files=files)
    return sets.FeatureSets(items=[kept])


def _plots() -> models.Plots:
    here = f"{models.ROOT}/experiments/{_ID}/plots/last-layer"
    files = {kind: f"{here}.{kind}" for kind in ("png", "svg")}
    shown = models.PlotLinks(
        name="last-layer", title="mixtures in the plane of three classifiers", files=files, epochs=[1, 12]
    )
    return models.Plots(items=[shown])


def _plot_data() -> models.PlotData:
    columns = {"x": [1, 12], "y": [4.1, 1.93], "std": [None, None], "runs": [1, 1]}
    words = {name: [word, word] for name, word in (("panel", "nc1"), ("group", _SPEC.title), ("style", "train"))}
    return models.PlotData(
        plot="nc",
        title=_SPEC.title,
        note="",
        groups=[_SPEC.title],
        panels=[{"name": "nc1", "title": "NC1", "kind": "lines"}],
        styles={"train": "train"},
        data={**words, **columns},
    )


def _sweeps() -> Iterator[BaseModel]:
    facts = {
        "id": _ID,
        "name": "digits-losses",
        "tags": ["paper"],
        "created_at": _NOON,
        "cancelled_at": None,
        "cells": 12,
        "states": {"queued": 8, "running": 1, "succeeded": 3},
        "progress": 0.29,
        "eta_seconds": 118.0,
        "definition": {
            "name": "digits-losses",
            "tags": ["paper"],
            "base": {"dataset": "digits", "model": "mlp", "epochs": 50},
            "grid": {"loss": ["cross_entropy", "mse"], "mix": ["none", "mixup"]},
            "seeds": [0, 1, 2],
        },
        "links": swept.links(_ID),
    }
    record = swept.SweepRecord(**facts)
    yield from (record, swept.SweepRecords(items=[record], next_cursor=None))
    yield swept.SweepSubmitted(**facts, made=8, shared=4)
    yield _sweep_plan()
    statistic = swept.SweepStatistic(n=3, mean=0.021, std=0.004)
    fields = {"loss.kind": "mse", "mix.kind": "mixup"}
    group = swept.SweepGroup(fields=fields, cells=3, succeeded=3, metrics={"train": {"nc1": statistic}})
    yield swept.SweepTable(fields=list(fields), items=[group], matrix=None)


def _sweep_plan() -> swept.SweepPlan:
    estimate = swept.SweepEstimate(
        seconds=96.5,
        seconds_reason=None,
        feature_bytes=7_341_056,
        feature_bytes_reason=None,
        checkpoint_bytes=None,
        checkpoint_bytes_reason="No finished run of digits with mlp has checkpoints on record.",
    )
    fields = ["loss.kind", "mix.kind"]
    return swept.SweepPlan(cells=12, made=8, shared=4, excluded=0, invalid=[], fields=fields, estimate=estimate)


def _vocabulary() -> Iterator[BaseModel]:
    """Of the vocabulary what concerns mixup: the whole has thousands of lines."""
    whole, name = vocabulary.read(), "digits-mixup"
    recipe = vocabulary.PresetView.of(presets.load(name, "small"))
    yield from (recipe, models.Presets(items=[recipe]))
    yield models.Vocabulary(
        axes={"mix": {"mixup": whole.axes["mix"]["mixup"]}},
        fields={"epochs": whole.fields["epochs"]},
        metrics={"nc1": whole.metrics["nc1"]},
        letters=whole.letters,
        presets={name: whole.presets[name]},
        plots={"nc": whole.plots["nc"]},
        formats=whole.formats,
        themes=whole.themes,
        spec={"title": "Spec", "type": "object"},
        image_folders=["birds"],
        states=["queued", "running", "succeeded"],
    )


def failures() -> Iterator[Problem]:
    """Problems of each status; of one status the kinds that there are."""
    yield problem(400, "malformed-json", "The body is not JSON: Expecting value at line 1, column 1.")
    yield problem(401, "unauthorized", "A key is needed: Authorization: Bearer ncmix_…, or log in at /login.")
    yield problem(403, "forbidden", "The scope of this key is read; needed is submit.")
    yield problem(404, "not-found", f"There is no experiment {_ID!r}.")
    yield problem(409, "not-allowed", f"Experiment {_ID} is succeeded and cannot become cancelled.")
    yield problem(409, "in-flight", "The first request with the Idempotency-Key 'a1' is still at work; ask again.")
    yield problem(413, "too-large", "The body is too large; allowed are 1048576 bytes (1 MiB).")
    yield problem(415, "unsupported-media-type", "The content type is 'text/plain'; allowed is application/json.")
    yield problem(416, "range-not-satisfiable", "Range is 'bytes=900-', but the file has 800 bytes.")
    yield from _unprocessable()
    yield problem(429, "too-many-requests", "Too many changes with this key; allowed are 600/minute.")
    yield problem(500, "internal", "This is a fault of the service, not of the request; its log has the details.")
    yield problem(503, "unavailable", "The database does not answer; try again.")
    yield problem(507, "no-room", "Features take 9,000 bytes; NCMIX_FEATURE_QUOTA allows 8,000.")


def _unprocessable() -> Iterator[Problem]:
    rate = FieldError(pointer="/optimizer/lr", detail="-1 must be greater than 0.")
    yield problem(422, "invalid-spec", "1 field is wrong.", title="The spec cannot be used", errors=[rate])
    limit = FieldError(pointer="/limit", detail="'0' must be greater than or equal to 1.", part="query")
    yield problem(422, "invalid-parameter", "These parameters cannot be used: limit.", errors=[limit])
    said = "The Idempotency-Key 'a1' was used for another request; allowed is the same again, or a new key."
    used = FieldError(pointer="/Idempotency-Key", detail=said, part="header")
    yield problem(422, "idempotency-key-reused", said, errors=[used])
