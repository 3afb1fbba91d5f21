"""The service does what its OpenAPI document says, and nothing else, whatever is asked: `make fuzz` asks much more."""

from pathlib import Path

import pytest

from tests.contract.recorded import service
from tests.contract.running import check


@pytest.mark.long
@pytest.mark.timeout(300)
def test_the_service_keeps_to_its_description(tmp_path: Path, database_url: str) -> None:
    home = tmp_path / "home"
    home.mkdir(exist_ok=True)
    with service(home, database_url) as offered:
        outcome = check(offered, tmp_path, examples=5, brief=True)
    assert outcome.passed, outcome.report
    # Fewer would mean that something of it was left out.
    assert outcome.cases > 2000
