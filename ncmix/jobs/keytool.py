"""`python -m ncmix.jobs.keytool`, or `ncmix keys`: API keys, by whoever can reach the database of the service."""

import argparse
import json
import logging
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from ncmix.errors import NcmixError
from ncmix.jobs import keys
from ncmix.jobs.database import Database, brief, now
from ncmix.jobs.migrate import migrate
from ncmix.jobs.scopes import SCOPES
from ncmix.jobs.service_tables import ApiKey
from ncmix.jobs.settings import Settings

_LOG = logging.getLogger(__name__)
_ROW = "{:<12}  {:<6}  {:<16}  {:<16}  {:<16}  {:<7}  {}\n"


def main(words: Sequence[str] | None = None) -> int:
    """Do what the words say; gives the exit status. What is printed on standard output is the answer alone."""
    arguments = _parser().parse_args(words)
    logging.basicConfig(level=logging.WARNING, format="%(message)s")
    try:
        settings = Settings.from_environment()
        if arguments.verb in ("create", "first"):
            # A key must be there before the service may be reached from elsewhere, so perhaps before its first start.
            migrate(settings.database_url)
        sys.stdout.write(_do(arguments, settings))
    except NcmixError as error:
        _LOG.error("%s", error)
        return 2
    except DBAPIError as error:
        _LOG.error("The database does not answer, or has no schema: %s", brief(error))
        return 2
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="ncmix keys", description=__doc__)
    parser.add_argument("--json", action="store_true", help="answer in JSON")
    verbs = parser.add_subparsers(dest="verb", required=True)
    create = verbs.add_parser("create", help="make a key and print it, this once")
    create.add_argument("name")
    create.add_argument("--scope", choices=SCOPES, default="submit")
    create.add_argument("--days", type=float)
    verbs.add_parser("first", help="make the admin key 'first' unless there ever was a key")
    verbs.add_parser("ls", help="list all keys")
    verbs.add_parser("revoke", help="end a key now").add_argument("id")
    rotate = verbs.add_parser("rotate", help="make a key in the place of another, which ends soon")
    rotate.add_argument("id")
    rotate.add_argument("--hours", type=float, default=24.0)
    return parser


def _do(arguments: argparse.Namespace, settings: Settings) -> str:
    database = Database(settings.database_url)
    try:
        with database.transaction() as session:
            return _answer(session, arguments)
    finally:
        database.dispose()


def _answer(session: Session, arguments: argparse.Namespace) -> str:
    instant = session.scalars(select(now())).one()
    match arguments.verb:
        case "create":
            document, text = _new(keys.issue(session, arguments.name, arguments.scope, arguments.days), instant)
        case "rotate":
            document, text = _new(keys.rotate(session, arguments.id, arguments.hours), instant)
        case "revoke":
            key = keys.revoke(session, arguments.id)
            document, text = _document(key, instant), f"The key {key.id} is revoked.\n"
        case "first":
            return _first(session)
        case _:
            rows = keys.listing(session)
            document, text = {"items": [_document(key, instant) for key in rows]}, _table(rows, instant)
    return f"{json.dumps(document, indent=2, ensure_ascii=False)}\n" if arguments.json else text


def _new(issued: keys.Issued, instant: float) -> tuple[dict[str, Any], str]:
    return {**_document(issued.key, instant), "key": issued.text}, f"{issued.text}\n"


def _document(key: ApiKey, instant: float) -> dict[str, Any]:
    """A key as JSON, without its secret."""
    times = {"created_at": key.created, "expires_at": key.expires, "used_at": key.used, "revoked_at": key.revoked}
    return {"id": key.id, "name": key.name, "scope": key.scope, "state": _state(key, instant)} | {
        name: None if at is None else f"{datetime.fromtimestamp(at, UTC):%Y-%m-%dT%H:%M:%SZ}"
        for name, at in times.items()
    }


def _first(session: Session) -> str:
    if keys.any_made(session):
        return "There are keys already: ncmix keys ls lists them.\n"
    made = keys.issue(session, "first", "admin")
    return f"The first API key, shown this once (scope admin):\n\n    {made.text}\n\n"


def _table(rows: Sequence[ApiKey], instant: float) -> str:
    head = _ROW.format("id", "scope", "created", "expires", "last used", "state", "name")
    return head + "".join(
        _ROW.format(
            key.id, key.scope, _day(key.created), _day(key.expires), _day(key.used), _state(key, instant), key.name
        )
        for key in rows
    )


def _day(instant: float | None) -> str:
    return "never" if instant is None else datetime.fromtimestamp(instant, UTC).strftime("%Y-%m-%d %H:%M")


def _state(key: ApiKey, instant: float) -> str:
    if key.revoked is not None:
        return "revoked"
    return "valid" if keys.usable(key, instant) else "expired"


if __name__ == "__main__":
    sys.exit(main())
