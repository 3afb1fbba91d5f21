"""What can be asked for: the experiment as one frozen object, its closed vocabularies, and reading it from text."""

from ncmix.spec.data import (
    FACTS,
    Builtin,
    Dataset,
    Facts,
    Gaussian,
    ImageFolder,
    ImageNet,
    Imbalance,
    class_sizes,
    facts,
)
from ncmix.spec.descent import Adam, AdamW, Constant, Cosine, MultiStep, Optimizer, Schedule, Sgd
from ncmix.spec.experiment import BESIDE, Limits, Spec
from ncmix.spec.measuring import PAPYAN, Every, Features, Geometry, Measure
from ncmix.spec.network import ConvNet, Head, LinearHead, Mlp, Model, ResNet18
from ncmix.spec.objective import CrossEntropy, Loss, Mix, Mixup, Mse, NoMix
from ncmix.spec.parts import Part, expand_shorthand, kinds
from ncmix.spec.reading import Problem, SpecError, assign, override, parse, problems, read_yaml

# Every axis of a spec that has variants: field -> kind -> the part that describes it.
VOCABULARY: dict[str, dict[str, type[Part]]] = {
    "dataset": kinds(Dataset),
    "model": kinds(Model),
    "head": kinds(Head),
    "loss": kinds(Loss),
    "mix": kinds(Mix),
    "optimizer": kinds(Optimizer),
    "schedule": kinds(Schedule),
}

__all__ = [
    "BESIDE",
    "FACTS",
    "PAPYAN",
    "VOCABULARY",
    "Adam",
    "AdamW",
    "Builtin",
    "Constant",
    "ConvNet",
    "Cosine",
    "CrossEntropy",
    "Dataset",
    "Every",
    "Facts",
    "Features",
    "Gaussian",
    "Geometry",
    "Head",
    "ImageFolder",
    "ImageNet",
    "Imbalance",
    "Limits",
    "LinearHead",
    "Loss",
    "Measure",
    "Mix",
    "Mixup",
    "Mlp",
    "Model",
    "Mse",
    "MultiStep",
    "NoMix",
    "Optimizer",
    "Part",
    "Problem",
    "ResNet18",
    "Schedule",
    "Sgd",
    "Spec",
    "SpecError",
    "assign",
    "class_sizes",
    "expand_shorthand",
    "facts",
    "kinds",
    "override",
    "parse",
    "problems",
    "read_yaml",
]
