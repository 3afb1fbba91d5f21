"""A run that goes on where another has ended: its spec, and what it may change."""

from collections.abc import Mapping, Sequence
from typing import Any, assert_never

from ncmix.spec.descent import Constant, Cosine, MultiStep
from ncmix.spec.experiment import BESIDE, Spec
from ncmix.spec.reading import SpecError, override, parse

# The rest is what the weights have been trained with, and stays.
CHANGEABLE = frozenset({"epochs", "schedule", "measure", "features", "device"})


def extended(parent: Spec, epochs: int, assignments: Sequence[str] = ()) -> Spec:
    """The spec of the run that takes `parent` from its end on to `epochs` epochs: a new one, with a key of its own.

    The new spec's schedule decides the learning rate from the first new epoch on. Unless another is assigned, it goes
    on as it was: milestones given as shares of all epochs stay at the epochs they meant. A cosine has come to its end
    and cannot go on; assigned anew it stretches over all `epochs`, so that the rate jumps up to where the longer one is
    by then. A list of epochs to measure gets the new last one.

    Args:
        parent: a run that has ended, or will have.
        epochs: its new length, counted from the parent's very start.
        assignments: `field=value` words such as `schedule=constant`, for fields in CHANGEABLE and those beside.

    Raises:
        SpecError: the new spec is not longer, not valid, or changes what has to stay.
    """
    data = parent.model_dump(mode="json")
    data |= {"epochs": epochs, "extends": {"key": parent.key, "epochs": parent.epochs}}
    if isinstance(listed := data["measure"]["epochs"], list):
        data["measure"] = {**data["measure"], "epochs": sorted({*listed, epochs})}
    data["schedule"] = _going_on(parent, assignments)
    spec = parse(override(data, assignments))
    if changed := differing(parent.model_dump(mode="json"), spec):
        raise SpecError(
            f"An extension keeps the {changed[0]} of the run it extends; allowed to change are "
            f"{', '.join(sorted(CHANGEABLE))}."
        )
    return spec


def _going_on(parent: Spec, assignments: Sequence[str]) -> dict[str, Any]:
    schedule = parent.schedule.model_dump(mode="json")
    match parent.schedule:
        case MultiStep() as multistep:
            schedule["milestones"] = list(multistep.at(parent.epochs))
        case Cosine() if not any(word.startswith("schedule") for word in assignments):
            raise SpecError(
                f"schedule: cosine has come to its end after {parent.epochs} epochs; assign how it goes on, such as "
                "schedule=cosine (over all epochs, the rate jumps up) or schedule=constant."
            )
        case Cosine() | Constant():
            pass
        case _:
            assert_never(parent.schedule)
    return schedule


def differing(parent: Mapping[str, Any], spec: Spec) -> list[str]:
    """The fields that an extension must keep and `spec` has not kept. Fields that `parent` did not know yet pass."""
    free = CHANGEABLE | BESIDE | {"extends"}
    own = spec.model_dump(mode="json", exclude=set(free))
    return [name for name, value in own.items() if name in parent and parent[name] != value]
