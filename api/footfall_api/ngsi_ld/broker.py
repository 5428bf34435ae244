"""The other side: a context broker that takes batches of entities, and what its answers mean.

Brokers differ in how they say what became of a batch. What is common to them is read generously: which entities they
took, which they refused and in which words. What an answer leaves open counts as not taken, because an entity that is
sent again does no harm and one that is left out does.
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, Final, Protocol

from footfall_api.ngsi_ld.entity import Entity

UPSERT_PATH: Final = "/ngsi-ld/v1/entityOperations/upsert"

CONNECT_S: Final = 5.0
ANSWER_S: Final = 30.0
"""How long a broker may take to answer, and how long it may be silent within its answer."""

_LONGEST_ANSWER: Final = 1_048_576
"""Bytes of an answer that are read."""

_WORDS: Final = 500
"""Characters of a broker's words that are repeated."""

_AGAIN: Final = frozenset({408, 425, 429})
"""What is refused only for now, beside all from 500 on."""

LONGEST_WAIT_S: Final = 3600.0
"""No broker is waited for any longer, whatever it asks for."""


class UnreachableError(Exception):
    """The broker could not take the batch just now. Whether it has taken it all the same is not known."""

    def __init__(self, reason: str, after_s: float | None = None) -> None:
        super().__init__(reason)
        self.after_s = after_s
        """Seconds after which it wants to be asked again; None: it does not say."""


class RefusedError(Exception):
    """The broker refuses the batch as it is, in the words of the message; to send it again will not help by itself."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a batch: ids of entities, and for those that were not taken the broker's words."""

    taken: frozenset[str]
    refused: Mapping[str, str] = field(default_factory=dict)


class Broker(Protocol):
    """Takes batches of entities. An id must not be in a batch twice: brokers differ in what they do then."""

    def upsert(self, entities: Sequence[Entity], *, update: bool) -> Outcome:
        """Create or change entities: with `update` their other attributes stay, else they are replaced as a whole.

        Raises:
            UnreachableError: it cannot be reached, has no time or is broken.
            RefusedError: it does not take this.
        """
        ...


class HttpBroker:
    """A broker at an address, over HTTP. It follows no redirects, and keeps what is secret out of every message."""

    def __init__(self, url: str, headers: Mapping[str, str], secrets: Sequence[str] = ()) -> None:
        import urllib3  # noqa: PLC0415  # only who pushes needs it

        self._errors: tuple[type[Exception], ...] = (urllib3.exceptions.HTTPError, OSError)
        self._url = url.rstrip("/").removesuffix("/ngsi-ld/v1") + UPSERT_PATH
        self._headers = {
            "Content-Type": "application/ld+json",
            "Accept": "application/json",
            "User-Agent": "footfall-api",
            **headers,
        }
        self._secrets = sorted(filter(None, secrets), key=len, reverse=True)
        timeout = urllib3.Timeout(connect=CONNECT_S, read=ANSWER_S)
        self._http = urllib3.PoolManager(timeout=timeout, retries=False)

    def upsert(self, entities: Sequence[Entity], *, update: bool) -> Outcome:
        """See `Broker`."""
        body = json.dumps(entities, ensure_ascii=False, separators=(",", ":")).encode()
        try:
            response = self._http.request(
                "POST",
                self._url + ("?options=update" if update else ""),
                body=body,
                headers=self._headers,
                redirect=False,
                preload_content=False,
            )
            try:
                answer = response.read(_LONGEST_ANSWER, decode_content=True)
            finally:
                response.close()
        except self._errors as error:
            raise UnreachableError(self._clean(f"{self._url}: {_cause(error)}")) from error
        try:
            return outcome([str(entity["id"]) for entity in entities], response.status, response.headers, answer)
        except (UnreachableError, RefusedError) as error:
            error.args = (self._clean(f"{self._url}: {error}"),)
            raise

    def _clean(self, text: str) -> str:
        for secret in self._secrets:
            text = text.replace(secret, "********")
        return text


def _cause(error: Exception) -> str:
    """What went wrong, without the objects that the library names."""
    inner = error.__cause__ or error.__context__
    reason = inner if isinstance(inner, OSError) and inner.strerror else error
    text = str(getattr(reason, "strerror", None) or reason)
    return re.sub(r"<[^>]*> ?|\w+\([^()]*\): ", "", text) or type(error).__name__


def outcome(ids: Sequence[str], status: int, headers: Mapping[str, str], body: bytes) -> Outcome:
    """What an answer to a batch of the entities `ids` means.

    Raises:
        UnreachableError: to be tried again later; with the time that the broker asks for.
        RefusedError: not to be taken as it is; with the broker's words.
    """
    if status >= 500 or status in _AGAIN:
        raise UnreachableError(f"answers {status}{_words(body)}", retry_after(headers.get("Retry-After")))
    if 300 <= status < 400:
        raise RefusedError(f"answers {status} and leads to {headers.get('Location', 'nowhere')}; set --url to that")
    if not 200 <= status < 300:
        raise RefusedError(f"answers {status}{_words(body)}")
    told = _told(body)
    refused = {name: words for name, words in told.refused.items() if name in ids}
    if status != 207 or told.complete:
        return Outcome(frozenset(ids) - refused.keys(), refused)
    left_open = {name: "it is not among those that were taken" for name in ids if name not in told.taken}
    return Outcome(frozenset(ids) & told.taken - refused.keys(), left_open | refused)


@dataclass(frozen=True, slots=True)
class _Told:
    """What a broker says of each entity. `complete`: it names those that it refused, and so took all others."""

    taken: frozenset[str] = frozenset()
    refused: Mapping[str, str] = field(default_factory=dict)
    complete: bool = False


def _told(body: bytes) -> _Told:
    try:
        said = json.loads(body)
    except ValueError:
        return _Told()
    if isinstance(said, dict):
        refused = {
            str(part.get("entityId", part.get("id"))): _sentence(part.get("error", part))
            for part in _dicts(said.get("errors"))
        }
        success = said.get("success")
        taken = (
            frozenset(name for name in success if isinstance(name, str)) if isinstance(success, list) else frozenset()
        )
        return _Told(taken, refused, complete="success" not in said and bool(refused))
    # One broker has an object for each entity instead.
    parts = [part for part in _dicts(said) if "id" in part]
    refused = {str(part["id"]): _sentence(part["failure"]) for part in parts if part.get("failure")}
    return _Told(frozenset(str(part["id"]) for part in parts) - refused.keys(), refused)


def _dicts(value: Any) -> list[dict[str, Any]]:
    return [part for part in value if isinstance(part, dict)] if isinstance(value, list) else []


def _sentence(error: Any) -> str:
    """A broker's words about one entity: title and detail of a problem, or whatever there is."""
    if isinstance(error, dict):
        parts = [str(error[name]) for name in ("title", "detail") if error.get(name)]
        if parts:
            return ": ".join(parts)[:_WORDS]
    return json.dumps(error, ensure_ascii=False)[:_WORDS]


def _words(body: bytes) -> str:
    """A broker's words, on one line, after a colon."""
    try:
        said = json.loads(body)
    except ValueError:
        said = None
    text = _sentence(said) if isinstance(said, dict) else body.decode("utf-8", "replace")
    text = " ".join("".join(c if c.isprintable() else " " for c in text).split())[:_WORDS]
    return f": {text}" if text else ""


def retry_after(value: str | None, now: datetime | None = None) -> float | None:
    """The seconds that a header ``Retry-After`` asks for, as a number or a date; None if it says neither."""
    if value is None:
        return None
    if value.strip().isascii() and value.strip().isdigit():
        return min(float(value), LONGEST_WAIT_S)
    try:
        date = parsedate_to_datetime(value)
    except ValueError:
        return None
    date = date if date.tzinfo else date.replace(tzinfo=UTC)
    return min(max(0.0, (date - (now or datetime.now(UTC))).total_seconds()), LONGEST_WAIT_S)
