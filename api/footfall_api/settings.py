"""The settings of ``footfall-api``: one TOML file (``deploy/api.toml.example``) and ``FOOTFALL_*`` variables."""

import re
from datetime import date
from pathlib import Path
from typing import Final, Literal, Self
from urllib.parse import urlsplit

import psycopg
from psycopg.conninfo import conninfo_to_dict
from pydantic import AwareDatetime, Field, SecretStr, field_validator, model_validator

from footfall_api import licences
from footfall_api.addresses import Network, networks
from footfall_api.intervals import Resolution
from footfall_api.streets import read_streets
from footfall_api.summary.days import check_code
from footfall_api.tokens import Tokens, chosen
from footfall_role.settings import MetricsSettings, MqttSettings, Section
from footfall_role.unsafe import GuardedSettings, guessable_dsn, guessable_secret, is_this_machine


def _web_address(value: str) -> str:
    parts = urlsplit(value)
    if value and (parts.scheme not in {"http", "https"} or not parts.netloc):
        raise ValueError("must be an address that begins with http:// or https://")
    return value


class HttpSettings(Section):
    """Where the API listens and under which address the world reaches it."""

    host: str = Field(default="127.0.0.1", description="address to listen on; 0.0.0.0 for all")
    port: int = Field(default=8000, ge=0, le=65535, description="0: any free port, which is logged")
    public_url: str = Field(
        default="", description="address under which clients reach the API, for links in answers; empty: as they asked"
    )
    hosts: tuple[str, ...] = Field(
        default=(),
        description="names beside that of public_url under which it may be asked; without public_url it is by any",
    )
    trusted_proxies: tuple[str, ...] = Field(
        default=("127.0.0.0/8", "::1"),
        description="addresses or networks of proxies whose X-Forwarded-For and X-Forwarded-Proto are believed",
    )

    @property
    def proxies(self) -> tuple[Network, ...]:
        """Where the proxies are whose word is believed."""
        return networks(self.trusted_proxies)

    @property
    def names(self) -> frozenset[str]:
        """Under which names it may be asked, in small letters and without brackets; none: under any."""
        own = urlsplit(self.public_url).hostname
        return frozenset(name.strip("[]").rstrip(".").lower() for name in (own, *self.hosts)) if own else frozenset()

    @field_validator("public_url")
    @classmethod
    def _address(cls, value: str) -> str:
        return _web_address(value).rstrip("/")

    @field_validator("hosts")
    @classmethod
    def _names(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for name in value:
            if not re.fullmatch(r"[\w.-]+|\[[0-9A-Fa-f:.]+\]", name, re.ASCII):
                raise ValueError(f"each must be a name or an address, without a port or a path; {name!r} is not")
        return value

    @field_validator("trusted_proxies")
    @classmethod
    def _networks(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        networks(value)
        return value

    @model_validator(mode="after")
    def _one_name(self) -> Self:
        if self.hosts and not self.public_url:
            raise ValueError("hosts stands beside public_url, which is missing: without it any name will do")
        return self


class DatabaseSettings(Section):
    """The database, which the API only reads."""

    dsn: SecretStr = Field(
        default=SecretStr("postgresql://127.0.0.1/footfall"),
        description="connection URL; better given as FOOTFALL_DATABASE__DSN",
    )
    pool_size: int = Field(
        default=4, ge=2, le=64, description="connections for requests; the live stream has one of its own"
    )

    @field_validator("dsn")
    @classmethod
    def _understood(cls, dsn: SecretStr) -> SecretStr:
        try:
            conninfo_to_dict(dsn.get_secret_value())
        except psycopg.ProgrammingError:
            # The library's words repeat what stands there, and a password is part of it.
            raise ValueError(
                "must be like postgresql://user@host/database or host=… dbname=…; in an address characters such as "
                "blanks, @ and % are written %20, %40 and %25"
            ) from None
        return dsn


class PublicSettings(Section):
    """What anybody may read, and under which licence."""

    local: bool = Field(
        default=False, description="true: everything is public, for a demo or a network of one's own; [limits] hold"
    )
    operator_token: SecretStr = Field(
        default=SecretStr(""),
        description="one or several, or their hashes (footfall-api token), separated by blanks or line ends; with "
        "'Authorization: Bearer <token>' no limits apply; empty: nobody may lift them",
    )
    licence: str = Field(
        default="Datenlizenz Deutschland – Zero – Version 2.0", description="name of the data licence; the city decides"
    )
    licence_url: str = Field(
        default="https://www.govdata.de/dl-de/zero-2-0", description="where the licence is to be read"
    )
    attribution: str = Field(default="", description="how the source is to be named; empty: the name of the city")

    @field_validator("licence_url")
    @classmethod
    def _address(cls, value: str) -> str:
        return _web_address(value)

    @property
    def tokens(self) -> Tokens:
        """The operator's tokens."""
        return Tokens.parse(self.operator_token.get_secret_value())

    @model_validator(mode="after")
    def _usable(self) -> Self:
        # Not a validator of the field: a refusal repeats the value that was refused.
        Tokens.parse(self.operator_token.get_secret_value())
        return self


class LimitsSettings(Section):
    """How much a client may ask for: an IPv4 address, or an IPv6 network of 64 bits. Nobody else pays for it."""

    requests: int = Field(
        default=300,
        ge=0,
        le=10**6,
        description="requests of a client in one go; files of the pages do not count; 0: any",
    )
    requests_per_minute: float = Field(default=600, gt=0, le=10**6, description="how many come back in a minute")
    work_s: float = Field(
        default=60, ge=0, le=10**6, description="seconds of work for a client in one go; sending is none; 0: any"
    )
    work_s_per_minute: float = Field(default=30, gt=0, le=10**6, description="how many come back in a minute")
    at_once: int | None = Field(
        default=None,
        ge=1,
        le=1000,
        description="requests of a client that are worked on at the same time, others of it wait for their turn; "
        "none: one less than pool_size in [database]",
    )
    live: int = Field(default=1000, ge=0, le=100_000, description="live streams of all clients together")
    live_per_client: int = Field(default=32, ge=0, le=100_000, description="live streams of a client")
    connections: int = Field(default=2000, ge=10, le=100_000, description="connections of all clients together")
    connections_per_client: int = Field(
        default=100,
        ge=1,
        le=100_000,
        description="connections of a client, and answers to it that are under way; of a trusted proxy: any",
    )
    attempts: int = Field(
        default=10, ge=1, le=10**6, description="wrong operator's tokens of a client in a quarter of an hour"
    )
    clients: int = Field(default=10_000, ge=1, le=10**7, description="clients that are remembered, a kilobyte each")
    loopback: bool = Field(default=False, description="true: what this machine asks without a proxy is limited as well")


class HeldBackSettings(Section):
    """Counts that are not published."""

    stations: tuple[str, ...] = Field(min_length=1, description="ids of the stations; of others nothing is held back")
    from_: AwareDatetime | None = Field(
        default=None, alias="from", description="begin, with its offset, a whole minute; none: since ever"
    )
    to: AwareDatetime | None = Field(default=None, description="end, likewise; none: until further notice")
    reason: str = Field(min_length=1, description="why, in a sentence that is published")
    reason_en: str = Field(default="", description="the same in English; empty: the same words")

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        for name, moment in (("from", self.from_), ("to", self.to)):
            if moment is not None and (moment.second or moment.microsecond):
                raise ValueError(f"{name} must be a whole minute; it is {moment.isoformat()}")
        if self.from_ is not None and self.to is not None and self.to <= self.from_:
            raise ValueError(f"to ({self.to.isoformat()}) is not after from ({self.from_.isoformat()})")
        return self


FINEST: Final = (
    Resolution.MINUTE,
    Resolution.FIVE_MINUTES,
    Resolution.QUARTER_HOUR,
    Resolution.HALF_HOUR,
    Resolution.HOUR,
)
"""What may be the finest that is public. Hours always are: without them the pages would say nothing."""


class PublicationSettings(Section):
    """Which counts are published, for every way that leads to them alike."""

    finest: Resolution = Field(default=Resolution.QUARTER_HOUR, description="finest intervals for all time; 1h at most")
    recent: Resolution = Field(default=Resolution.MINUTE, description="finest intervals of the last recent_hours")
    recent_hours: int = Field(default=24, ge=0, le=24 * 31, description="0: recent means nothing")
    delay_minutes: int = Field(default=0, ge=0, le=7 * 24 * 60, description="counts are public so much later")
    small_below: int = Field(
        default=0, ge=0, le=1000, description="where classes are told apart no count from 1 to this minus 1; 0: all"
    )
    fineness_reason: str = Field(default="", description="why no finer, in a sentence that is published")
    fineness_reason_en: str = Field(default="", description="the same in English; empty: the same words")
    delay_reason: str = Field(default="", description="why delayed; required with delay_minutes")
    delay_reason_en: str = Field(default="", description="the same in English; empty: the same words")
    small_reason: str = Field(default="", description="why no small counts; required with small_below")
    small_reason_en: str = Field(default="", description="the same in English; empty: the same words")
    held_back: tuple[HeldBackSettings, ...] = Field(default=(), description="stations or times not published")

    @field_validator("finest", "recent")
    @classmethod
    def _not_too_coarse(cls, value: Resolution) -> Resolution:
        if value not in FINEST:
            raise ValueError(f"must be one of {', '.join(FINEST)}")
        return value

    @model_validator(mode="after")
    def _explained(self) -> Self:
        if self.recent.longest_s > self.finest.longest_s:
            raise ValueError(f"recent ({self.recent}) must not be coarser than finest ({self.finest})")
        if self.delay_minutes and not self.delay_reason:
            raise ValueError("delay_reason is missing: what is not public is published with its reason")
        if self.small_below > 1 and not self.small_reason:
            raise ValueError("small_reason is missing: what is not public is published with its reason")
        return self


class FilesSettings(Section):
    """Counts as files, which ``footfall-api dump`` writes and the API serves."""

    folder: str = Field(default="", description="folder of the files served under /files/; empty: none are")


_JENA: Final = "Jena"


class CitySettings(Section):
    """Who runs the counters, as shown on the page and in the answers."""

    name: str = Field(default=_JENA, description="name of the city")
    contact: str = Field(default="", description="e-mail or web address of those responsible")
    feedback: str = Field(default="", description="e-mail or web address for hints about the page")
    office: str = Field(default="", description="name of the office that is responsible; empty: the name of the city")
    imprint: str = Field(default="", description="web address of the imprint")
    privacy: str = Field(
        default="", description="e-mail of the data protection officer, or web address of the privacy notice"
    )
    arbitration: str = Field(
        default="",
        description="who settles disputes about accessibility (Schlichtungsstelle): name, e-mail or web address",
    )
    accuracy: str = Field(
        default="",
        description="what a check of the sensors against counting by hand found, in a sentence; empty: none is known",
    )
    holidays: str = Field(
        default="DE-TH",
        description="whose public holidays summaries tell apart: ISO 3166 country and state; empty: none",
    )

    @field_validator("holidays")
    @classmethod
    def _known(cls, value: str) -> str:
        check_code(value)
        return value


class MapSettings(Section):
    """The background of the map. Without tiles or a style the page asks no other host for anything."""

    tiles_url: str = Field(default="", description="raster tiles with {z}/{x}/{y}; empty: no tiles")
    tiles_attribution: str = Field(default="", description="what the makers of the tiles want to have said")
    style_url: str = Field(
        default="", description="a MapLibre style (vector tiles) instead of raster tiles; empty: none"
    )
    style_attribution: str = Field(
        default="", description="what the makers of the style and its data want to have said"
    )
    style_origins: tuple[str, ...] = Field(
        default=(), description="origins beside the style's own from which it takes tiles, letters and pictures"
    )
    streets: str = Field(
        default="",
        description="GeoJSON file of lines with a name each, for the map drawn without tiles; empty: no streets",
    )

    @field_validator("style_url")
    @classmethod
    def _address(cls, value: str) -> str:
        return _web_address(value)

    @field_validator("style_origins")
    @classmethod
    def _origins(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for origin in value:
            parts = urlsplit(origin)
            # What stands here goes into the Content-Security-Policy: nothing but an origin may.
            if origin != f"{parts.scheme}://{parts.netloc}" or not re.fullmatch(r"https?://[\w.:\[\]-]+", origin):
                raise ValueError(
                    f"each must be an origin such as https://tiles.example, without a path; {origin!r} is not"
                )
        return value

    @field_validator("streets")
    @classmethod
    def _readable(cls, value: str) -> str:
        if value:
            read_streets(Path(value))
        return value

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if self.tiles_url and not all(part in self.tiles_url for part in ("{z}", "{x}", "{y}")):
            raise ValueError(f"tiles_url must contain {{z}}, {{x}} and {{y}}; it is {self.tiles_url!r}")
        if self.tiles_url and not self.tiles_attribution:
            raise ValueError(
                "tiles_attribution is missing: map tiles are used under the condition that their makers are named"
            )
        if self.tiles_url and self.style_url:
            raise ValueError("tiles_url and style_url cannot both be set: a map has one background")
        if self.style_url and not self.style_attribution:
            raise ValueError(
                "style_attribution is missing: map data are used under the condition that their makers are named"
            )
        return self


class PublishMqttSettings(MqttSettings):
    """The broker on which everybody may subscribe to the last interval of each station."""

    enabled: bool = Field(default=False, description="true: footfall-api publish-mqtt publishes")
    prefix: str = Field(default="footfall/public/v1", description="what the topics begin with")
    password: SecretStr = Field(default=SecretStr(""), description="better given as FOOTFALL_PUBLISH_MQTT__PASSWORD")

    @field_validator("prefix")
    @classmethod
    def _usable(cls, value: str) -> str:
        if not re.fullmatch(r"[^\s\0+#/$][^\s\0+#/]*(/[^\s\0+#/]+)*", value):
            raise ValueError("must be a topic such as footfall/public/v1, without + and #, spaces and empty parts")
        if f"{value}/".startswith("footfall/v1/"):
            raise ValueError("must not be within footfall/v1, where the nodes speak")
        return value


JENA_URI: Final = "http://dcat-ap.de/def/politicalGeocoding/regionalKey/160530000000"
"""Jena by its Regionalschlüssel."""

CONTRIBUTORS: Final = "http://dcat-ap.de/def/contributors/"
"""What the addresses begin with that GovData gives to those who deliver to it."""

_IRI: Final = re.compile(r"https?://[^\s<>\"{}|\\^`]+")
"""An address that may stand in RDF as it is."""


class CatalogueSettings(Section):
    """What portals of open data are told beside what is known anyway (`footfall_api.catalogue`)."""

    title: str = Field(default="", description="of the catalogue, and how the titles of its data begin; empty: ours")
    title_en: str = Field(default="", description="the same in English; empty: the same words, or ours")
    description: str = Field(default="", description="of the catalogue, in some sentences; empty: ours")
    description_en: str = Field(default="", description="the same in English; empty: the same words, or ours")
    keywords: tuple[str, ...] = Field(default=(), description="beside ours, in German")
    keywords_en: tuple[str, ...] = Field(default=(), description="beside ours, in English")
    publisher_name: str = Field(
        default="", description="who decided that the data are open; empty: office in [city], or the city's name"
    )
    publisher_url: str = Field(default="", description="its web site")
    publisher_type: Literal["LocalAuthority", "RegionalAuthority", "NationalAuthority", "SupraNationalAuthority"] = (
        Field(default="LocalAuthority", description="what it is; cities are a LocalAuthority")
    )
    contact: str = Field(
        default="", description="e-mail or web address for questions about the data; empty: contact in [city]"
    )
    contributor_id: str = Field(
        default="", description=f"given by GovData to those who deliver to it, {CONTRIBUTORS}...; empty: none"
    )
    licence_uri: str = Field(
        default="", description=f"the licence in the list {licences.LIST}; empty: told from licence_url in [public]"
    )
    spatial: tuple[str, ...] = Field(
        default=(JENA_URI,),
        description="addresses that stand for the place: Regionalschlüssel, GeoNames; unless given none but in Jena",
    )
    level: Literal["municipality", "administrativeDistrict", "state"] = Field(
        default="municipality", description="which level of administration the data are of"
    )
    issued: date | None = Field(
        default=None, description="the day on which the data were first published; none: unsaid"
    )

    @field_validator("publisher_url")
    @classmethod
    def _address(cls, value: str) -> str:
        return _iri(value) if value else value

    @field_validator("spatial")
    @classmethod
    def _addresses(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(_iri(address) for address in value)

    @field_validator("contributor_id")
    @classmethod
    def _given_by_govdata(cls, value: str) -> str:
        if value and not _is_below(value, CONTRIBUTORS):
            raise ValueError(f"must begin with {CONTRIBUTORS}: GovData gives it out, and rejects one it does not know")
        return value

    @field_validator("licence_uri")
    @classmethod
    def _listed(cls, value: str) -> str:
        if value and not _is_below(value, licences.LIST):
            raise ValueError(f"must be an address of the list {licences.LIST}, such as {licences.KNOWN[0].uri}")
        return value.rstrip("/")

    @field_validator("contact")
    @classmethod
    def _reachable(cls, value: str) -> str:
        if value and reach(value) is None:
            raise ValueError("must be an e-mail or web address")
        return value


def _iri(value: str) -> str:
    if not _IRI.fullmatch(value):
        raise ValueError(f"must be an address that begins with http:// or https://, without blanks; {value!r} is not")
    return value


def _is_below(value: str, beginning: str) -> bool:
    return value.startswith(beginning) and value != beginning and bool(_IRI.fullmatch(value))


def reach(contact: str) -> str | None:
    """An e-mail or web address as an address to follow (``mailto:…``, ``https://…``); None: it is neither."""
    if _IRI.fullmatch(contact):
        return contact
    return f"mailto:{contact}" if re.fullmatch(r"[\w.+-]+@[\w-]+(\.[\w-]+)+", contact, re.ASCII) else None


class ApiSettings(GuardedSettings):
    """All settings of the API."""

    http: HttpSettings = Field(default_factory=HttpSettings)
    database: DatabaseSettings = Field(default_factory=DatabaseSettings)
    public: PublicSettings = Field(default_factory=PublicSettings)
    limits: LimitsSettings = Field(default_factory=LimitsSettings)
    publication: PublicationSettings = Field(default_factory=PublicationSettings)
    files: FilesSettings = Field(default_factory=FilesSettings)
    city: CitySettings = Field(default_factory=CitySettings)
    map: MapSettings = Field(default_factory=MapSettings)
    catalogue: CatalogueSettings = Field(default_factory=CatalogueSettings)
    metrics: MetricsSettings = Field(
        default_factory=MetricsSettings,
        description="the operator's port, for a closed network: /metrics with how boxes, sensors and database do, "
        "for whoever reaches it; the API's own port tells this machine and the operator of its requests",
    )

    publish_mqtt: PublishMqttSettings = Field(default_factory=PublishMqttSettings)

    def unsafe_things(self) -> list[str]:
        """What is obviously unsafe, a sentence for each (see `footfall_role.unsafe`)."""
        publisher = self.publish_mqtt
        return [
            *self._shown_to_a_network(),
            *guessable_dsn("dsn in [database]", self.database.dsn.get_secret_value()),
            *(
                fault
                for token in chosen(self.public.operator_token.get_secret_value())
                for fault in guessable_secret("operator_token in [public]", token)
            ),
            *guessable_secret("password in [publish_mqtt]", publisher.password.get_secret_value(), publisher.username),
        ]

    def _shown_to_a_network(self) -> list[str]:
        public = urlsplit(self.http.public_url).hostname or self.http.host
        beyond = next((host for host in (self.http.host, public) if not is_this_machine(host)), None)
        if not self.public.local or beyond is None:
            return []
        said = (
            f"local = true in [public] lifts all rules of publication for whoever reaches {beyond}, which is not only "
        )
        return [said + "this machine: set local = false, and say in [publication] what everybody may see"]

    @property
    def at_once(self) -> int:
        """Requests of a client that are worked on at the same time: one client never has all of the database."""
        return self.limits.at_once or self.database.pool_size - 1

    @property
    def attribution(self) -> str:
        """How the source is to be named."""
        return self.public.attribution or self.city.name

    @property
    def licence_uri(self) -> str:
        """The address of the licence in the list that catalogues of open data use."""
        return licences.one_licence(self.public.licence, self.public.licence_url, self.catalogue.licence_uri)

    @property
    def spatial(self) -> tuple[str, ...]:
        """The addresses that stand for the place. Jena's own are those of no other city that has not set its own."""
        is_chosen = "spatial" in self.catalogue.model_fields_set
        return self.catalogue.spatial if is_chosen or self.city.name == _JENA else ()

    @model_validator(mode="after")
    def _one_licence(self) -> Self:
        licences.one_licence(self.public.licence, self.public.licence_url, self.catalogue.licence_uri)
        return self
