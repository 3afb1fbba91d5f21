"""How many bytes the features of an experiment will take, and whether there is room for them."""

import shutil
from pathlib import Path
from urllib.parse import unquote, urlsplit

from sqlalchemy import func, make_url, select
from sqlalchemy.orm import Session

from ncmix.errors import NcmixError
from ncmix.jobs.settings import Settings
from ncmix.jobs.states import LIVE
from ncmix.jobs.tables import Experiment, FeatureSet
from ncmix.spec import Spec, workload

# Of models of timm only a worker knows: what most of the large ones have.
_USUAL_DIMENSION = 2048


class NoRoomError(NcmixError, RuntimeError):
    """Features are expected to take more bytes than there are; the message is a sentence that names both."""


def expected(spec: Spec) -> int:
    """How many bytes will be kept of all epochs (`workload`); of an image folder, which only a worker can see, 0."""
    return workload(spec, _USUAL_DIMENSION).feature_bytes or 0


def check(session: Session, settings: Settings) -> None:
    """Make sure that all that is on record or expected has room; to be asked within the transaction that submits.

    Raises:
        NoRoomError: it has not.
    """
    coming = session.scalar(select(func.sum(Experiment.feature_bytes)).where(Experiment.state.in_(LIVE))) or 0
    if (quota := settings.feature_quota) is not None:
        kept = session.scalar(select(func.sum(FeatureSet.size))) or 0
        if kept + coming > quota:
            raise NoRoomError(
                f"Features take {kept:,} bytes, and with this one those that are queued or running are expected to "
                f"take {coming:,} more; NCMIX_FEATURE_QUOTA allows {quota:,}."
            )
    folder = _folder(settings)
    if folder and coming > (free := shutil.disk_usage(folder).free):
        raise NoRoomError(
            f"With this one the features of what is queued or running are expected to take {coming:,} bytes; "
            f"{folder} has {free:,} left."
        )


def _folder(settings: Settings) -> Path | None:
    """Where the bytes will lie on a disk that this process can see."""
    if settings.feature_store.startswith("file://"):
        return _there(Path(unquote(urlsplit(settings.feature_store).path)))
    database = make_url(settings.database_url)
    if settings.feature_store == "sql" and database.get_backend_name() == "sqlite" and database.database:
        return _there(Path(database.database).parent)
    return None


def _there(folder: Path) -> Path:
    return next(path for path in (folder, *folder.parents) if path.exists())
