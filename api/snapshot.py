"""`python -m api.snapshot > docs/openapi.json`: the OpenAPI document as it is kept to be read and compared."""

import json
import sys

from api.app import create
from ncmix.jobs.settings import Settings


def text() -> str:
    """The document, the same on every machine and under all settings."""
    document = create(Settings.from_environment({})).openapi()
    return json.dumps(document, indent=1, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    sys.stdout.write(text())
