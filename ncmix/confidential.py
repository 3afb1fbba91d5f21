"""Secrets from outside: in a variable, or in the file that the variable with `_FILE` behind its name points to."""

from collections.abc import Mapping
from pathlib import Path

from ncmix.errors import NcmixError


class SecretError(NcmixError, ValueError):
    """A secret cannot be read; the message is a sentence that never holds it."""


def secret(environment: Mapping[str, str], name: str) -> str | None:
    """The value of a variable, or of the file that the variable with `_FILE` behind its name points to.

    Raises:
        SecretError: both are set, or the file cannot be read.
    """
    value, path = environment.get(name), environment.get(f"{name}_FILE")
    if not path:
        return value or None
    if value:
        raise SecretError(f"{name} and {name}_FILE are both set; allowed is one of them.")
    try:
        return Path(path).read_text().strip() or None
    except OSError as error:
        raise SecretError(f"{name}_FILE is {path!r}, which cannot be read: {error.strerror}.") from error
