"""Bytes outside of the database: objects in a folder or a bucket, each written once and never changed."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

import obstore
from obstore.exceptions import BaseError
from obstore.store import LocalStore, S3Store

from ncmix import durable
from ncmix.errors import NcmixError

if TYPE_CHECKING:
    from obstore.store import ClientConfig, RetryConfig

# The database alone.
SQL = "sql"

# Enough for a hiccup; a store that is gone must be noticed before a lease ends.
_RETRIES: "RetryConfig" = {"max_retries": 3}
_CLIENT: "ClientConfig" = {"connect_timeout": "5s", "timeout": "30s", "allow_http": True}


class ObjectError(NcmixError, RuntimeError):
    """An object cannot be had or written, or the store cannot be used at all; the message is a sentence."""


class Objects:
    """The objects under an address, `file:///folder` or `s3://bucket/prefix`.

    Credentials, region and endpoint of S3 are those of the AWS_* variables; http only if AWS_ENDPOINT_URL says so.
    """

    def __init__(self, url: str) -> None:
        """
        Raises:
            ObjectError: the address cannot be used.
        """
        self.url, self._root = url, None
        try:
            if urlsplit(url).scheme == "file":
                self._root = Path(unquote(urlsplit(url).path))
                self._store = LocalStore(self._root, mkdir=True, automatic_cleanup=True)
            else:
                self._store = S3Store.from_url(url, client_options=_CLIENT, retry_config=_RETRIES)
        except (BaseError, OSError) as error:
            raise ObjectError(f"The feature store {url} cannot be used: {_brief(error)}.") from error

    def put(self, name: str, data: bytes | memoryview) -> None:
        """Write an object; once this returns it is there to stay.

        Raises:
            ObjectError: it cannot be written.
        """
        try:
            obstore.put(self._store, name, data, use_multipart=False)
            if self._root:
                durable.sync(self._root / name)
                durable.sync((self._root / name).parent)
        except (BaseError, OSError) as error:
            raise ObjectError(f"{name} cannot be written to {self.url}: {_brief(error)}.") from error

    def get(self, name: str) -> memoryview:
        """The bytes of an object.

        Raises:
            ObjectError: it is not there, or the store does not answer.
        """
        try:
            return memoryview(obstore.get(self._store, name).bytes())
        except (BaseError, OSError) as error:
            raise ObjectError(f"{name} cannot be read from {self.url}: {_brief(error)}.") from error

    def names(self) -> Iterator[str]:
        """Every object there is.

        Raises:
            ObjectError: the store does not answer.
        """
        yield from self._listed(None)

    def forget(self, folder: str) -> None:
        """Remove all that is under a name, if anything is.

        Raises:
            ObjectError: the store does not answer.
        """
        names = list(self._listed(folder))
        try:
            if names:
                obstore.delete(self._store, names)
        except FileNotFoundError:
            pass  # Somebody else was at it; what is left over is for the next sweep.
        except (BaseError, OSError) as error:
            raise ObjectError(f"{folder} cannot be removed from {self.url}: {_brief(error)}.") from error

    def _listed(self, folder: str | None) -> Iterator[str]:
        try:
            for found in obstore.list(self._store, prefix=folder):
                yield from (meta["path"] for meta in found)
        except (BaseError, OSError) as error:
            raise ObjectError(f"The feature store {self.url} cannot be listed: {_brief(error)}.") from error


def opened(url: str) -> Objects | None:
    """The objects at the address that a setting names; None if features are in the database.

    Raises:
        ObjectError: the address cannot be used.
    """
    return None if url == SQL else Objects(url)


def _brief(error: Exception) -> str:
    """The first line: behind it comes the whole conversation."""
    return str(error).partition("\n")[0].partition(": <?xml")[0].rstrip(".")
