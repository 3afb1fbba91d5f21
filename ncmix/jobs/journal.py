"""What the processes of a service log: a JSON object a line for machines, or text for people, to standard error.

Within `about` every line says which experiment it is of, those of other people's code too.
"""

import json
import logging
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from types import MappingProxyType, TracebackType

_FIELDS: ContextVar[Mapping[str, str | int]] = ContextVar("fields", default=MappingProxyType({}))
_TEXT = "%(asctime)s %(levelname)s %(name)s: %(message)s"
# What a child prints. It is on record as the experiment's log; only machines get it a second time.
CHILD = "child"


@contextmanager
def about(**fields: str | int) -> Iterator[None]:
    """Lines that this thread logs within the block have these fields."""
    token = _FIELDS.set({**_FIELDS.get(), **fields})
    try:
        yield
    finally:
        _FIELDS.reset(token)


def note(**fields: str | int) -> None:
    """The same up to the end of the task or thread that calls it."""
    _FIELDS.set({**_FIELDS.get(), **fields})


def set_up(process: str, environment: Mapping[str, str]) -> None:
    """Log as NCMIX_LOG_FORMAT says; what it may not say is refused when the settings are read.

    Args:
        process: which of the service's processes this is: api, worker.
        environment: where NCMIX_LOG_FORMAT stands.
    """
    asked = environment.get("NCMIX_LOG_FORMAT") or "auto"
    as_json = asked == "json" or (asked == "auto" and not sys.stderr.isatty())
    handler = logging.StreamHandler()
    handler.setFormatter(Json(process) if as_json else logging.Formatter(_TEXT))
    logging.basicConfig(level=logging.INFO, handlers=[handler])
    logging.captureWarnings(True)
    if as_json:
        sys.excepthook = _uncaught
        threading.excepthook = _uncaught_in_thread
    else:
        logging.getLogger(CHILD).setLevel(logging.WARNING)


class Json(logging.Formatter):
    """One object a line: time, level, process, logger, message, the fields of `about`, and the traceback if any."""

    converter = time.gmtime
    default_time_format = "%Y-%m-%dT%H:%M:%S"
    default_msec_format = "%s.%03dZ"

    def __init__(self, process: str) -> None:
        super().__init__()
        self._process = process

    def format(self, record: logging.LogRecord) -> str:
        """The line."""
        said = {
            "time": self.formatTime(record),
            "level": record.levelname,
            "process": self._process,
            "pid": record.process,
            "logger": record.name,
            "message": record.getMessage(),
            **_FIELDS.get(),
        }
        if record.exc_info:
            said["traceback"] = self.formatException(record.exc_info)
        return json.dumps(said, ensure_ascii=False, default=str)


def _uncaught(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    if issubclass(kind, KeyboardInterrupt):
        sys.__excepthook__(kind, error, trace)
        return
    logging.getLogger("python").critical("%s", error, exc_info=(kind, error, trace))


def _uncaught_in_thread(what: threading.ExceptHookArgs) -> None:
    if what.exc_value is not None:
        _uncaught(what.exc_type, what.exc_value, what.exc_traceback)
