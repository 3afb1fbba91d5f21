"""An experiment as something to copy: YAML, curl, Python and the command line."""

import json
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import yaml

from ncmix.spec import VOCABULARY
from ncmix.spec.short import shortened

# What is written as options; everything else goes through --set.
_OPTIONS = {"epochs": "--epochs", "batch_size": "--batch-size", "seed": "--seed", "name": "--name"}


@dataclass(frozen=True)
class Snippet:
    """Text in some language that asks for an experiment."""

    name: str
    title: str
    text: str


def snippets(spec: Mapping[str, Any], url: str) -> list[Snippet]:
    """Every way to ask a service at `url` for this spec; only what differs from the defaults is written."""
    short = shortened(spec)
    return [
        Snippet("yaml", "YAML", to_yaml(short)),
        Snippet("curl", "curl", _curl(short, url)),
        Snippet("python", "Python", _python(short, url)),
        Snippet("cli", "CLI", _command(short, url)),
    ]


def to_yaml(spec: Mapping[str, Any]) -> str:
    """The spec as a file for `ncmix submit --spec` and `ncmix train --spec`."""
    return yaml.safe_dump(dict(spec), sort_keys=False, allow_unicode=True, width=100)


def _curl(spec: Mapping[str, Any], url: str) -> str:
    body = shlex.quote(json.dumps(spec, indent=2, ensure_ascii=False))
    return f"curl -X POST {url}/api/v1/experiments -H 'content-type: application/json' -d {body}\n"


def _python(spec: Mapping[str, Any], url: str) -> str:
    lines = [f"    {name!r}: {value!r}," for name, value in spec.items()]
    return "\n".join(
        [
            "from ncmix.client import Client",
            "",
            "spec = {",
            *lines,
            "}",
            f"with Client({url!r}) as client:",
            "    experiment = client.submit(spec).wait(progress=True)",
            "    print(experiment.state, experiment.latest)",
            "",
        ]
    )


def _command(spec: Mapping[str, Any], url: str) -> str:
    return " \\\n  ".join([f"ncmix submit --url {url} --watch", *_words(spec)]) + "\n"


def _words(spec: Mapping[str, Any]) -> Iterator[str]:
    """Options, then a --set for every other field."""
    for name, value in spec.items():
        if name in VOCABULARY:
            fields = {"kind": value} if isinstance(value, str) else dict(value)
            yield from _part(name, fields)
        elif name in _OPTIONS:
            yield f"{_OPTIONS[name]} {shlex.quote(str(value))}"
        else:
            yield from _set(name, value)


def _part(axis: str, fields: dict[str, Any]) -> Iterator[str]:
    # `head` has no option of its own.
    yield f"--{axis} {fields.pop('kind')}" if axis != "head" else f"--set head={fields.pop('kind')}"
    for name, value in fields.items():
        yield from _set(f"{axis}.{name}", value)


def _set(path: str, value: Any) -> Iterator[str]:
    if isinstance(value, dict) and value:
        for name, inner in value.items():
            yield from _set(f"{path}.{name}", inner)
        return
    yield f"--set {shlex.quote(f'{path}={json.dumps(value, ensure_ascii=False)}')}"
