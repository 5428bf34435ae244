"""A small context broker: a real HTTP server that checks and keeps NGSI-LD entities, and can be made to fail."""

import json
import re
import socket
import struct
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar, Self
from urllib.parse import parse_qs, urlsplit

from footfall_demo.ports import free_port

Entity = dict[str, Any]

_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")
_PATH = "/ngsi-ld/v1/entityOperations/upsert"


def fault_of(entity: Any) -> str | None:
    """What is wrong with a normalised entity; None: nothing."""
    if not isinstance(entity, dict) or not str(entity.get("id", "")).startswith("urn:ngsi-ld:"):
        return "the id is no URN"
    if entity.get("type") != "CrowdFlowObserved" or not entity.get("@context"):
        return "the type or the context is missing"
    for name, attribute in entity.items():
        if name in {"id", "type", "@context"}:
            continue
        if not isinstance(attribute, dict) or attribute.get("type") not in {"Property", "GeoProperty"}:
            return f"{name} is no attribute"
        if attribute.get("value") is None:
            return f"{name} has no value"
        if "observedAt" in attribute and not _TIME.fullmatch(attribute["observedAt"]):
            return f"{name} was observed at no time"
    return None if "dateObserved" in entity else "dateObserved is missing"


@dataclass
class Fault:
    """What the broker does instead with one request. `applies`: it takes the entities all the same."""

    status: int = 0
    """0: it breaks the connection off."""
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    applies: bool = False
    in_the_middle: bool = False
    """It breaks off in the middle of its answer."""


class ContextBroker:
    """A context with the broker, on a port that it keeps over `stop` and `start`."""

    def __init__(self) -> None:
        self.port = free_port()
        self.tenants: dict[str, dict[str, Entity]] = {}
        self.history: list[tuple[str, Entity]] = []
        """Tenant and entity, in the order in which they were taken."""
        self.requests: list[tuple[bool, dict[str, str], list[Entity]]] = []
        """Whether to update, headers in small letters, entities."""
        self.connections = 0
        self.faults: list[Fault] = []
        """What it does with the next requests."""
        self.refuses: dict[str, str] = {}
        """By id the words with which it refuses an entity."""
        self.before_answer: Callable[[int], None] = lambda _number: None
        """Called with the number of each request (from 1) after it was taken and before it is answered."""
        self.open: set[socket.socket] = set()
        self._server: ThreadingHTTPServer | None = None

    @property
    def url(self) -> str:
        """The address of the broker."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def entities(self) -> dict[str, Entity]:
        """What it holds without a tenant, by id."""
        return self.tenants.get("", {})

    def seen(self, name: str) -> list[str]:
        """The intervals of an entity in the order in which they came."""
        return [entity["dateObserved"]["value"] for _, entity in self.history if entity["id"] == name]

    def start(self) -> Self:
        """Take connections."""
        handler = type("Handler", (_Handler,), {"owner": self})
        self._server = ThreadingHTTPServer(("127.0.0.1", self.port), handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        self._thread.start()
        return self

    def stop(self) -> None:
        """Refuse connections and end those there are; what it holds is kept."""
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._thread.join()
            for connection in list(self.open):
                with suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)
            self._server = None

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    def upsert(self, tenant: str, entities: list[Entity], *, update: bool) -> tuple[int, Any]:
        """Take what is sound; status and answer as a broker gives them."""
        held = self.tenants.setdefault(tenant, {})
        created, errors, names = [], [], [str(entity.get("id")) for entity in entities]
        for entity in entities:
            name = str(entity.get("id"))
            fault = self.refuses.get(name) or fault_of(entity) or ("is there twice" if names.count(name) > 1 else None)
            if fault is not None:
                error = {"type": "https://uri.etsi.org/ngsi-ld/errors/BadRequestData", "title": "Bad", "detail": fault}
                errors.append({"entityId": name, "error": error})
                continue
            if name not in held:
                created.append(name)
            held[name] = {**(held.get(name, {}) if update else {}), **entity}
            self.history.append((tenant, entity))
        if errors:
            refused = {error["entityId"] for error in errors}
            return 207, {"success": [name for name in names if name not in refused], "errors": errors}
        return (201, created) if created else (204, None)


class _Handler(BaseHTTPRequestHandler):
    owner: ClassVar[ContextBroker]
    """The broker that this connection is one of; each broker has a handler of its own."""
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def setup(self) -> None:
        super().setup()
        self.owner.connections += 1
        self.owner.open.add(self.connection)

    def finish(self) -> None:
        self.owner.open.discard(self.connection)
        with suppress(OSError):
            super().finish()

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        parts = urlsplit(self.path)
        if parts.path != _PATH:
            self._answer(404, b'{"title": "there is nothing here"}')
            return
        entities = json.loads(body)
        update = parse_qs(parts.query).get("options") == ["update"]
        headers = {name.lower(): value for name, value in self.headers.items()}
        self.owner.requests.append((update, headers, entities))
        number = len(self.owner.requests)
        fault = self.owner.faults.pop(0) if self.owner.faults else None
        if fault is None and headers.get("content-type") != "application/ld+json":
            fault = Fault(415, body=b'{"title": "send JSON-LD"}')
        status, answer = 0, b""
        if fault is None or fault.applies:
            status, said = self.owner.upsert(headers.get("ngsild-tenant", ""), entities, update=update)
            answer = b"" if said is None else json.dumps(said).encode()
        self.owner.before_answer(number)
        if fault is None:
            self._answer(status, answer)
        elif fault.in_the_middle:
            self._break_off(b"HTTP/1.1 201 Created\r\nContent-Length: 1000\r\n\r\n[")
        elif fault.status == 0:
            self._break_off(b"")
        else:
            self._answer(fault.status, fault.body, fault.headers)

    def _answer(self, status: int, body: bytes, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        if status != 204:
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if status != 204:
            self.wfile.write(body)

    def _break_off(self, first: bytes) -> None:
        self.wfile.write(first)
        self.wfile.flush()
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close_connection = True

    def log_message(self, format: str, *_args: object) -> None:  # noqa: A002  # the library's name
        """Say nothing."""
