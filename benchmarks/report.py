"""What every benchmark leaves: a table on the terminal, and a JSON file that says where and when it was made."""

import json
import os
import platform
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

_WIDTH = 110

FOLDER = Path("build") / "bench"


@dataclass(frozen=True)
class Table:
    """Rows of what was measured; numbers are written with three digits."""

    title: str
    columns: tuple[str, ...]
    rows: Sequence[tuple[str | float | None, ...]]


def machine() -> dict[str, str | int]:
    """Hardware, versions and date."""
    import numpy  # noqa: PLC0415 - so that a table can be drawn without it
    import torch  # noqa: PLC0415

    found: dict[str, str | int] = {
        "date": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "processor": _processor(),
        "cores": len(os.sched_getaffinity(0)),
        "threads": torch.get_num_threads(),
        "system": platform.platform(),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "numpy": numpy.__version__,
    }
    if torch.cuda.is_available():
        found |= {"gpu": torch.cuda.get_device_name(), "cuda": str(torch.version.cuda)}
    return found


def _processor() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.machine())


def write(name: str, tables: Sequence[Table], **settings: Any) -> Path:
    """The tables as build/bench/NAME.json; written beside and renamed, again after each of them if need be."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    file = FOLDER / f"{name}.json"
    content = {"machine": machine(), "settings": settings, "tables": [asdict(table) for table in tables]}
    beside = file.with_suffix(".tmp")
    beside.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n")
    beside.replace(file)
    return file


def show(table: Table) -> None:
    """On the terminal, by rich where it is there."""
    texts = [[_text(cell) for cell in row] for row in table.rows]
    try:
        from rich import box  # noqa: PLC0415 - a machine lent for an hour may lack it
        from rich.console import Console  # noqa: PLC0415
        from rich.table import Table as Drawn  # noqa: PLC0415
    except ImportError:
        print("\n".join(_plain(table, texts)))
        return
    drawn = Drawn(box=box.SIMPLE_HEAD)
    for i, column in enumerate(table.columns):
        numeric = bool(table.rows) and isinstance(table.rows[0][i], float)
        drawn.add_column(column, justify="right" if numeric else "left", no_wrap=True)
    for row in texts:
        drawn.add_row(*row)
    console = Console(width=max(_WIDTH, Console().width))  # no number is cut off, whatever the terminal
    console.print(table.title, drawn, sep="\n", highlight=False)


def _plain(table: Table, texts: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(map(len, column)) for column in zip(table.columns, *texts, strict=True)]
    lines = ("  ".join(cell.ljust(w) for cell, w in zip(row, widths, strict=True)) for row in (table.columns, *texts))
    return [table.title, *(line.rstrip() for line in lines), ""]


def _text(cell: str | float | None) -> str:
    match cell:
        case None:
            return "–"
        case str():
            return cell
        case _:
            return f"{cell:,.0f}" if abs(cell) >= 1000 else f"{cell:.3g}"
