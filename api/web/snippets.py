"""An experiment as something to copy: YAML, curl, Python and the command line."""

import json
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import yaml

from ncmix.spec import VOCABULARY, Spec

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
        Snippet("cli", "CLI", _command(short)),
    ]


def to_yaml(spec: Mapping[str, Any]) -> str:
    """The spec as a file for `ncmix train --spec`."""
    return yaml.safe_dump(dict(spec), sort_keys=False, allow_unicode=True, width=100)


def shortened(spec: Mapping[str, Any]) -> dict[str, Any]:
    """The spec without what a default says anyway; parts of which only the kind is left are that word."""
    return {
        name: _shortened(name, value)
        for name, value in spec.items()
        if name in ("dataset", "model") or value != _DEFAULTS.get(name)
    }


def _shortened(name: str, value: Any) -> Any:
    if name not in VOCABULARY or not isinstance(value, dict):
        return _without(value, _DEFAULTS.get(name))
    part = VOCABULARY[name].get(value.get("kind", ""))
    if part is None:  # from another time
        return value
    usual = {n: f.get_default() for n, f in part.model_fields.items() if not f.is_required()}
    kept = {n: v for n, v in value.items() if n == "kind" or n not in usual or v != _plain(usual[n])}
    return kept["kind"] if len(kept) == 1 else kept


def _without(value: Any, usual: Any) -> Any:
    """An object without the fields that are as usual."""
    if not isinstance(value, dict) or not isinstance(usual, dict):
        return value
    return {n: _without(v, usual.get(n)) for n, v in value.items() if n not in usual or v != usual[n]}


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


# Dataset and model have no default; any will do here.
_DEFAULTS = Spec.model_validate({"dataset": "digits", "model": "mlp"}).model_dump(mode="json")


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
            "    experiment = client.submit(spec)",
            "    for now in client.follow(experiment['id']):",
            "        print(now['state'], now['epoch'], now['latest'])",
            "",
        ]
    )


def _command(spec: Mapping[str, Any]) -> str:
    return " \\\n  ".join(["ncmix train", *_words(spec)]) + "\n"


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
