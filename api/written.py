"""Answers as JSON, written without the detour over their models: lists and metrics are asked for all the time.

They are what the models say they are; a test compares them.
"""

import json
from collections.abc import Sequence
from typing import Any

from fastapi import Response
from pydantic_core import to_json

from api import models
from ncmix.jobs.queries import Page
from ncmix.jobs.stored import Stored
from ncmix.results import MetricRow

_LINKS = models.links("<id>").model_dump_json()


def answer(body: str | bytes) -> Response:
    """A response of JSON."""
    return Response(body, media_type="application/json")


def experiment(stored: Stored) -> str:
    """A models.Experiment, with what the database holds as JSON as it is."""
    tags: list[str] = json.loads(stored.spec).get("tags", [])
    links = _LINKS.replace("<id>", stored.row.id)
    facts = _json(models.facts(stored.row, tags)).removesuffix("}")
    return f'{facts},"spec":{stored.spec},"latest":{stored.latest},"links":{links}}}'


def experiments(page: Page[Stored]) -> str:
    """A models.Experiments."""
    items = ",".join(map(experiment, page.items))
    return f'{{"items":[{items}],"next_cursor":{_json(page.next_cursor)}}}'


def metrics(rows: Sequence[MetricRow]) -> bytes:
    """A models.Metrics."""
    return to_json({"items": rows})


def _json(value: Any) -> str:
    return to_json(value).decode()
