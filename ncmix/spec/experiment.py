"""The experiment: one frozen object that says everything a run depends on, and the rules between its parts."""

import hashlib
import json
from collections.abc import Iterator
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from ncmix.spec.data import Dataset, facts, train_sizes
from ncmix.spec.descent import MultiStep, Optimizer, Schedule, Sgd
from ncmix.spec.measuring import Features, Measure
from ncmix.spec.network import EtfHead, Head, LinearHead, Mlp, Model, Timm
from ncmix.spec.objective import CrossEntropy, CutMix, DotRegression, Loss, ManifoldMixup, Mix, NoMix, SupCon
from ncmix.spec.parts import Part, listed

Tag = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._:=-]{0,63}$")]

MOST_EPOCHS = 1_000_000

# What is beside the science: two specs that differ only here are the same experiment.
BESIDE = frozenset({"compile", "devices", "name", "tags", "priority", "limits"})


class Limits(Part, use_attribute_docstrings=True):
    """Bounds the job service keeps."""

    wall_hours: Annotated[float, Field(gt=0, le=24 * 365)] = 24.0
    """Hours from the start of an attempt after which it is ended."""
    stall_minutes: Annotated[float, Field(gt=0, le=60 * 24 * 365)] | None = None
    """Minutes without a sign of life of the training after which it is ended; null leaves that to the service."""


class Extends(Part, use_attribute_docstrings=True):
    """The parent: a run begins where the run of the spec with this `key` was after its `epochs` epochs, its end."""

    key: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    """The parent's key."""
    epochs: Annotated[int, Field(ge=1)]
    """Epochs of the parent, all of them."""


class Spec(Part, use_attribute_docstrings=True):
    """One experiment. A part with variants is a union by `kind`; a string is short for `{kind: string}`."""

    dataset: Dataset
    model: Model
    head: Head = LinearHead()
    loss: Loss = CrossEntropy()
    mix: Mix = NoMix()
    optimizer: Optimizer = Sgd()
    schedule: Schedule = MultiStep()
    epochs: Annotated[int, Field(ge=1, le=MOST_EPOCHS)] = 350
    """Passes over the training data."""
    batch_size: Annotated[int, Field(ge=2)] = 128
    """Examples a step; the last batch of an epoch may be smaller."""
    seed: Annotated[int, Field(ge=0, lt=2**63)] = 0
    """Of every random choice: the same spec and seed give the same numbers."""
    precision: Literal["fp32", "bf16"] = "fp32"
    """Of training; measuring has its own."""
    deterministic: bool = False
    """On a GPU, the same bits every time, at a cost; on a CPU they are the same anyway."""
    measure: Measure = Measure()
    features: Features = Features()
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """Where to compute; auto is a GPU where there is one."""
    extends: Extends | None = None
    """The run that this one goes on from; null for one from the start."""

    compile: Literal["auto", "off"] = "auto"
    """How the same computation is run: on a GPU, `auto` lets it be compiled and replayed. Not part of the key."""
    devices: Annotated[int, Field(ge=1, le=64)] = 1
    """On how many devices of one machine together; every batch is spread over them. Not part of the key."""
    # One printable line: PostgreSQL takes no NUL, and a title no line break.
    name: Annotated[str, Field(max_length=200, pattern=r"^[^\x00-\x1f\x7f]*$")] = ""
    """What to call it; empty for a title made of its kinds."""
    tags: Annotated[tuple[Tag, ...], listed, Field(max_length=32)] = ()
    """Words by which to find it."""
    priority: Annotated[int, Field(ge=-1000, le=1000)] = 0
    """Of those that wait the highest starts first."""
    limits: Limits = Limits()

    @model_validator(mode="after")
    def _parts_fit_together(self) -> Self:
        checks = (_epoch_misfits, _data_misfits, _head_misfits, _objective_misfits, _devices_misfits)
        if misfits := [misfit for check in checks for misfit in check(self)]:
            text = "; ".join(f"{path}: {sentence}" for path, sentence in misfits)
            raise PydanticCustomError("misfit", "{text}", {"text": text, "misfits": misfits})
        return self

    @property
    def key(self) -> str:
        """SHA-256 of the science in the spec: equal specs, equal keys, whatever their names, tags or priority."""
        # A run that extends none has the key it had before there were extensions.
        without = BESIDE if self.extends else BESIDE | {"extends"}
        science = self.model_dump(mode="json", exclude=set(without))
        return hashlib.sha256(json.dumps(science, sort_keys=True, separators=(",", ":")).encode()).hexdigest()

    @property
    def measured_epochs(self) -> tuple[int, ...]:
        """The epochs at which this run is measured, increasing."""
        return self.measure.at(self.epochs)

    @property
    def title(self) -> str:
        """The given name, or one made of what usually differs: `digits mlp cross_entropy mixup seed 0`."""
        model = self.model.name if isinstance(self.model, Timm) else self.model.kind
        return self.name or " ".join([self.dataset.kind, model, self.loss.kind, self.mix.kind, f"seed {self.seed}"])


# A field's dotted path and what is wrong with it.
Misfit = tuple[str, str]


def _epoch_misfits(spec: Spec) -> Iterator[Misfit]:
    if past := [e for e in spec.measured_epochs if e > spec.epochs]:
        yield "measure.epochs", f"epoch {past[0]} lies past the end; allowed are 0 to {spec.epochs}"
    if spec.extends and spec.extends.epochs >= spec.epochs:
        yield "epochs", f"{spec.epochs} does not go past the run it extends; allowed is more than {spec.extends.epochs}"
    if spec.schedule.warmup_epochs > spec.epochs:
        warmup = spec.schedule.warmup_epochs
        yield "schedule.warmup_epochs", f"{warmup} is longer than the run; allowed are 0 to {spec.epochs}"
    match spec.schedule:
        case MultiStep(milestones=milestones):
            if late := [m for m in milestones if isinstance(m, int) and m >= spec.epochs]:
                yield (
                    "schedule.milestones",
                    f"epoch {late[0]} is not before the end; allowed are 1 to {spec.epochs - 1}",
                )


def _data_misfits(spec: Spec) -> Iterator[Misfit]:
    known = facts(spec.dataset)
    if known is None:
        return
    if spec.dataset.per_class is not None and spec.dataset.per_class > known.smallest:
        yield (
            "dataset.per_class",
            f"{spec.dataset.per_class} is more than the rarest class has; allowed are 1 to {known.smallest}",
        )
    if spec.batch_size > (size := sum(train_sizes(spec.dataset, known))):
        yield "batch_size", f"{spec.batch_size} is larger than the training data; allowed are 2 to {size}"
    if len(known.shape) == 1 and not isinstance(spec.model, Mlp):
        yield "model", f"{spec.model.kind} needs images, but {spec.dataset.kind} has vectors; allowed is mlp"
    if spec.measure.geometry and max(spec.measure.geometry.classes) >= known.classes:
        named = list(spec.measure.geometry.classes)
        yield (
            "measure.geometry.classes",
            f"{named} names a class the data lack; allowed are 0 to {known.classes - 1}, or measure.geometry: null",
        )


def _head_misfits(spec: Spec) -> Iterator[Misfit]:
    known, dim = facts(spec.dataset), spec.model.feature_dim
    if isinstance(spec.head, EtfHead) and known and dim is not None and dim < known.classes - 1:
        short = f"etf needs {known.classes - 1} features for {known.classes} classes, but {spec.model.kind} gives {dim}"
        yield "head", f"{short}; allowed are linear, normalized, or a wider model"


def _objective_misfits(spec: Spec) -> Iterator[Misfit]:
    known = facts(spec.dataset)
    if isinstance(spec.loss, SupCon) and not isinstance(spec.mix, NoMix):
        yield (
            "mix",
            f"{spec.mix.kind} gives a sample two labels, but supcon pairs samples by their one; allowed is none",
        )
    if isinstance(spec.loss, DotRegression) and spec.head.kind != "etf":
        yield "head", f"{spec.head.kind} is trained, but dot_regression needs fixed directions; allowed is etf"
    if isinstance(spec.loss, DotRegression) and isinstance(spec.head, EtfHead) and spec.head.m != spec.loss.e_w:
        yield (
            "loss.e_w",
            f"{spec.loss.e_w} is not the square length of the head's rows; allowed is its m, {spec.head.m}",
        )
    if isinstance(spec.mix, CutMix) and known and len(known.shape) == 1:
        yield "mix", f"cutmix pastes boxes of pictures, but {spec.dataset.kind} has vectors; allowed is any other mix"
    if isinstance(spec.mix, ManifoldMixup) and isinstance(spec.model, Timm):
        yield "mix", "manifold_mixup mixes after a stage, but a timm model shows none; allowed is any other mix"


def _devices_misfits(spec: Spec) -> Iterator[Misfit]:
    if spec.devices == 1:
        return
    if spec.devices > spec.batch_size:
        yield "devices", f"{spec.devices} cannot share a batch of {spec.batch_size}; allowed are 1 to {spec.batch_size}"
    if isinstance(spec.loss, SupCon):
        yield "devices", "supcon contrasts every sample with the whole batch, which no device has; allowed is 1"
    if isinstance(spec.mix, ManifoldMixup):
        yield "devices", "manifold_mixup mixes within the network samples of different devices; allowed is 1"
