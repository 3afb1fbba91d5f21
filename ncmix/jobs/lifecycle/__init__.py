"""The life of an experiment, verb by verb; nothing else writes its state. `ncmix.jobs.states` has the diagram.

Who holds the lease owns the experiment. A claim raises `fence` by one and every write of its holder names that fence:
when the lease has run out and another claim was made, the first holder can write nothing any more (`LeaseLostError`).
Each verb runs in the caller's transaction; a hint to the workers is sent after the commit.
"""

from ncmix.jobs.lifecycle.asking import cancel, cancel_all, delete, delete_all, pause, resume
from ncmix.jobs.lifecycle.holding import claim, crash, fail, finish, reap, release, renew
from ncmix.jobs.lifecycle.submitting import AGAIN, Submitted, extend, new_ids, retry, standing, submit, submit_all

__all__ = [
    "AGAIN",
    "Submitted",
    "cancel",
    "cancel_all",
    "claim",
    "crash",
    "delete",
    "delete_all",
    "extend",
    "fail",
    "finish",
    "new_ids",
    "pause",
    "reap",
    "release",
    "renew",
    "resume",
    "retry",
    "standing",
    "submit",
    "submit_all",
]
