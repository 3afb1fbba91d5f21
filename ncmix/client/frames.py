"""Metrics as pandas frames, where pandas is installed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ncmix.errors import NcmixError

if TYPE_CHECKING:
    import pandas as pd


class MissingPandasError(NcmixError, ImportError):
    """There is no pandas here."""


def frame(rows: list[dict[str, Any]], columns: list[str]) -> pd.DataFrame:
    """Rows as a frame; null becomes NaN.

    Raises:
        MissingPandasError: pandas is not installed.
    """
    try:
        import pandas as pd  # noqa: PLC0415 - optional, and slow to load
    except ImportError as error:
        raise MissingPandasError(
            "A frame needs pandas, which is not installed: pip install 'ncmix[client]'. `metric_rows` needs nothing."
        ) from error
    return pd.DataFrame(rows, columns=columns)
