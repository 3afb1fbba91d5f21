"""`python -m api`: serves on an address, or on a listening socket that somebody else has opened."""

import argparse
import logging
import os
import socket
import sys
from collections.abc import Sequence

import uvicorn
from sqlalchemy.exc import DBAPIError

from api.app import create
from api.context import current
from api.gate import is_loopback
from ncmix.errors import NcmixError
from ncmix.jobs import journal, keys
from ncmix.jobs.database import Database, brief
from ncmix.jobs.settings import Settings, SettingsError

_LOG = logging.getLogger(__name__)
_STOP_SECONDS = 5


class AddressError(NcmixError, ValueError):
    """Nothing may or can listen there; the message is a sentence."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve until a signal comes; gives the exit status."""
    journal.set_up("api", os.environ)
    options = _options(arguments)
    try:
        settings = Settings.from_environment()
        listener = _listener(options, settings)
    except (SettingsError, AddressError) as error:
        _LOG.error("%s", error)
        return 2
    config = uvicorn.Config(
        create(settings), log_config=None, server_header=False, timeout_graceful_shutdown=_STOP_SECONDS
    )
    # Head and body of an answer are sent one after the other: the second must not wait 40 ms until the client has
    # acknowledged the first (Nagle). asyncio sees to that only on sockets that it made itself.
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    with listener:
        Server(config).run(sockets=[listener])
    return 0


class Server(uvicorn.Server):
    """Ends the streams before it waits for connections to close: they would not close by themselves."""

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Serve nothing new, finish what is under way, stop."""
        if (context := current(self.config.app)) is not None:
            context.watch.end()
        await super().shutdown(sockets)


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser("python -m api", description=__doc__)
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: 127.0.0.1)")
    parser.add_argument("--port", type=int, default=8000, help="port to listen on; 0 takes a free one (default: 8000)")
    parser.add_argument("--fd", type=int, help="serve on this inherited listening socket instead")
    return parser.parse_args(arguments)


def _listener(options: argparse.Namespace, settings: Settings) -> socket.socket:
    """The socket to serve on.

    Raises:
        AddressError: it would listen beyond this machine, or it cannot listen.
    """
    if options.fd is None:
        _refuse_remote(options.host, settings)
        return _open(options.host, options.port)
    try:
        listener = socket.socket(fileno=options.fd)
        host = listener.getsockname()[0]
    except OSError as error:
        raise AddressError(f"--fd {options.fd} is no socket: {error.strerror}.") from error
    try:
        _refuse_remote(host, settings)
    except AddressError:
        listener.close()
        raise
    return listener


def _open(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family)
    except (OSError, OverflowError) as error:
        raise AddressError(f"Nothing can listen on {host}:{port}: {error}.") from error


def _refuse_remote(host: str, settings: Settings) -> None:
    if is_loopback(host) or settings.trusted_network or not (why := _no_key(settings)):
        return
    raise AddressError(
        f"{host} can be reached from other machines, and {why}: whoever reaches it could submit and delete "
        "experiments. Make a key with ncmix keys create NAME; without one, allowed are loopback addresses such as "
        "127.0.0.1. NCMIX_TRUSTED_NETWORK=1 serves everybody, for use behind something that asks who comes."
    )


def _no_key(settings: Settings) -> str:
    """Why nobody would be asked for a key; empty if everybody will."""
    database = Database(settings.database_url)
    try:
        with database.reading() as session:
            return "" if keys.any_made(session) else "there is no API key yet"
    except DBAPIError as error:
        return f"the database does not say whether there is an API key ({brief(error)})"
    finally:
        database.dispose()


if __name__ == "__main__":
    sys.exit(main())
