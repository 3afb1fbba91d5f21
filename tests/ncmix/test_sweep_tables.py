"""Tables of sweeps in a terminal: where not all numbers fit, several tables, each with what its rows are."""

import pytest
from rich.console import Console

from ncmix.cli import sweep


def shown(monkeypatch: pytest.MonkeyPatch, width: int) -> list[str]:
    """The lines of a table of two rows and three numbers in a terminal so wide."""
    console = Console(width=width, record=True, force_terminal=False)
    monkeypatch.setattr(sweep, "roomy", lambda: console)
    statistic = {"n": 2, "mean": 0.98765, "std": 0.001}
    metrics = {"train": dict.fromkeys(("accuracy", "nc1", "nc2_angle_means"), statistic)}
    groups = [
        {"fields": {"loss.kind": kind}, "cells": 2, "succeeded": 2, "metrics": metrics if kind == "mse" else {}}
        for kind in ("mse", "[b]")
    ]
    sweep._groups({"fields": ["loss.kind"], "items": groups}, "train")
    return [line.rstrip() for line in console.export_text().splitlines()]


@pytest.mark.parametrize(("width", "tables"), [(200, 1), (70, 2), (50, 3)])
def test_nothing_is_cut_off(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], width: int, tables: int
):
    lines = shown(monkeypatch, width)
    assert sum("mean ± std" in line for line in lines) == tables
    assert sum(line.count("0.988 ± 0.001 (2)") for line in lines) == 3
    assert not any("…" in line for line in lines)
    assert sum("[b]" in line for line in lines) == tables  # A word of a spec is no markup, whatever it looks like.
