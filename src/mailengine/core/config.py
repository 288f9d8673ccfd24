"""Settings: flag > environment (`MAILENGINE_…`, `…_FILE` for secrets) > TOML file > default.

Loaded once by a face and handed down, frozen; nothing is read at import. What belongs to a tenant is a row in
the database, not a setting.
"""

import difflib
import ipaddress
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any, Literal, Self
from urllib.parse import quote

import platformdirs
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
    field_validator,
    model_validator,
)
from pydantic.fields import FieldInfo
from pydantic_settings import (
    BaseSettings,
    EnvSettingsSource,
    NoDecode,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

from mailengine.core.errors import InvalidInput

PREFIX = "MAILENGINE_"
FILE_NAME = "mailengine.toml"  # in the data directory, where no other is named
_NOT_SETTINGS = {"CONFIG", "TENANT", "SKIP_WEB"}  # read by the command line and the build, not by this model


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


def _parted(value: Any) -> Any:
    """The environment has no lists; commas part what TOML gives as an array."""
    if not isinstance(value, str):
        return value
    return tuple(part.strip() for part in value.split(",") if part.strip())


class DatabaseSettings(_Section):
    url: SecretStr | None = Field(default=None, description="SQLite or PostgreSQL; default: in data_dir")
    pool_size: int = Field(default=5, ge=1, le=100, description="connections to PostgreSQL per process")
    busy_timeout_seconds: float = Field(default=15, gt=0, description="wait for SQLite's write lock")


class WebSettings(_Section):
    host: str = Field(default="127.0.0.1", description="address the daemon listens on")
    port: int = Field(default=8025, ge=0, le=65535, description="its port; 0 picks a free one")
    base_url: str | None = Field(default=None, description="URL in links; default http://host:port")
    trusted_proxies: Annotated[tuple[str, ...], NoDecode] = Field(
        default=("127.0.0.1", "::1"),
        description="proxies whose X-Forwarded-For and -Proto are believed: addresses, networks",
    )

    @field_validator("trusted_proxies", mode="before")
    @classmethod
    def _split(cls, value: Any) -> Any:
        return _parted(value)

    @field_validator("trusted_proxies")
    @classmethod
    def _check(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for network in value:
            ipaddress.ip_network(network)
        return value


class WorkerSettings(_Section):
    processes: int = Field(default=0, ge=0, le=64, description="most send processes; 0 means one per core")
    standby: int = Field(
        default=0, ge=0, le=64, description="send processes kept while nothing waits; at least 1 with Redis"
    )
    connections: int = Field(
        default=10, ge=1, le=200, description="SMTP connections per relay or mail host and process"
    )
    batch_size: int = Field(
        default=1000, ge=2, le=10_000, description="most tasks of a campaign that a process has claimed"
    )
    messages_per_connection: int = Field(default=5000, ge=1, description="reconnect after this many messages")
    connection_age_seconds: float = Field(default=600, gt=0, description="reconnect after this time")
    command_timeout_seconds: float = Field(default=60, gt=0, description="wait for a reply to a command")
    data_timeout_seconds: float = Field(default=300, gt=0, description="wait for the reply to a message")
    retry_hours: float = Field(default=48, gt=0, description="try temporary failures again for so long")
    private_mail_hosts: bool = Field(
        default=False, description="let direct delivery connect to private addresses"
    )
    drain_seconds: float = Field(default=20, gt=0, description="how long SIGTERM waits for replies")


class QueueSettings(_Section):
    backend: Literal["database", "redis"] = Field(
        default="database", description="how workers learn of a message; the database is the record"
    )


class RedisSettings(_Section):
    url: SecretStr | None = Field(default=None, description="redis://HOST:PORT/DATABASE, for queue.backend")
    prefix: str = Field(
        default="mailengine",
        pattern=r"^[A-Za-z0-9_.:-]{1,100}$",
        description="of its keys, where installations share a Redis",
    )


class DnsSettings(_Section):
    nameservers: Annotated[tuple[str, ...], NoDecode] = Field(
        default=(), description="resolvers' addresses, parted by commas; default: the system's"
    )
    port: int = Field(default=53, ge=1, le=65535, description="their port")
    timeout_seconds: float = Field(default=5, gt=0, description="wait for an answer")
    blocklists: Annotated[tuple[str, ...], NoDecode] = Field(
        default=("zen.spamhaus.org", "bl.spamcop.net"),
        description="block lists that `doctor` asks where nameservers are set",
    )

    @field_validator("nameservers", "blocklists", mode="before")
    @classmethod
    def _split(cls, value: Any) -> Any:
        return _parted(value)

    @field_validator("nameservers")
    @classmethod
    def _check(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for address in value:
            ipaddress.ip_address(address)
        return value


class LogSettings(_Section):
    level: Literal["debug", "info", "warning", "error"] = Field(default="info", description="least severity")
    json_lines: bool = Field(default=False, description="one JSON object a line instead of text")
    file_megabytes: int = Field(
        default=5, ge=0, le=1000, description="turn logs/daemon.log in data_dir over at this size; 0: no file"
    )


class AccountsSettings(_Section):
    sign_up: Literal["closed", "invitation", "open"] = Field(
        default="invitation",
        description="who makes an account in the browser: nobody, the invited, everybody",
    )


class OidcSettings(_Section):
    issuer: str | None = Field(
        default=None, description="OpenID provider to log in with; none: passwords only"
    )
    client_id: str = Field(default="", description="what the provider calls this installation")
    client_secret: SecretStr | None = Field(default=None, description="its secret; none for a public client")
    name: str = Field(default="single sign-on", description="on the button: Log in with …")
    private_hosts: bool = Field(
        default=False, description="let the provider be by http or in a private network"
    )

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.issuer is not None and not self.client_id:
            raise ValueError("oidc.issuer needs oidc.client_id")
        return self


class JwtSettings(_Section):
    issuer: str | None = Field(
        default=None, description="issuer whose bearer tokens the API takes; none: keys only"
    )
    audience: str = Field(default="", description="what the tokens must be meant for")
    jwks_url: str | None = Field(default=None, description="where its public keys are")
    private_hosts: bool = Field(default=False, description="let jwks_url be by http or in a private network")

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.issuer is not None and not (self.audience and self.jwks_url):
            raise ValueError("jwt.issuer needs jwt.audience and jwt.jwks_url")
        return self


class HealthSettings(_Section):
    host: str = Field(default="127.0.0.1", description="address of the health port")
    port: int | None = Field(
        default=None,
        ge=0,
        le=65535,
        description="port for health and metrics of whatever roles run; none: closed",
    )
    token: SecretStr | None = Field(
        default=None, description="opens /metrics on the web port: Authorization: Bearer TOKEN"
    )

    @field_validator("token")
    @classmethod
    def _long_enough(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None and len(value.get_secret_value()) < 16:
            raise ValueError("must have at least 16 characters")
        return value


class CatcherSettings(_Section):
    maildir: Path | None = Field(default=None, description="mail caught in development, for /caught")


class _FileSecrets(PydanticBaseSettingsSource):
    """`MAILENGINE_DATABASE_URL_FILE=PATH` sets what MAILENGINE_DATABASE_URL would, from the file."""

    def get_field_value(self, field: Any, field_name: str) -> tuple[Any, str, bool]:
        return None, field_name, False

    def __call__(self) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for name, path in os.environ.items():
            if not (name.startswith(PREFIX) and name.endswith("_FILE")):
                continue
            key = name[len(PREFIX) : -len("_FILE")].lower()
            try:
                text = Path(path).read_text().strip()
            except OSError as error:
                raise InvalidInput(f"{name}: cannot read {path}: {error.strerror}") from error
            section, _, field = key.partition("_")
            if key in Settings.model_fields:
                found[key] = text
            elif section in Settings.model_fields:
                found.setdefault(section, {})[field] = text
            else:
                raise InvalidInput(f"{name}: there is no setting of this name{_nearest_variable(name)}")
        return found


class Settings(BaseSettings):
    """Every setting of an installation; see docs/configuration.md for the list with defaults."""

    model_config = SettingsConfigDict(
        frozen=True,
        extra="forbid",
        env_prefix=PREFIX,
        env_nested_delimiter="_",
        env_nested_max_split=1,
    )

    data_dir: Path = Field(
        default_factory=lambda: default_data_dir(),
        description="database, secret, logs and files of the installation",
    )
    secret_key: SecretStr | None = Field(default=None, description="64 hex digits; default: secret.key")
    database: DatabaseSettings = DatabaseSettings()
    web: WebSettings = WebSettings()
    worker: WorkerSettings = WorkerSettings()
    queue: QueueSettings = QueueSettings()
    redis: RedisSettings = RedisSettings()
    dns: DnsSettings = DnsSettings()
    log: LogSettings = LogSettings()
    accounts: AccountsSettings = AccountsSettings()
    oidc: OidcSettings = OidcSettings()
    jwt: JwtSettings = JwtSettings()
    health: HealthSettings = HealthSettings()
    catcher: CatcherSettings = CatcherSettings()

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        if isinstance(env_settings, EnvSettingsSource):  # else …_URL_FILE would be the field `url_file`
            variables = env_settings.env_vars.items()
            env_settings.env_vars = {name: value for name, value in variables if not name.endswith("_file")}
        toml = TomlConfigSettingsSource(settings_cls, toml_file=config_file(_data_dir(init_settings)))
        return init_settings, env_settings, _FileSecrets(settings_cls), toml

    @property
    def database_url(self) -> str:
        """The URL to connect to, password included: never log it."""
        if self.database.url is not None:
            return self.database.url.get_secret_value()
        # Quoted: a directory may be called anything, and in a URL ? and % mean something.
        return f"sqlite+aiosqlite:///{quote(str(self.data_dir / 'mailengine.sqlite3'))}"

    @property
    def base_url(self) -> str:
        """Public root of all links, without a slash at the end."""
        configured = self.web.base_url or f"http://{self.web.host}:{self.web.port}"
        return configured.rstrip("/")


def config_file(data_dir: Path) -> Path | None:
    """The settings file: the one that is named, else the one in the data directory, None where there is none."""
    path = os.environ.get(PREFIX + "CONFIG")
    if path is not None and not Path(path).is_file():
        raise InvalidInput(f"{path}: there is no such settings file (from {PREFIX}CONFIG or --config)")
    if path:
        return Path(path)
    usual = data_dir / FILE_NAME
    return usual if usual.is_file() else None


def _data_dir(flags: PydanticBaseSettingsSource) -> Path:
    """Where to look for the settings file, known before it is read: so it cannot say it itself."""
    given = flags().get("data_dir") or os.environ.get(PREFIX + "DATA_DIR")
    return Path(given) if given else default_data_dir()


def default_data_dir() -> Path:
    return platformdirs.user_data_path("mailengine")


def setting_fields() -> dict[str, FieldInfo]:
    """Every setting by its dotted name, as a settings file groups them: `web.port`."""
    found: dict[str, FieldInfo] = {}
    for name, field in Settings.model_fields.items():
        section = field.annotation
        if isinstance(section, type) and issubclass(section, _Section):
            found |= {f"{name}.{inner}": value for inner, value in section.model_fields.items()}
        else:
            found[name] = field
    return found


def variable_of(name: str) -> str:
    """The environment variable of a setting: `web.port` is MAILENGINE_WEB_PORT."""
    return PREFIX + name.replace(".", "_").upper()


def load_settings(**flags: Any) -> Settings:
    """Settings with `flags` (section dicts or plain values, None left out) above everything else."""
    _check_variables()
    try:
        return Settings(**{key: value for key, value in flags.items() if value not in (None, {})})
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        if first["type"] == "extra_forbidden":
            nearest = _did_you_mean(where, setting_fields())
            raise InvalidInput(f"{where}: there is no setting of this name{nearest}") from error
        raise InvalidInput(f"setting {where}: {first['msg']}") from error
    except ValueError as error:  # a TOML file that does not parse
        raise InvalidInput(f"settings: {' '.join(str(error).split())}") from error


def _check_variables() -> None:
    """Raise InvalidInput for a variable that was meant for us and would be ignored: one letter off a setting.

    Others pass: Kubernetes, for one, sets MAILENGINE_SERVICE_HOST beside a service of that name.
    """
    known = {variable_of(name) for name in setting_fields()}
    for name in os.environ:
        plain = name.upper().removesuffix("_FILE")
        if not plain.startswith(PREFIX) or plain in known or plain[len(PREFIX) :] in _NOT_SETTINGS:
            continue
        if nearest := _nearest_variable(plain):
            raise InvalidInput(f"{name}: there is no setting of this name{nearest}")


def _nearest_variable(name: str) -> str:
    names = (variable_of(setting)[len(PREFIX) :] for setting in setting_fields())
    return _did_you_mean(name.upper()[len(PREFIX) :], names, prefix=PREFIX)


def _did_you_mean(name: str, known: Iterable[str], prefix: str = "") -> str:
    nearest = difflib.get_close_matches(name, list(known), n=1, cutoff=0.75)
    return f"; did you mean {prefix}{nearest[0]}?" if nearest else ""
