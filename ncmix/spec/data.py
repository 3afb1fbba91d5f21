"""What a network can be trained on, and what is known of each data set before a byte of it is read."""

from dataclasses import dataclass, replace
from typing import Annotated, Literal

from pydantic import Field

from ncmix.spec.parts import Part, by_kind

BuiltinName = Literal[
    "digits", "mnist", "kmnist", "fashion_mnist", "svhn", "cifar10", "cifar100", "stl10", "tiny_imagenet"
]


@dataclass(frozen=True)
class Facts:
    """Sizes of a data set; `smallest` is the number of training images of its rarest class."""

    classes: int
    train: int
    test: int
    smallest: int
    shape: tuple[int, ...]


# Pictures of ImageNet have many sizes; what is here is the size they are brought to unless the spec names another.
FACTS: dict[str, Facts] = {
    "digits": Facts(10, 1442, 355, 140, (1, 8, 8)),
    "mnist": Facts(10, 60_000, 10_000, 5_421, (1, 28, 28)),
    "kmnist": Facts(10, 60_000, 10_000, 6_000, (1, 28, 28)),
    "fashion_mnist": Facts(10, 60_000, 10_000, 6_000, (1, 28, 28)),
    "svhn": Facts(10, 73_257, 26_032, 4_659, (3, 32, 32)),
    "cifar10": Facts(10, 50_000, 10_000, 5_000, (3, 32, 32)),
    "cifar100": Facts(100, 50_000, 10_000, 500, (3, 32, 32)),
    "stl10": Facts(10, 5_000, 8_000, 500, (3, 96, 96)),
    "tiny_imagenet": Facts(200, 100_000, 10_000, 500, (3, 64, 64)),
    "imagenet": Facts(1000, 1_281_167, 50_000, 732, (3, 224, 224)),
}


class Imbalance(Part):
    """Fewer images of the later classes: `exponential` n_k = n ratio^(-k/(K-1)); `step` n/ratio for the second half."""

    kind: Literal["exponential", "step"]
    ratio: Annotated[float, Field(ge=1)]


class _Labelled(Part):
    per_class: Annotated[int, Field(ge=1)] | None = None
    imbalance: Imbalance | None = None
    label_noise: Annotated[float, Field(ge=0, le=1)] = 0.0


Side = Annotated[int, Field(ge=4, le=1024)]


class _Pictured(_Labelled):
    augment: Literal["none", "crop_flip"] = "none"


class Builtin(_Pictured):
    """A public data set: torchvision's, scikit-learn's 1,797 handwritten digits, or Tiny-ImageNet in its folder.

    `image_size` resizes every picture once, when it is loaded (bilinear, antialiased); null keeps the published size.
    """

    kind: BuiltinName
    image_size: Side | None = None


class ImageNet(_Pictured):
    """ImageNet (ILSVRC 2012) from the operator's folder, the validation pictures as test split.

    The shorter side of each picture is resized to `image_size` and the centre kept.
    """

    kind: Literal["imagenet"] = "imagenet"
    image_size: Side = 224


class Gaussian(_Labelled):
    """Synthetic vectors: class means of length `separation` in random directions, unit Gaussian noise around them."""

    kind: Literal["gaussian"] = "gaussian"
    classes: Annotated[int, Field(ge=2, le=10_000)] = 10
    dim: Annotated[int, Field(ge=1, le=65_536)] = 32
    train_per_class: Annotated[int, Field(ge=1, le=1_000_000)] = 500
    test_per_class: Annotated[int, Field(ge=1, le=1_000_000)] = 100
    separation: Annotated[float, Field(gt=0)] = 4.0
    draw: Annotated[int, Field(ge=0, lt=2**63)] = 0


class ImageFolder(_Pictured):
    """Pictures `train/<class>/*` and `test/<class>/*` in a folder that the operator registered under `name`.

    With `image_size` the shorter side of each is resized and the centre kept; null needs pictures of one size.
    """

    kind: Literal["image_folder"] = "image_folder"
    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._-]{0,63}$")]
    image_size: Side | None = None


AnyDataset = Builtin | ImageNet | Gaussian | ImageFolder
Dataset = Annotated[AnyDataset, *by_kind]


def facts(dataset: AnyDataset) -> Facts | None:
    """The sizes of the data set itself, before any subset is taken; None for a folder, which only a worker can see."""
    match dataset:
        case Builtin(kind=kind, image_size=size) | ImageNet(kind=kind, image_size=size):
            published = FACTS[kind]
            return published if size is None else replace(published, shape=(published.shape[0], size, size))
        case Gaussian(classes=k, train_per_class=n, test_per_class=m, dim=d):
            return Facts(k, k * n, k * m, n, (d,))
        case ImageFolder():
            return None


def class_sizes(dataset: AnyDataset, available: tuple[int, ...]) -> tuple[int, ...]:
    """How many training images of each class are kept, given how many there are: `per_class`, then `imbalance`."""
    balanced = tuple(n if dataset.per_class is None else min(n, dataset.per_class) for n in available)
    if dataset.imbalance is None:
        return balanced
    shares = _shares(dataset.imbalance, len(available))
    return tuple(max(1, round(n * share)) for n, share in zip(balanced, shares, strict=True))


def train_sizes(dataset: AnyDataset, known: Facts) -> tuple[int, ...]:
    """How many training images of each class are kept, where the classes are taken to be of one size."""
    if dataset.per_class is None and dataset.imbalance is None:
        return even_sizes(known.train, known.classes)
    return class_sizes(dataset, (known.train // known.classes,) * known.classes)


def even_sizes(samples: int, classes: int) -> tuple[int, ...]:
    """So many samples shared out among classes as equally as may be, none left over."""
    return tuple(samples // classes + (k < samples % classes) for k in range(classes))


def _shares(imbalance: Imbalance, classes: int) -> tuple[float, ...]:
    last = max(classes - 1, 1)
    if imbalance.kind == "exponential":
        return tuple(imbalance.ratio ** (-k / last) for k in range(classes))
    return tuple(1.0 if k < classes // 2 else 1 / imbalance.ratio for k in range(classes))
