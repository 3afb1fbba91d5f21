"""What the service answers about array sets."""

from collections.abc import Sequence
from typing import Any

from pydantic import BaseModel, Field

from api.models import ROOT
from ncmix.jobs import tables
from ncmix.jobs.chunks import columns_of


class Array(BaseModel):
    """An array of a set: little endian, in C order; `sha256` is that of its `bytes` without any header."""

    name: str
    dtype: str = Field(examples=["<f2"])
    shape: list[int] = Field(examples=[[5000, 512]])
    bytes: int
    sha256: str
    npy: str = Field(description="Its address as a file of NumPy")


class FeatureSet(BaseModel):
    """Arrays with one row a sample, kept of one epoch; `facts` are what has no rows. `files` are of all its arrays."""

    name: str
    epoch: int
    rows: int
    bytes: int
    arrays: list[Array]
    facts: dict[str, Any]
    files: dict[str, str]

    @classmethod
    def of(cls, experiment_id: str, kept: tables.FeatureSet) -> "FeatureSet":
        """The set as it is shown."""
        here = f"{ROOT}/experiments/{experiment_id}/features/{kept.name}"
        arrays = [
            Array(
                name=name,
                dtype=column.dtype.str,
                shape=list(column.shape),
                bytes=column.size,
                sha256=column.sha256,
                npy=f"{here}.npy?epoch={kept.epoch}&array={name}",
            )
            for name, column in columns_of(kept).items()
        ]
        files = {kind: f"{here}.{kind}?epoch={kept.epoch}" for kind in ("npz", "parquet")}
        return cls(
            name=kept.name,
            epoch=kept.epoch,
            rows=kept.rows,
            bytes=kept.size,
            arrays=arrays,
            facts=kept.facts,
            files=files,
        )


class FeatureSets(BaseModel):
    """The array sets of an experiment by epoch and name."""

    items: list[FeatureSet]

    @classmethod
    def of(cls, experiment_id: str, kept: Sequence[tables.FeatureSet]) -> "FeatureSets":
        """The sets as they are shown."""
        return cls(items=[FeatureSet.of(experiment_id, one) for one in kept])
