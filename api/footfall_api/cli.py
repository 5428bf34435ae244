"""The command line of ``footfall-api``: read the settings; listen and serve until asked to stop, or do a command."""

import argparse
import asyncio
import contextlib
import logging
import os
import resource
import signal
import socket
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Final

import uvicorn
from fastapi import FastAPI
from prometheus_client import CollectorRegistry, disable_created_metrics

import footfall_contract
from footfall_api import public_mqtt, tokens, watched
from footfall_api.app import create_app
from footfall_api.connections import KEEP_ALIVE_S, UNREAD_S, protocol_of
from footfall_api.dump import command as dump
from footfall_api.dump.folder import DumpError
from footfall_api.gate import MAX_HEAD
from footfall_api.ngsi_ld import push
from footfall_api.ngsi_ld.progress import ProgressError
from footfall_api.settings import ApiSettings, HttpSettings
from footfall_role import logs, metrics, unsafe
from footfall_role.notify import ServiceManager
from footfall_role.settings import WRONG_SETTINGS, SettingsError, print_config

log = logging.getLogger(__name__)

_OTHER_FILES: Final = 100
"""What the process has open beside its connections: files that are sent, the feed, the log."""

_GRACE_S: Final = 2
"""How long answers under way may take when the process is asked to stop; streams end at once."""


def run(argv: Sequence[str] | None = None) -> int:
    """Do what `argv` asks for and return the exit status.

    0: served until asked to stop, printed, or did what the command says; 1: it could not, and a sentence on standard
    error says why; `WRONG_SETTINGS`: the same, and the next start would fail as well before the settings are mended.
    """
    options = _parser().parse_args(argv)
    if options.command == tokens.COMMAND:
        return tokens.run()  # whatever the settings are: it makes what may be wrong in them
    try:
        settings = ApiSettings.load(options.config)
        if options.print_config:
            sys.stdout.write(print_config(settings))
            return 0
        logs.configure(settings.log_level, settings.log_format)
        unsafe.refuse(settings.unsafe_things(), accepted=settings.unsafe)
        run_command: Callable[[argparse.Namespace, ApiSettings], int] | None = options.run
        return serve(settings) if run_command is None else run_command(options, settings)
    except SettingsError as error:
        _refused(str(error))
        return WRONG_SETTINGS
    except (DumpError, ProgressError) as error:
        return _refused(str(error))
    except OSError as error:
        place = f"{error.filename}: " if error.filename else ""
        return _refused(f"{place}{error.strerror or error}")


def _refused(reason: str) -> int:
    sys.stderr.writelines(f"footfall-api: {line}\n" for line in reason.splitlines())
    return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="footfall-api",
        description="Serve the counts: JSON, CSV, a live stream and the page; or, with a command, send them to others. "
        "It only reads.",
    )
    parser.add_argument("--version", action="version", version=f"footfall-api {footfall_contract.__version__}")
    parser.add_argument("--config", type=Path, metavar="FILE", help="api.toml; FOOTFALL_* variables override it")
    parser.add_argument(
        "--print-config", action="store_true", help="show the settings in force, secrets masked, and leave"
    )
    parser.set_defaults(run=None)
    # The same option after the command; SUPPRESS keeps what stands before it.
    config = argparse.ArgumentParser(add_help=False)
    config.add_argument("--config", type=Path, metavar="FILE", default=argparse.SUPPRESS, help="api.toml")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", title="commands; without one it serves")
    for command in (dump, push, public_mqtt, tokens):
        command.add_parser(commands, config)
    return parser


def serve(settings: ApiSettings) -> int:
    """Listen and answer until SIGINT or SIGTERM; then end within three seconds, live streams or not.

    Raises:
        OSError: the port is taken or may not be used.
    """
    disable_created_metrics()  # type: ignore[no-untyped-call]  # a second series for each counter, which nobody reads
    app = create_app(settings)
    _warn(settings)
    _make_room(settings.limits.connections + settings.database.pool_size + _OTHER_FILES)
    manager = ServiceManager()

    async def alive() -> None:
        manager.alive()  # in the event loop that answers: while that is held up, there is no sign of life

    with contextlib.closing(_listen(settings.http)) as listener:
        metrics.serve(settings.metrics, "api", footfall_contract.__version__, of=registries_of(app))
        host, port = listener.getsockname()[:2]
        log.info("listening", extra=logs.facts(url=f"http://{f'[{host}]' if ':' in host else host}:{port}"))
        config = uvicorn.Config(
            app,
            log_config=None,  # ours is set
            access_log=False,  # no addresses of readers in our logs; the metrics count
            timeout_graceful_shutdown=_GRACE_S,
            server_header=False,
            callback_notify=alive,
            timeout_notify=0,  # it is asked once in a second
            http=protocol_of(settings, app.state.telemetry),
            ws="none",
            proxy_headers=False,  # uvicorn's own take any text for an address; see `proxies`
            h11_max_incomplete_event_size=2 * MAX_HEAD,  # what is longer is refused in words
            timeout_keep_alive=KEEP_ALIVE_S,
        )
        server = _Server(config, app, manager)
        asyncio.run(server.serve(sockets=[listener]))
    return 0 if server.started else 1


def registries_of(app: FastAPI) -> list[CollectorRegistry]:
    """What the operator's port answers: what the API's own port does, and how the installation is doing."""
    return [app.state.telemetry.registry, watched.registry_of(app.state.settings.database, app.state.clock)]


def _listen(settings: HttpSettings) -> socket.socket:
    try:
        family = socket.getaddrinfo(settings.host, settings.port, type=socket.SOCK_STREAM)[0][0]
        listener = socket.create_server((settings.host, settings.port), family=family, backlog=2048)
    except OSError as error:
        # The system's words: the library adds the address a second time. Not so for a name that is none.
        reason = error.strerror if isinstance(error, socket.gaierror) else os.strerror(error.errno or 0)
        place = f"{settings.host}:{settings.port}"
        raise OSError(
            error.errno, f"cannot listen on {place}: {reason}; set [http] host and port to free ones"
        ) from error
    # Connections inherit it. The event loop sets it only on sockets that it made itself, and without it the second
    # piece of an answer waits until the client has confirmed the first, which clients put off for 40 ms.
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if hasattr(socket, "TCP_USER_TIMEOUT"):  # Linux
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, UNREAD_S * 1000)
    return listener


def _warn(settings: ApiSettings) -> None:
    """Say what is less safe than it could be."""
    is_public = bool(settings.http.public_url) or not unsafe.is_this_machine(settings.http.host)
    if is_public and settings.public.tokens.plain:
        log.warning(
            "operator_token stands in the settings as it is: whoever reads them or a copy has it, and one that was "
            "chosen may be guessed. footfall-api token makes one of which only the hash is needed here"
        )


def _make_room(files: int) -> None:
    """Let this process have so many files and connections open; where the system does not, the log says how many."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or soft >= files:
        return
    allowed = files if hard == resource.RLIM_INFINITY else min(files, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, hard))
    if allowed < files:
        log.warning(
            "the system lets this process open %d files, fewer than connections in [limits] wants (%d): raise "
            "LimitNOFILE, or lower connections",
            allowed,
            files,
        )


class _Server(uvicorn.Server):
    """Ends live streams before it waits for answers under way, and leaves with status 0 when asked to stop.

    `manager` hears when it answers and when it begins to leave.
    """

    def __init__(self, config: uvicorn.Config, app: FastAPI, manager: ServiceManager) -> None:
        super().__init__(config)
        self._feed = app.state.feed
        self._manager = manager

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin to answer. The database may come when it likes: until then answers say that it is not there."""
        await super().startup(sockets)
        if self.started:
            self._manager.ready()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """End the streams, then everything."""
        self._manager.stopping()
        self._feed.close()
        await super().shutdown(sockets)

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Stop on SIGINT and SIGTERM. The library would raise the signal again at the end and so end with an error."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self.handle_exit, number, None)
        yield
