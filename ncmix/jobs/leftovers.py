"""What nobody needs any more, found and removed: `python -m ncmix.jobs.leftovers [--days N]`, or `ncmix jobs gc`."""

import argparse
import json
import logging
import re
import shutil
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from ncmix.jobs import features
from ncmix.jobs.database import Database
from ncmix.jobs.objects import ObjectError, Objects
from ncmix.jobs.retention import Expired, expire
from ncmix.jobs.settings import Keep, Settings, SettingsError
from ncmix.jobs.states import HELD
from ncmix.jobs.tables import CheckpointFile, Experiment, FeatureSet

_ID = re.compile(r"[0-9a-f]{20}")
_OBJECT = re.compile(r"[0-9a-f]{20}/[0-9a-f]{16}/[^/]+")
_LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class Leftovers:
    """Folders of checkpoints without an experiment, rows whose file is gone, sets that were never completed, folders in
    the feature store that no set has.
    """

    folders: list[Path]
    missing: list[str]
    sets: list[int]
    objects: list[str]

    def sentences(self) -> Iterator[str]:
        """One for each kind that there is."""
        if self.folders:
            yield f"{len(self.folders)} folders of checkpoints belong to no experiment: ncmix jobs gc removes them."
        if self.missing:
            first = self.missing[0]
            yield f"{len(self.missing)} checkpoints on record have no file, {first} first: is the folder right?"
        if self.sets:
            yield f"{len(self.sets)} sets of features were never completed: ncmix jobs gc removes them."
        if self.objects:
            yield f"{len(self.objects)} folders in the feature store belong to no set: ncmix jobs gc removes them."


def stored(objects: Objects | None) -> frozenset[str]:
    """The folders in the feature store that can be a set's. To be asked before the rows: a set's row comes first.

    Raises:
        ObjectError: the store does not answer.
    """
    names = objects.names() if objects else ()
    return frozenset(name.rpartition("/")[0] for name in names if _OBJECT.fullmatch(name))


def leftovers(session: Session, settings: Settings, folders: frozenset[str]) -> Leftovers:
    """What is left over now, of `folders` in the feature store too; nothing that belongs to a running experiment."""
    store = settings.checkpoint_dir
    there = [path for path in store.iterdir() if path.is_dir()] if store.is_dir() else []
    there = [path for path in there if _ID.fullmatch(path.name)]
    known = set(session.scalars(select(Experiment.id).where(Experiment.id.in_([path.name for path in there]))))
    at_rest = select(Experiment.id).where(Experiment.state.not_in(HELD))
    files = session.scalars(select(CheckpointFile.path).where(CheckpointFile.experiment_id.in_(at_rest)))
    writing = select(FeatureSet.id).where(FeatureSet.state == "writing", FeatureSet.experiment_id.in_(at_rest))
    return Leftovers(
        # If it knows none of them, this is more likely another database than a folder of leftovers.
        folders=[path for path in there if path.name not in known] if known else [],
        missing=[path for path in files if not (store / path).exists()],
        sets=list(session.scalars(writing)),
        objects=_orphans(session, folders),
    )


def _orphans(session: Session, folders: frozenset[str]) -> list[str]:
    """Those folders in the feature store that no set has."""
    kept = set(session.scalars(select(FeatureSet.folder).where(FeatureSet.folder.is_not(None))))
    known = set(session.scalars(select(Experiment.id)))
    # Of none of these experiments: this is more likely another database's store.
    ours = any(folder.partition("/")[0] in known for folder in folders)
    return sorted(folders - kept) if ours else []


def collect(database: Database, settings: Settings, keep: Keep | None = None) -> tuple[Leftovers, Expired]:
    """Remove what is left over, and what is kept no longer by the settings' policy or another one."""
    folders = stored(database.objects)
    with database.transaction() as session:
        found = leftovers(session, settings, folders)
        session.execute(delete(FeatureSet).where(FeatureSet.id.in_(found.sets)))
        found = replace(found, objects=_orphans(session, folders))
    for folder in found.folders:
        shutil.rmtree(folder, ignore_errors=True)
    for folder in found.objects:
        features.forget(database, folder)
    return found, expire(database, settings, keep or settings.keep)


def main() -> int:
    """Remove what is left over and say what it was."""
    parser = argparse.ArgumentParser(prog="ncmix jobs gc", description=__doc__)
    parser.add_argument("--days", type=float, help="instead of NCMIX_KEEP_CHECKPOINT_DAYS")
    parser.add_argument("--json", action="store_true", help="answer in JSON")
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    try:
        settings = Settings.from_environment()
    except SettingsError as error:
        _LOG.error("%s", error)
        return 2
    try:
        database = Database.of(settings)
        try:
            days = settings.keep.checkpoint_days if arguments.days is None else arguments.days
            found, expired = collect(database, settings, replace(settings.keep, checkpoint_days=days))
        finally:
            database.dispose()
    except ObjectError as error:
        _LOG.error("%s", error)
        return 1
    if arguments.json:
        removed = {"folders": len(found.folders), "sets": len(found.sets), "objects": len(found.objects)}
        sys.stdout.write(f"{json.dumps({'removed': removed, 'expired': asdict(expired)}, indent=2)}\n")
    else:
        _say(found, expired)
    return 0


def _say(found: Leftovers, expired: Expired) -> None:
    counts = (len(found.folders), len(found.sets), len(found.objects))
    _LOG.info("Removed: %d folders of checkpoints, %d sets of features, %d folders in the feature store.", *counts)
    _LOG.info(
        "Kept no longer: checkpoints of %d experiments, logs of %d, %d sets of features (%.1f MB).",
        expired.checkpoints,
        expired.logs,
        expired.sets,
        expired.set_bytes / 1e6,
    )


if __name__ == "__main__":
    sys.exit(main())
