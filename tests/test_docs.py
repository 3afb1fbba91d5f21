"""The documents say what the code does: every setting is listed, every local link leads somewhere."""

import re
from pathlib import Path

from ncmix.plots import PLOTS

ROOT = Path(__file__).parent.parent
SOURCES = [p for package in ("ncmix", "api", "worker") for p in (ROOT / package).rglob("*.py")]
DOCUMENTS = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]


def test_every_setting_is_in_the_operations_page() -> None:
    read = {name for p in SOURCES for name in re.findall(r'"(NCMIX_[A-Z]+(?:_[A-Z]+)*)"', p.read_text())}
    page = (ROOT / "docs" / "operations.md").read_text()
    assert {"NCMIX_HOME", "NCMIX_LEASE_SECONDS", "NCMIX_TRUSTED_NETWORK"} <= read
    assert not {name for name in read if name.removesuffix("_FILE") not in page}


def test_every_link_to_a_file_leads_to_one() -> None:
    for document in DOCUMENTS:
        for target in re.findall(r"\]\(((?!https?:|#)[^)]+)\)", document.read_text()):
            assert (document.parent / target.split("#")[0]).exists(), f"{document.name}: {target}"


def test_the_readme_lists_every_plot() -> None:
    table = (ROOT / "README.md").read_text().partition("## What is drawn")[2]
    assert re.findall(r"^\| `([a-z-]+)` \|", table, re.MULTILINE) == list(PLOTS)
