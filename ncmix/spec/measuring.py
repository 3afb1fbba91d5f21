"""When and how neural collapse is measured, and which features are kept."""

from typing import Annotated, Literal

from pydantic import AfterValidator, Discriminator, Field, Tag

from ncmix.spec.parts import Part, listed, unlike

Split = Literal["train", "test"]
Epoch = Annotated[int, Field(ge=0)]

# The epochs at which Papyan, Han, Donoho 2020 measured 350 epochs of training.
PAPYAN = (
    *(1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 16, 17, 19, 20, 22, 24, 27, 29, 32, 35, 38, 42, 45, 50, 54, 59),
    *(65, 71, 77, 85, 92, 101, 110, 121, 132, 144, 158, 172, 188, 206, 225, 245, 268, 293, 320, 350),
)
_PAPYAN_RATIO = 350 / 320

# Up to here K×K arrays, and spectra of D×D ones, are kept of every measured epoch; larger ones of the last.
MOST_CLASSES = 100
MOST_DIRECTIONS = 1024


class Every(Part):
    """Every `every`-th epoch from 0, the untrained network, and the last one."""

    every: Annotated[int, Field(ge=1)]


def _once(splits: tuple[Split, ...]) -> tuple[Split, ...]:
    if len(set(splits)) < len(splits):
        raise ValueError(f"each split can be measured once; {list(splits)} names one twice")
    return splits


def _distinct(classes: tuple[int, int, int]) -> tuple[int, int, int]:
    if len(set(classes)) < 3:
        raise ValueError(f"the geometry needs three different classes, not {list(classes)}")
    return classes


Class = Annotated[int, Field(ge=0)]


class Geometry(Part, use_attribute_docstrings=True):
    """The mixed probe (Fisher, Meng, Papyan 2024, App. B.2): three classes mixed among themselves.

    `per_pair` mixtures for each of the six pairs of classes; the picture in `mode` eval or train (batch statistics, as
    published), the scalars always in eval mode, with a uniform grid of `lambdas` values of λ in [0, 1].
    """

    classes: Annotated[tuple[Class, Class, Class], listed, unlike, AfterValidator(_distinct)] = (0, 1, 2)
    """Three different classes."""
    per_pair: Annotated[int, Field(ge=1, le=100_000)] = 300
    """Mixtures of each of the six pairs of classes."""
    lambdas: Annotated[int, Field(ge=3, le=1001)] = 21
    """Values of λ, evenly from 0 to 1, over which the scalars deal their mixtures."""
    mode: Literal["eval", "train"] = "eval"
    """Of the network in the picture."""


def _epochs_tag(value: object) -> str | None:
    match value:
        case str():
            return "rule"
        case list() | tuple():
            return "list"
        case dict() | Every():
            return "every"
        case _:
            return None


EpochRule = Annotated[
    Annotated[Literal["papyan", "last"], Tag("rule")]
    | Annotated[Every, Tag("every")]
    | Annotated[tuple[Epoch, ...], listed, Field(min_length=1), Tag("list")],
    Discriminator(
        _epochs_tag,
        custom_error_type="epoch_rule",
        custom_error_message="must be papyan, last, {every: k} or a list of epochs",
    ),
]


class Measure(Part, use_attribute_docstrings=True):
    """When neural collapse is measured, and how."""

    epochs: EpochRule = "papyan"
    """papyan: the epochs of Papyan, Han, Donoho 2020; last; every k-th; or those listed. 0 is the untrained network."""
    splits: Annotated[tuple[Split, ...], listed, unlike, Field(min_length=1), AfterValidator(_once)] = ("train", "test")
    """Whose clean data are measured."""
    precision: Literal["fp32", "tf32", "bf16"] = "fp32"
    """Of the features; less than fp32 falsifies what has collapsed, and is noted with every number."""
    geometry: Geometry | None = Geometry()
    """The mixed probe; null for none."""

    def at(self, epochs: int) -> tuple[int, ...]:
        """The measured epochs of a run of `epochs`, increasing; the last epoch belongs to every rule but a list."""
        match self.epochs:
            case "papyan":
                return _papyan(epochs)
            case "last":
                return (epochs,)
            case Every(every=step):
                return tuple(sorted({*range(0, epochs + 1, step), epochs}))
            case listed_epochs:
                return tuple(sorted(set(listed_epochs)))


def _papyan(epochs: int) -> tuple[int, ...]:
    """The published epochs, continued by their last ratio past 350, up to and with the last epoch."""
    chosen = list(PAPYAN)
    while chosen[-1] < epochs:
        chosen.append(round(chosen[-1] * _PAPYAN_RATIO))
    return (*(e for e in chosen if e < epochs), epochs)


class Features(Part, use_attribute_docstrings=True):
    """Which last-layer features are kept: of samples with their labels, and of the probe's mixtures with λ and pair."""

    keep: Literal["none", "last", "measured"] = "last"
    """Those of the last measured epoch, of every measured epoch, or none."""
    max_per_class: Annotated[int, Field(ge=1)] | None = 500
    """Samples of each class and split, the first of the data; null for all."""
    dtype: Literal["float16", "float32"] = "float16"
    """How they are stored."""
