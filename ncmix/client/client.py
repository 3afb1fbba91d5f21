"""The client: submits to a service and finds what is there."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from ncmix.client import following
from ncmix.client.errors import Json, MissingError
from ncmix.client.experiments import Experiment
from ncmix.client.plots import Plot, fetch
from ncmix.client.sweeps import Sweep
from ncmix.client.transport import Transport
from ncmix.spec import Spec
from ncmix.spec import Sweep as SweepDefinition

_ID_LENGTH = 20
_HEXADECIMAL = re.compile(r"[0-9a-f]+")
_SHOWN = 5


class Client:
    """A connection to a service; what fails for a moment is asked again, and done once."""

    def __init__(self, url: str | None = None, timeout: float = 30.0, key: str | None = None) -> None:
        """
        Args:
            url: where the service is; by default NCMIX_URL, or else http://127.0.0.1:8000.
            timeout: how many seconds an answer may take.
            key: an API key, where one is asked for; else NCMIX_API_KEY, or the file that NCMIX_API_KEY_FILE names.

        Raises:
            SecretError: there is a key that cannot be read.
        """
        self._transport = Transport(url, timeout, key)

    @property
    def url(self) -> str:
        """Where the service is."""
        return self._transport.url

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close its connections."""
        self._transport.close()

    def submit(self, spec: Spec | Mapping[str, Any], rerun: bool = False) -> Experiment:
        """Queue an experiment; the same spec again gives the one that is there, unless `rerun`."""
        body = spec.model_dump(mode="json") if isinstance(spec, Spec) else dict(spec)
        return self._experiment(self._transport.post("/experiments", body, rerun=rerun))

    def submit_preset(self, name: str, scale: str = "full", rerun: bool = False) -> list[Experiment]:
        """Queue every experiment of a preset, at the scale `full` or `small`."""
        made = self._transport.post(f"/presets/{name}", scale=scale, rerun=rerun)
        return [self._experiment(answer) for answer in self._transport.items(made)]

    def experiment(self, word: str) -> Experiment:
        """The experiment of this id as it is now; the beginning or the end of the id will do if no other has it.

        Raises:
            MissingError: there is none, or several.
        """
        if len(word) >= _ID_LENGTH:
            return self._experiment(self._transport.ask(f"/experiments/{word}"))
        known = {"id": word, "limit": _SHOWN + 1}
        page = self._transport.ask("/experiments", known) if _HEXADECIMAL.fullmatch(word) else {"items": []}
        return self._experiment(_only("experiment", word, self._transport.items(page)))

    def experiments(self, **filters: str) -> Iterator[Experiment]:
        """All experiments that match, newest first: `state`, `dataset`, `model`, `loss`, `mix`, `tag`, `sweep`."""
        return map(self._experiment, self._transport.pages("/experiments", filters))

    def follow(
        self, experiments: Iterable[Experiment], timeout: float | None = None, patience: float | None = None
    ) -> Iterator[Experiment]:
        """Any of several experiments whenever it has changed, until all have ended.

        Raises:
            TimeoutError: they have not within `timeout` seconds.
            ApiError: one was deleted.
            UnreachableError: the service was away for more than `patience` seconds (120).
        """
        ids = [experiment.id for experiment in experiments]
        seconds = following.PATIENCE_SECONDS if patience is None else patience
        return map(self._experiment, following.together(self._transport, ids, timeout, seconds))

    def compare(
        self, experiments: Sequence[Experiment | str], name: str, format: str = "png", **options: str | float  # noqa: A002
    ) -> Plot:  # fmt: skip
        """Several experiments in one picture, or with `group_by` means of those that agree in fields of their specs."""
        ids = [each if isinstance(each, str) else each.id for each in experiments]
        return fetch(self._transport, "/compare", name, format, {"ids": ",".join(ids), **options})

    def import_file(self, file: str | Path) -> Experiment:
        """Put an experiment on record that another service exported as a zip; once, however often it is sent."""
        return self._experiment(self._transport.put_file("/imports", Path(file), "application/zip"))

    def submit_sweep(self, sweep: SweepDefinition | Mapping[str, Any]) -> Sweep:
        """Queue every cell of a sweep; the same again queues what is missing, failed or cancelled of it."""
        return Sweep.of(self._transport.post("/sweeps", _definition(sweep), dry_run=False), self._transport)

    def plan_sweep(self, sweep: SweepDefinition | Mapping[str, Any]) -> Json:
        """How many cells a sweep has and what they would take; queues nothing."""
        return self._transport.post("/sweeps", _definition(sweep), dry_run=True)

    def sweep(self, word: str) -> Sweep:
        """The sweep of this id as it is now; the beginning or the end of the id will do if no other has it.

        Raises:
            MissingError: there is none, or several.
        """
        if len(word) >= _ID_LENGTH:
            return Sweep.of(self._transport.ask(f"/sweeps/{word}"), self._transport)
        found = [s.answer for s in self.sweeps() if s.id.startswith(word) or s.id.endswith(word)]
        return Sweep.of(_only("sweep", word, found), self._transport)

    def sweeps(self) -> Iterator[Sweep]:
        """All sweeps, newest first."""
        return (Sweep.of(answer, self._transport) for answer in self._transport.pages("/sweeps", {}))

    def presets(self, scale: str = "full") -> list[Json]:
        """Published recipes and demonstrations, with every experiment they make at a scale."""
        return self._transport.items(self._transport.ask("/presets", {"scale": scale}))

    def vocabulary(self) -> Json:
        """Everything that a spec can say there, what every metric means, and which presets and plots there are."""
        return self._transport.ask("/vocabulary")

    def _experiment(self, answer: Json) -> Experiment:
        return Experiment.of(answer, self._transport)


def _definition(sweep: SweepDefinition | Mapping[str, Any]) -> Json:
    return sweep.model_dump(mode="json") if isinstance(sweep, SweepDefinition) else dict(sweep)


def _only(what: str, word: str, found: Sequence[Json]) -> Json:
    if not found:
        raise MissingError(f"There is no {what} whose id begins or ends with {word!r}.")
    if len(found) > 1:
        ids = [each["id"] for each in found[:_SHOWN]]
        raise MissingError(f"{word!r} is the beginning or the end of several ids: {', '.join(ids)}.")
    return found[0]
