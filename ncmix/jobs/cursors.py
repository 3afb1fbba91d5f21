"""Keyset cursors: the last row of a page, as a word that asks for those behind it."""

import base64
import binascii

from ncmix.errors import NcmixError


class CursorError(NcmixError, ValueError):
    """A cursor is none of ours; the message is a sentence."""


def write(created: float, row_id: str) -> str:
    """The cursor of the row that was created then and has this id."""
    return base64.urlsafe_b64encode(f"{created!r} {row_id}".encode()).decode().rstrip("=")


def read(cursor: str) -> tuple[float, str]:
    """When the last row was created, and its id.

    Raises:
        CursorError: the cursor is none of ours.
    """
    try:
        created, row_id = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)).decode().split(" ")
        if not row_id.isalnum():  # a NUL, say, which PostgreSQL takes in no string
            raise ValueError(row_id)
        return float(created), row_id
    except (ValueError, binascii.Error) as error:
        raise CursorError(f"{cursor!r} is not a cursor; allowed is a next_cursor that a list gave.") from error
