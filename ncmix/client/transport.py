"""Requests to a service: what fails for a moment is asked again, and what makes something is still done once."""

import os
import random
import secrets
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Any

import httpx2

from ncmix.client.errors import ApiError, ForeignError, Json, UnreachableError
from ncmix.confidential import secret

ROOT = "/api/v1"
DEFAULT_URL = "http://127.0.0.1:8000"
TRIES = 4
_FIRST_REST_SECONDS, _LONGEST_REST_SECONDS = 0.25, 5.0
# A proxy whose service restarts says 502 or 504, ours says 503 while its database is away.
_PASSING = frozenset({502, 503, 504})


class Transport:
    """A connection to the service at `url`; any number of threads may use it."""

    def __init__(self, url: str | None, timeout: float, key: str | None) -> None:
        self.url = (url or os.environ.get("NCMIX_URL") or DEFAULT_URL).rstrip("/")
        key = key or secret(os.environ, "NCMIX_API_KEY")
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        self._http = httpx2.Client(base_url=f"{self.url}{ROOT}", timeout=timeout, headers=headers)

    def close(self) -> None:
        """Close its connections."""
        self._http.close()

    def get(self, path: str, query: Mapping[str, Any] | None = None, patience: float = 0.0) -> httpx2.Response:
        """What is at a path of the API; parameters that are None are left out."""
        return self._send("GET", path, patience, params={k: v for k, v in (query or {}).items() if v is not None})

    def ask(self, path: str, query: Mapping[str, Any] | None = None, patience: float = 0.0) -> Json:
        """The same, of what is JSON there."""
        return self._document(self.get(path, query, patience))

    def post(self, path: str, body: Any = None, **query: Any) -> Json:
        """Make or change something: once, even if an answer was lost and it is asked again."""
        headers = {"Idempotency-Key": secrets.token_hex(16)}
        return self._document(self._send("POST", path, json=body, params=query, headers=headers))

    def put_file(self, path: str, file: Path, media_type: str, piece: int = 2**20) -> Json:
        """Send a file, piece by piece."""
        with file.open("rb") as opened:
            headers = {"Content-Type": media_type, "Content-Length": str(file.stat().st_size)}
            content = iter(lambda: opened.read(piece), b"")
            return self._document(self._once("POST", path, content=content, headers=headers))

    def delete(self, path: str, **query: Any) -> None:
        """Remove something."""
        self._send("DELETE", path, params=query)

    def pages(self, path: str, query: Mapping[str, Any]) -> Iterator[Json]:
        """Every item of a list, page by page."""
        cursor = None
        while True:
            page = self.ask(path, {**query, "cursor": cursor})
            with self.reading():
                items, cursor = page["items"], page["next_cursor"]
            yield from items
            if not cursor:
                return

    def items(self, answer: Json) -> list[Json]:
        """Those of a list.

        Raises:
            ForeignError: it is none.
        """
        with self.reading():
            return answer["items"]

    @contextmanager
    def reading(self) -> Iterator[None]:
        """Within, an answer is read as one of such a service.

        Raises:
            ForeignError: it is none, or that of a version without what is read.
        """
        try:
            yield
        except (KeyError, TypeError, AttributeError, ValueError) as error:
            missing = f"has no {error.args[0]!r}" if isinstance(error, KeyError) else f"reads otherwise: {error}"
            raise ForeignError(
                f"No ncmix answers at {self.url}, or one of another version: an answer {missing}."
            ) from error

    def download(self, path: str, file: Path) -> None:
        """Write what is at a path into a file.

        Raises:
            UnreachableError: it was not sent whole; then there is no file.
        """
        part = file.with_name(f".{file.name}.part")
        try:
            with self.open(path) as response, part.open("wb") as opened:
                for piece in response.iter_bytes():
                    opened.write(piece)
            part.replace(file)
        finally:
            part.unlink(missing_ok=True)

    @contextmanager
    def open(self, path: str, **options: Any) -> Iterator[httpx2.Response]:
        """An answer that is read while it comes.

        Raises:
            UnreachableError: it breaks off, also within the block.
        """
        try:
            with self._http.stream("GET", path, **options) as response:
                if response.is_error:
                    response.read()
                    raise ApiError.of(response)
                self._recognise(response)
                yield response
        except httpx2.TransportError as error:
            raise self._unreachable(error) from error

    def _send(self, method: str, path: str, patience: float = 0.0, **options: Any) -> httpx2.Response:
        """The answer, asked for up to TRIES times, and as often as it takes for `patience` seconds."""
        deadline = time.monotonic() + patience
        for tried in count(1):
            try:
                return self._once(method, path, **options)
            except (UnreachableError, ApiError) as error:
                if method == "DELETE" and tried > 1 and _status(error) == 404:
                    # The answer was lost, not the request. It holds nothing that anybody needs.
                    return httpx2.Response(204)
                left = tried < TRIES or time.monotonic() < deadline
                if (seconds := rest(tried, error)) is None or not left:
                    raise
                time.sleep(seconds)
        raise AssertionError("count() does not end")

    def _once(self, method: str, path: str, **options: Any) -> httpx2.Response:
        try:
            response = self._http.request(method, path, **options)
        except httpx2.TransportError as error:
            raise self._unreachable(error) from error
        if response.is_error:
            raise ApiError.of(response)
        self._recognise(response)
        return response

    def _recognise(self, response: httpx2.Response) -> None:
        """Make sure that it comes from such a service, where nothing but plots is HTML and nothing is elsewhere.

        Raises:
            ForeignError: it does not.
        """
        if response.is_redirect:
            raise self._foreign(response, f"sends to {response.headers.get('location')}")
        path = response.url.path
        if _kind(response).startswith("text/html") and not path.endswith((".html", "/stream")):
            raise self._foreign(response, f"is {_kind(response)}")

    def _document(self, response: httpx2.Response) -> Json:
        """What an answer says.

        Raises:
            ForeignError: it is no JSON object.
        """
        try:
            document = response.json()
        except ValueError:
            document = None
        if not isinstance(document, dict):
            raise self._foreign(response, f"is {_kind(response)}, but no JSON object")
        return document

    def _foreign(self, response: httpx2.Response, why: str) -> ForeignError:
        return ForeignError(f"No ncmix answers at {self.url}: what came from {response.url} {why}.")

    def _unreachable(self, error: Exception) -> UnreachableError:
        return UnreachableError(f"The service at {self.url} does not answer: {error}.")


def rest(tried: int, error: Exception) -> float | None:
    """How many seconds to wait after so many tries; None if to ask again is of no use.

    Doubled each time, and never the same for two clients, so that they do not come back together.
    """
    grown = min(_LONGEST_REST_SECONDS, _FIRST_REST_SECONDS * 2.0 ** min(tried - 1, 10))
    grown *= random.uniform(0.75, 1.25)  # noqa: S311  # nosec B311
    match error:
        case ForeignError():
            return None
        case UnreachableError():
            return grown
        case ApiError(retry_after=float(asked)):
            return max(grown, asked)
        case ApiError(status=status) if status in _PASSING:
            return grown
        case _:
            return None


def _kind(response: httpx2.Response) -> str:
    return response.headers.get("content-type", "something without a type")


def _status(error: Exception) -> int | None:
    return error.status if isinstance(error, ApiError) else None
