"""An experiment at a service: what it is now, what it has given, and what can be done with it."""

import codecs
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, fields
from datetime import datetime
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import NDArray

from ncmix.client import following
from ncmix.client.errors import Json
from ncmix.client.following import FINAL, Message
from ncmix.client.frames import frame
from ncmix.client.plots import Plot, fetch
from ncmix.client.transport import Transport
from ncmix.terminal import Bar

if TYPE_CHECKING:
    import pandas as pd

_MOMENTS = ("created_at", "started_at", "finished_at")
_LOG_SECONDS = 0.3


@dataclass(frozen=True)
class Reason:
    """Why an experiment is in its state: a code for machines and a sentence for people."""

    code: str
    message: str


@dataclass(frozen=True)
class Experiment:
    """An experiment as it was when the service was asked; `refresh` asks again.

    Attributes:
        state: queued, running, cancelling, pausing, paused, succeeded, failed or cancelled.
        epoch, step: the epochs done, and the batches of the one under way; `progress` is their share of all, 0 to 1.
        latest: the newest metrics by split and name; None is undefined.
        answer: all that the service says of it.
    """

    id: str
    title: str
    state: str
    queue: str
    spec: Json = field(repr=False)
    key: str = field(repr=False)
    parent: str | None
    tags: list[str]
    priority: int
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    attempt: int
    epoch: int
    epochs: int
    step: int
    steps: int
    progress: float
    eta_seconds: float | None
    latest: dict[str, dict[str, float | None]] = field(repr=False)
    reason: Reason | None
    links: Json = field(repr=False)
    answer: Json = field(repr=False)
    _transport: Transport = field(repr=False, compare=False)

    @classmethod
    def of(cls, answer: Json, transport: Transport) -> Self:
        """What the service has answered; what a newer service says besides is in `answer` alone.

        Raises:
            ForeignError: it is no experiment.
        """
        with transport.reading():
            known = {f.name: answer[f.name] for f in fields(cls) if f.name in answer}
            moments = {name: answer[name] and datetime.fromisoformat(answer[name]) for name in _MOMENTS}
            reason = answer["reason"] and Reason(**answer["reason"])
            return cls(**{**known, **moments, "reason": reason}, answer=answer, _transport=transport)

    @property
    def ended(self) -> bool:
        """Whether nothing more will happen to it."""
        return self.state in FINAL

    @property
    def succeeded(self) -> bool:
        """Whether it has come to its end."""
        return self.state == "succeeded"

    def refresh(self) -> Self:
        """It as it is now."""
        return self.of(self._transport.ask(self._here), self._transport)

    def wait(self, progress: bool = False, timeout: float | None = None) -> Self:
        """It once it has ended, however it has; with `progress` a bar shows how far it is.

        Raises:
            TimeoutError: it has not ended within `timeout` seconds; it goes on.
            ApiError: it was deleted.
            UnreachableError: the service was away for two minutes; a restart goes unnoticed.
        """
        now = self
        bar = Bar(self.title, self.epochs) if progress else None
        try:
            for now in self.follow(timeout):
                if bar:
                    bar.show(now.epoch, now.progress * now.epochs, now.latest)
        except TimeoutError:
            raise TimeoutError(f"{self.title} ({self.id}) has not ended within {timeout:g} s.") from None
        finally:
            if bar:
                bar.close()
        return now

    def follow(self, timeout: float | None = None) -> Iterator[Self]:
        """It whenever it has changed, until it has ended.

        Raises:
            TimeoutError, ApiError, UnreachableError: as `wait`.
        """
        for answer in following.together(self._transport, [self.id], timeout):
            yield self.of(answer, self._transport)

    def stream(self, after: str | None = None) -> Iterator[Message]:
        """All that is new of it as it comes, each once: states, metrics, log; behind the message of the id `after`."""
        return following.messages(self._transport, self.id, after)

    def metrics(self, **filters: str | list[str]) -> "pd.DataFrame":
        """Its metrics as a frame of epoch, split, name, value and note; `name` and `split` choose some.

        Raises:
            MissingPandasError: pandas is not installed.
        """
        return frame(self.metric_rows(**filters), ["epoch", "split", "name", "value", "note"])

    def metric_rows(self, **filters: str | list[str]) -> list[Json]:
        """The same as rows of plain values; None is undefined, and `note` says why."""
        return self._transport.items(self._transport.ask(f"{self._here}/metrics", filters))

    def feature_sets(self) -> list[Json]:
        """Which arrays were kept of it: sets by epoch and name, with shapes, digests and addresses."""
        return self._transport.items(self._transport.ask(f"{self._here}/features"))

    def features(
        self, name: str = "train", epoch: int | None = None, label: int | None = None, rows: str | None = None
    ) -> dict[str, NDArray[Any]]:
        """The arrays of a set, such as H (N×D) and y of `train` or `test`.

        Args:
            name: `train`, `test`, `mixed`, `classifier`, …
            epoch: by default the last that was kept.
            label: only samples of this class.
            rows: such as "0:100", of those.
        """
        choice = {"epoch": epoch, "class": label, "rows": rows}
        file = self._transport.get(f"{self._here}/features/{name}.npz", choice).content
        with np.load(BytesIO(file), allow_pickle=False) as arrays:
            return dict(arrays)

    def plot(self, name: str, format: str = "png", **options: str | float) -> Plot:  # noqa: A002
        """A plot such as `nc` or `last-layer`, as png, svg, pdf or html; `epoch`, `theme`, `width`, … say how."""
        return fetch(self._transport, self._here, name, format, options)

    def log(self) -> str:
        """What its process has printed."""
        return "".join(self.log_parts(follow=False))

    def log_parts(self, *, follow: bool = True) -> Iterator[str]:
        """The same piece by piece; with `follow` also what comes, until it has ended."""
        decode = codecs.getincrementaldecoder("utf-8")("replace").decode
        offset, patience = 0, following.PATIENCE_SECONDS if follow else 0.0
        while True:
            part = self._transport.get(f"{self._here}/log", {"offset": offset}, patience)
            if text := decode(part.content):
                yield text
            if part.headers["log-ended"] == "true" or not (follow or part.content):
                return
            if not part.content:
                time.sleep(_LOG_SECONDS)
            offset = int(part.headers["next-offset"])

    def cancel(self) -> Self:
        """Ask it to stop; to ask again changes nothing."""
        return self._ask("cancel")

    def pause(self) -> Self:
        """Ask it to make way until it is resumed."""
        return self._ask("pause")

    def resume(self) -> Self:
        """Let it go on where it was paused."""
        return self._ask("resume")

    def retry(self) -> Self:
        """Run once more what failed or was cancelled; gives the new experiment."""
        return self._ask("retry")

    def extend(self, epochs: int, *assignments: str) -> Self:
        """Train on what has succeeded to `epochs` in all; gives the new experiment.

        Words such as `schedule=constant` say what else changes.
        """
        return self._ask("extend", {"epochs": epochs, "set": list(assignments)})

    def delete(self) -> None:
        """Remove it and everything recorded of it; one that is under way must be cancelled first."""
        self._transport.delete(self._here)

    def export(self, file: str | Path | None = None) -> Path:
        """Write all that is on record of it: `.zip` for another service, `.pkl` for any Python; gives the file.

        Raises:
            UnreachableError: it was not sent whole; then there is no file.
        """
        path = Path(file or f"{self.id}.zip")
        self._transport.download(f"{self._here}/export{path.suffix}", path)
        return path

    @property
    def _here(self) -> str:
        return f"/experiments/{self.id}"

    def _ask(self, verb: str, body: Json | None = None) -> Self:
        return self.of(self._transport.post(f"{self._here}/{verb}", body), self._transport)
