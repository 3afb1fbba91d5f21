"""Inside the child: iterates the training and records what it yields. The only module here that loads PyTorch."""

import errno
import logging
import os
import platform
import threading
import time
import traceback
from functools import partial

import torch
from sqlalchemy.exc import DBAPIError

from ncmix.checkpoint import CheckpointError
from ncmix.datasets.base import DataError
from ncmix.errors import NcmixError
from ncmix.jobs import queries, recording
from ncmix.jobs.database import Database, brief, is_full, patiently
from ncmix.jobs.settings import Settings
from ncmix.jobs.states import Lease, LeaseLostError, Reason, ReasonCode
from ncmix.numerics import DeviceError, prepare_process, resolve_device, why_no_gpu
from ncmix.results import Snapshot, Tick
from ncmix.spec import Spec, SpecError, parse
from ncmix.train import Training, run
from worker.keeping import Keeper
from worker.outcome import Outcome
from worker.timer import Timer

_LOG = logging.getLogger("runner")
_PROGRESS_SECONDS = 1.0

# Errors whose message says it all.
_CODES: tuple[tuple[type[Exception], ReasonCode], ...] = (
    (CheckpointError, "checkpoint_missing"),
    (DataError, "data_missing"),
    (DeviceError, "device_missing"),
    (SpecError, "spec_invalid"),
    (FloatingPointError, "diverged"),
    (NcmixError, "error"),
)


def train(lease: Lease, stop: threading.Event) -> Outcome:
    """Train the experiment of a lease until it ends, fails or `stop` is set.

    Raises:
        LeaseLostError: another worker has it now.
        DBAPIError: the database did not answer for as long as a lease lasts.
    """
    settings = Settings.from_environment()
    database = Database.of(settings)
    try:
        spec = _spec(database, lease)
        prepare_process()
        device = _device(settings, spec)
        if device.type == "cuda" and settings.gpu_memory_fraction < 1:
            torch.cuda.set_per_process_memory_fraction(settings.gpu_memory_fraction)
        _LOG.info("%s on %s (%s), PyTorch %s", spec.title, device, platform.node(), torch.__version__)
        keeper = Keeper(database, lease, settings)
        training = run(spec, str(device), settings.data, keeper.begin(spec, device))
        return Recorder(database, lease, settings, keeper).consume(training, stop)
    except LeaseLostError:
        raise
    except DBAPIError as error:
        if not is_full(error):
            raise
        return Outcome("failed", Reason("disk_full", f"The disk of the database is full: {brief(error)}."))
    except Exception as error:
        reason = reason_of(error)
        if reason.code == "error":
            traceback.print_exc()
        _LOG.error("%s", reason.message)
        return Outcome("failed", reason)
    finally:
        database.dispose()


def _device(settings: Settings, spec: Spec) -> torch.device:
    """Where to train. On a slot's GPU or not at all: on the CPU it would take days, and nobody would see why.

    Raises:
        DeviceError: PyTorch cannot use it.
    """
    asked = settings.device if spec.device == "auto" else spec.device
    gpu = os.environ.get("CUDA_VISIBLE_DEVICES")
    if asked == "auto" and gpu and torch.backends.cuda.is_built() and not torch.cuda.is_available():
        raise DeviceError(f"This slot has GPU {gpu}, but PyTorch cannot use it: {why_no_gpu()}.")
    return resolve_device(asked)


class Recorder:
    """Puts epochs on record as they come, progress once in a while; `keeper` takes the checkpoints."""

    def __init__(self, database: Database, lease: Lease, settings: Settings, keeper: Keeper) -> None:
        self._database, self._lease, self._keeper = database, lease, keeper
        self._patience = settings.lease_seconds
        # Who looks rarely what is asked of many workers wants to hear rarely from them, too.
        self._progress = Timer(max(_PROGRESS_SECONDS, settings.watch_seconds))

    def consume(self, training: Training, stop: threading.Event) -> Outcome:
        """Take every item until the end, or until `stop` is set: then what was done so far is in a checkpoint."""
        for item in training:
            match item:
                case Snapshot(epoch=training.spec.epochs):
                    self._record(item)
                    break
                case Snapshot():
                    self._record(item)
                case Tick() if self._progress.due():
                    self._say(item)
            if stop.is_set():
                self._keeper.take(training)
                _LOG.info("stopped in epoch %d", item.epoch)
                return Outcome("stopped")
            self._keeper.consider(training, epoch_ends=isinstance(item, Snapshot))
        # A longer run may go on from here one day.
        self._keeper.take(training, keep=1)
        return Outcome("finished")

    def _record(self, snapshot: Snapshot) -> None:
        start = time.monotonic()
        patiently(partial(recording.record, self._database, self._lease, snapshot), self._patience)
        shown = " ".join(f"{m.split}.{m.name}={m.value:.4g}" for m in snapshot.metrics if m.value is not None)
        _LOG.info("epoch %d in %.2f s, recorded in %.2f s: %s", snapshot.epoch, snapshot.seconds, _since(start), shown)

    def _say(self, tick: Tick) -> None:
        def write() -> None:
            with self._database.passing() as session:
                recording.progress(session, self._lease, tick, _gpu_bytes())

        patiently(write, self._patience)


def reason_of(error: Exception) -> Reason:
    """The machine-readable reason for an error of the training, and the sentence it came with."""
    sentence = str(error) or type(error).__name__
    match error:
        case torch.OutOfMemoryError() | MemoryError():
            return Reason("oom", f"Memory ran out: {sentence.splitlines()[0]}")
        case OSError(errno=errno.ENOSPC | errno.EDQUOT):
            return Reason("disk_full", f"The disk is full: {sentence}")
    for kind, code in _CODES:
        if isinstance(error, kind):
            return Reason(code, sentence)
    return Reason("error", f"The training failed: {type(error).__name__}: {sentence}")


def _spec(database: Database, lease: Lease) -> Spec:
    with database.reading() as session:
        queries.state_under(session, lease)
        return parse(queries.get(session, lease.experiment_id).spec)


def _gpu_bytes() -> int | None:
    """What PyTorch holds of this process's GPU; None on a CPU. Asks nothing of the device."""
    return torch.cuda.memory_reserved() if torch.cuda.is_initialized() else None


def _since(start: float) -> float:
    return time.monotonic() - start
