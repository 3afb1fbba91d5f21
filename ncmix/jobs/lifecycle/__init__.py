"""The life of an experiment, verb by verb; nothing else writes its state. `ncmix.jobs.states` has the diagram.

Who holds the lease owns the experiment. A claim raises `fence` by one and every write of its holder names that fence:
when the lease has run out and another claim was made, the first holder can write nothing any more (`LeaseLostError`).
Each verb runs in the caller's transaction; a hint to the workers is sent after the commit.
"""

from ncmix.jobs.lifecycle.asking import cancel, delete, pause, resume
from ncmix.jobs.lifecycle.holding import claim, crash, fail, finish, reap, release, renew
from ncmix.jobs.lifecycle.submitting import Submitted, extend, retry, standing, submit

__all__ = [
    "Submitted",
    "cancel",
    "claim",
    "crash",
    "delete",
    "extend",
    "fail",
    "finish",
    "pause",
    "reap",
    "release",
    "renew",
    "resume",
    "retry",
    "standing",
    "submit",
]
