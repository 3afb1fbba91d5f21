"""The states of an experiment, the moves between them, and the errors of asking for another one.

    submit ─▶ queued ──claim──▶ running ──finish──▶ succeeded
               │ │ ▲             │ │ │ └────fail──▶ failed      data_missing, diverged, oom, stalled, wall_time, …
               │ │ ├─crash, reap─┤ │ └─crash, reap─▶ failed      no attempts left: killed, crashed, worker_lost
               │ │ ├──release────┤ │                             the worker was told to stop: not charged
               │ │ │           pause cancel
               │ │ │             │ └──────────────┐
               │ │ │             ▼                ▼
               │ │ │          pausing ─cancel─▶ cancelling ──release, reap, …──▶ cancelled
               │ │ │             │ └─resume─▶ running
               │ │ │             release, crash, reap
               │ │ │             ▼
               │ │ └──resume── paused ─cancel─▶ cancelled
               │ └────pause────▶ ▲
               └──────cancel─────────────────────────────────────────────────────▶ cancelled

A final state stays: `retry` and `extend` make a new experiment beside the old one. `pausing` and `cancelling` are
requests to the holder of the lease. They come true when its child is gone: cancelled wins over any other end, paused
over all but success and a failure that another attempt would not change.
"""

from dataclasses import dataclass
from typing import Any, Literal, get_args

from ncmix.errors import NcmixError

State = Literal["queued", "running", "cancelling", "pausing", "paused", "succeeded", "failed", "cancelled"]
STATES: tuple[State, ...] = get_args(State)

# A worker holds a lease on it.
HELD: tuple[State, ...] = ("running", "cancelling", "pausing")
FINAL: tuple[State, ...] = ("succeeded", "failed", "cancelled")
LIVE: tuple[State, ...] = tuple(state for state in STATES if state not in FINAL)

# Every move there is: from a state to the states that may follow.
MOVES: dict[State, frozenset[State]] = {
    "queued": frozenset({"running", "paused", "cancelled"}),
    "running": frozenset({"succeeded", "failed", "queued", "cancelling", "pausing"}),
    "cancelling": frozenset({"cancelled"}),
    "pausing": frozenset({"paused", "running", "cancelling", "succeeded", "failed"}),
    "paused": frozenset({"queued", "cancelled"}),
    "succeeded": frozenset(),
    "failed": frozenset(),
    "cancelled": frozenset(),
}

ReasonCode = Literal[
    "cancelled_by_user",
    "checkpoint_missing",
    "crashed",
    "data_missing",
    "device_missing",
    "disk_full",
    "diverged",
    "error",
    "finished",
    "killed",
    "oom",
    "paused_by_user",
    "spec_invalid",
    "stalled",
    "wall_time",
    "worker_lost",
]


@dataclass(frozen=True)
class Reason:
    """Why an experiment is in its state: a code for machines and a sentence for people."""

    code: ReasonCode
    message: str


@dataclass(frozen=True)
class Lease:
    """The right to write to an experiment, as long as `fence` is its newest."""

    experiment_id: str
    fence: int


@dataclass(frozen=True)
class Claim:
    """A lease just taken, and what its holder must know."""

    lease: Lease
    attempt: int
    spec: dict[str, Any]


class UnknownExperimentError(NcmixError, LookupError):
    """There is no such experiment."""

    def __init__(self, experiment_id: str) -> None:
        super().__init__(f"There is no experiment {experiment_id!r}.")


class NotAllowedError(NcmixError, RuntimeError):
    """The experiment is in a state in which this cannot be asked for; the message is a sentence."""


class LeaseLostError(RuntimeError):
    """The experiment has ended, or another start holds its lease: nothing was written, and the writer must stop."""

    def __init__(self, lease: Lease) -> None:
        super().__init__(f"The lease {lease.fence} on experiment {lease.experiment_id} is no longer held.")
