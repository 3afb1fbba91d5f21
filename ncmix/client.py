"""Talks to the service over HTTP: submit, follow, cancel, fetch; every answer is plain JSON values or bytes."""

import os
import secrets
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx2

from ncmix.confidential import secret
from ncmix.errors import NcmixError
from ncmix.spec import Spec, Sweep

Json = dict[str, Any]
_TRIES, _REST_SECONDS = 3, 0.5
_PIECE = 2**20
FINAL = frozenset({"succeeded", "failed", "cancelled"})


class ApiError(NcmixError):
    """The service refused; `status` is its HTTP status, `problem` the body of its answer (RFC 9457)."""

    def __init__(self, status: int, problem: Json) -> None:
        self.status, self.problem = status, problem
        super().__init__(_sentence(status, problem))


class Client:
    """A connection to a service at `url`, such as http://127.0.0.1:8000."""

    def __init__(self, url: str, timeout: float = 30.0, key: str | None = None) -> None:
        """
        Args:
            url: where the service is.
            timeout: how many seconds an answer may take.
            key: an API key, where one is asked for; else NCMIX_API_KEY, or the file that NCMIX_API_KEY_FILE names.

        Raises:
            SecretError: there is a key that cannot be read.
        """
        self.url = url.rstrip("/")
        key = key or secret(os.environ, "NCMIX_API_KEY")
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        self._http = httpx2.Client(base_url=f"{self.url}/api/v1", timeout=timeout, headers=headers)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._http.close()

    def submit(self, spec: Spec | Mapping[str, Any], rerun: bool = False) -> Json:
        """Queue an experiment; the same spec again gives the one that is there, unless `rerun`."""
        body = spec.model_dump(mode="json") if isinstance(spec, Spec) else dict(spec)
        return self._json("POST", "/experiments", json=body, params={"rerun": rerun}, **_only_once())

    def submit_preset(self, name: str) -> list[Json]:
        """Queue every experiment of a preset."""
        return self._json("POST", f"/presets/{name}")["items"]

    def experiment(self, experiment: str) -> Json:
        """One experiment as it is now."""
        return self._json("GET", f"/experiments/{experiment}")

    def experiments(self, **filters: str) -> Iterator[Json]:
        """All experiments that match, newest first, page by page."""
        return self._pages("/experiments", filters)

    def metrics(self, experiment: str, **filters: str) -> list[Json]:
        """Its metrics as rows of epoch, split, name and value."""
        return self._json("GET", f"/experiments/{experiment}/metrics", params=filters)["items"]

    def log(self, experiment: str) -> str:
        """What its process has printed."""
        return self._send("GET", f"/experiments/{experiment}/log").text

    def cancel(self, experiment: str) -> Json:
        """Ask it to stop; to ask again changes nothing."""
        return self._json("POST", f"/experiments/{experiment}/cancel")

    def pause(self, experiment: str) -> Json:
        """Ask it to make way until it is resumed."""
        return self._json("POST", f"/experiments/{experiment}/pause")

    def resume(self, experiment: str) -> Json:
        """Let a paused one go on where it stopped."""
        return self._json("POST", f"/experiments/{experiment}/resume")

    def retry(self, experiment: str) -> Json:
        """Run once more what failed or was cancelled; gives the new experiment."""
        return self._json("POST", f"/experiments/{experiment}/retry", **_only_once())

    def extend(self, experiment: str, epochs: int, *assignments: str) -> Json:
        """Train one that has succeeded on to `epochs` in all; gives the new experiment.

        Words such as `schedule=constant` say what else changes.
        """
        body = {"epochs": epochs, "set": list(assignments)}
        return self._json("POST", f"/experiments/{experiment}/extend", json=body, **_only_once())

    def delete(self, experiment: str) -> None:
        """Remove it and everything recorded of it; one that is under way must be cancelled first."""
        self._send("DELETE", f"/experiments/{experiment}")

    def plot(self, experiment: str, name: str, suffix: str = "png", **options: str | int) -> bytes:
        """A plot of it, such as `nc` or `last-layer`, as png, svg, pdf or html; json and csv are the numbers drawn."""
        return self._send("GET", f"/experiments/{experiment}/plots/{name}.{suffix}", params=options).content

    def compare(self, experiments: Sequence[str], name: str, suffix: str = "png", **options: str | int) -> bytes:
        """One picture of several."""
        query = {"ids": ",".join(experiments), **options}
        return self._send("GET", f"/compare/plots/{name}.{suffix}", params=query).content

    def features(self, experiment: str) -> list[Json]:
        """The array sets that were kept of it, with the addresses and digests of their arrays."""
        return self._json("GET", f"/experiments/{experiment}/features")["items"]

    def export(self, experiment: str, file: Path) -> None:
        """Write all that is on record of it into a file: `.zip` for another service, `.pkl` for any Python.

        Raises:
            NcmixError: it was not sent whole; then there is no file.
        """
        part = file.with_name(f".{file.name}.part")
        try:
            with self._http.stream("GET", f"/experiments/{experiment}/export{file.suffix}") as response:
                if response.is_error:
                    response.read()
                    raise ApiError(response.status_code, _problem(response))
                with part.open("wb") as opened:
                    for piece in response.iter_bytes():
                        opened.write(piece)
            part.replace(file)
        except httpx2.TransportError as error:
            raise NcmixError(f"The service at {self.url} did not send all of it: {error}.") from error
        finally:
            part.unlink(missing_ok=True)

    def import_file(self, file: Path) -> Json:
        """Put an experiment on record that another service exported as a zip; once, however often it is sent."""
        with file.open("rb") as opened:
            headers = {"Content-Type": "application/zip", "Content-Length": str(file.stat().st_size)}
            return self._json("POST", "/imports", content=iter(lambda: opened.read(_PIECE), b""), headers=headers)

    def submit_sweep(self, sweep: Sweep | Mapping[str, Any], dry_run: bool = False) -> Json:
        """Queue every cell of a sweep; the same again queues what is missing, failed or cancelled of it.

        With `dry_run` nothing is queued: the answer says how many cells there are and what they would take.
        """
        body = sweep.model_dump(mode="json") if isinstance(sweep, Sweep) else dict(sweep)
        return self._json("POST", "/sweeps", json=body, params={"dry_run": dry_run}, **_only_once())

    def sweep(self, sweep: str) -> Json:
        """One sweep as it is now."""
        return self._json("GET", f"/sweeps/{sweep}")

    def sweeps(self) -> Iterator[Json]:
        """All sweeps, newest first, page by page."""
        return self._pages("/sweeps", {})

    def sweep_table(self, sweep: str, **options: str | int | Sequence[str]) -> Json:
        """Means and deviations of metrics over the seeds of each spec, or by the fields `rows` and `columns`."""
        return self._json("GET", f"/sweeps/{sweep}/table", params=options)

    def cancel_sweep(self, sweep: str) -> Json:
        """Ask every experiment to end that is this sweep's own."""
        return self._json("POST", f"/sweeps/{sweep}/cancel")

    def retry_sweep(self, sweep: str) -> Json:
        """Queue what of it is missing, failed or cancelled."""
        return self._json("POST", f"/sweeps/{sweep}/retry-failed", **_only_once())

    def delete_sweep(self, sweep: str, experiments: bool = False) -> None:
        """Remove it, and with `experiments` those that are its own."""
        self._send("DELETE", f"/sweeps/{sweep}", params={"experiments": experiments})

    def follow(self, experiment: str, every: float = 0.25) -> Iterator[Json]:
        """The experiment again and again, as it changes, until it has ended."""
        while True:
            yield (now := self.experiment(experiment))
            if now["state"] in FINAL:
                return
            time.sleep(every)

    def _pages(self, path: str, filters: Mapping[str, str]) -> Iterator[Json]:
        cursor: dict[str, str] = {}
        while True:
            page = self._json("GET", path, params={**filters, **cursor})
            yield from page["items"]
            if not page["next_cursor"]:
                return
            cursor = {"cursor": page["next_cursor"]}

    def _json(self, method: str, path: str, **options: Any) -> Json:
        return self._send(method, path, **options).json()

    def _send(self, method: str, path: str, tries: int = 1, **options: Any) -> httpx2.Response:
        try:
            response = self._http.request(method, path, **options)
        except httpx2.TransportError as error:
            if tries > 1:
                time.sleep(_REST_SECONDS)
                return self._send(method, path, tries - 1, **options)
            raise NcmixError(f"The service at {self.url} does not answer: {error}.") from error
        if response.is_error:
            raise ApiError(response.status_code, _problem(response))
        return response


def _only_once() -> dict[str, Any]:
    """Options of a request that makes something: asked again when the answer was lost, it is still done once."""
    return {"headers": {"Idempotency-Key": secrets.token_hex(16)}, "tries": _TRIES}


def _problem(response: httpx2.Response) -> Json:
    if response.headers.get("content-type", "").startswith("application/problem+json"):
        return response.json()
    return {"title": response.reason_phrase, "detail": response.text[:500]}


def _sentence(status: int, problem: Json) -> str:
    text = problem.get("detail") or problem.get("title") or f"HTTP status {status}"
    errors = [f"  {e['pointer'].strip('/').replace('/', '.')}: {e['detail']}" for e in problem.get("errors", [])]
    return "\n".join([f"The service refused ({status}): {text}", *errors])
