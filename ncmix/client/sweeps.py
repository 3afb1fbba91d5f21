"""A sweep at a service: how far it is, its table, and what can be done with it."""

import time
from collections.abc import Iterator
from dataclasses import dataclass, field, fields
from datetime import datetime
from typing import TYPE_CHECKING, Self

from ncmix.client.errors import Json
from ncmix.client.experiments import Experiment
from ncmix.client.following import PATIENCE_SECONDS
from ncmix.client.frames import frame
from ncmix.client.plots import Plot, fetch
from ncmix.client.transport import Transport
from ncmix.terminal import Bar

if TYPE_CHECKING:
    import pandas as pd

# A cell that is in one of these will get there without anybody's doing.
_UNDER_WAY = frozenset({"queued", "running", "cancelling", "pausing"})
_POLL_SECONDS = 0.5


@dataclass(frozen=True)
class Sweep:
    """A sweep as it was when the service was asked; `refresh` asks again.

    Attributes:
        states: how many of its cells are in each state.
        progress: the share of all epochs that is done, 0 to 1.
        definition: base, what varies and seeds.
        made, shared: of one that was just submitted, how many experiments are new and how many were there.
        answer: all that the service says of it.
    """

    id: str
    name: str
    tags: list[str]
    created_at: datetime
    cancelled_at: datetime | None
    cells: int
    states: dict[str, int]
    progress: float
    eta_seconds: float | None
    definition: Json = field(repr=False)
    links: Json = field(repr=False)
    answer: Json = field(repr=False)
    _transport: Transport = field(repr=False, compare=False)
    made: int | None = None
    shared: int | None = None

    @classmethod
    def of(cls, answer: Json, transport: Transport) -> Self:
        """What the service has answered.

        Raises:
            ForeignError: it is no sweep.
        """
        with transport.reading():
            known = {f.name: answer[f.name] for f in fields(cls) if f.name in answer}
            moments = {n: answer[n] and datetime.fromisoformat(answer[n]) for n in ("created_at", "cancelled_at")}
            return cls(**{**known, **moments}, answer=answer, _transport=transport)

    @property
    def ended(self) -> bool:
        """Whether nothing of it is under way: every cell has ended, is paused, or was deleted."""
        return not _UNDER_WAY & self.states.keys()

    @property
    def succeeded(self) -> bool:
        """Whether every cell has."""
        return self.states.get("succeeded") == self.cells

    def refresh(self) -> Self:
        """It as it is now."""
        return self._read(0.0)

    def wait(self, progress: bool = False, timeout: float | None = None) -> Self:
        """It once nothing of it is under way any more; with `progress` a bar shows how far it is.

        Raises:
            TimeoutError: that took more than `timeout` seconds; it goes on.
            UnreachableError: the service was away for two minutes.
        """
        now, deadline = self, None if timeout is None else time.monotonic() + timeout
        bar = Bar(self.name or self.id, self.cells, "cells") if progress else None
        try:
            while not (now := now._read(PATIENCE_SECONDS)).ended:
                if bar:
                    bar.show(now.states.get("succeeded", 0), now.progress * now.cells, {})
                if deadline is not None and time.monotonic() > deadline:
                    raise TimeoutError(f"Sweep {self.id} has not ended within {timeout:g} s.")
                time.sleep(_POLL_SECONDS)
        finally:
            if bar:
                bar.show(now.states.get("succeeded", 0), now.progress * now.cells, {})
                bar.close()
        return now

    def experiments(self, **filters: str) -> Iterator[Experiment]:
        """Its cells, newest first."""
        for answer in self._transport.pages("/experiments", {"sweep": self.id, **filters}):
            yield Experiment.of(answer, self._transport)

    def table(self, **options: str | int) -> Json:
        """Means and deviations of metrics over the seeds of each spec, or by the fields `rows` and `columns`."""
        return self._transport.ask(f"{self._here}/table", options)

    def metrics(self, **options: str | int) -> "pd.DataFrame":
        """The same as a frame: a row for each spec, split and metric, with n, mean and std over its seeds.

        Raises:
            MissingPandasError: pandas is not installed.
        """
        table = self.table(**options)
        rows = [
            {**group["fields"], "split": split, "name": name, **statistic}
            for group in table["items"]
            for split, named in group["metrics"].items()
            for name, statistic in named.items()
        ]
        return frame(rows, [*table["fields"], "split", "name", "n", "mean", "std"])

    def plot(self, name: str, format: str = "png", **options: str | float) -> Plot:  # noqa: A002
        """What has succeeded of it in one picture: means over seeds, with a band of one standard deviation."""
        return fetch(self._transport, "/compare", name, format, {"sweep": self.id, **options})

    def cancel(self) -> Self:
        """Ask every experiment to end that is this sweep's own."""
        return self.of(self._transport.post(f"{self._here}/cancel"), self._transport)

    def retry(self) -> Self:
        """Queue what of it is missing, failed or cancelled."""
        return self.of(self._transport.post(f"{self._here}/retry-failed"), self._transport)

    def delete(self, experiments: bool = False) -> None:
        """Remove it, and with `experiments` those that are its own."""
        self._transport.delete(self._here, experiments=experiments)

    @property
    def _here(self) -> str:
        return f"/sweeps/{self.id}"

    def _read(self, patience: float) -> Self:
        return self.of(self._transport.ask(self._here, patience=patience), self._transport)
