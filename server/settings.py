"""The server's settings: options, environment variables (``VOCODER_PORT=8000``), and a file.

Options override environment variables, which override the TOML file given by ``settings_file``,
which overrides the defaults. ``voice_aliases`` from several sources are merged.
"""

import difflib
import ipaddress
import json
import logging
import os
import re
import tomllib
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field, ValidationError, field_validator
from pydantic_settings import (
    BaseSettings,
    EnvSettingsSource,
    InitSettingsSource,
    NoDecode,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    SettingsError,
    TomlConfigSettingsSource,
)

from vocoder.errors import ConfigError
from vocoder.voices.shipped import shipped_voices

ENVIRONMENT_PREFIX = "VOCODER_"
HANDED_OVER = "VOCODER_HANDED_OVER_SETTINGS"
"""Variable with all settings of a parent process, as JSON; other sources are then ignored."""

LONGEST_SHOWN = 120
ORIGIN = re.compile(r"\*|[a-z][a-z0-9+.-]*://[^/\s?#@A-Z]+")
ROOT_PATH = re.compile(r"(/[A-Za-z0-9._~-]+)+")

logger = logging.getLogger(__name__)


class ServerSettings(BaseSettings):
    """A server's address, voices, limits and operation."""

    model_config = SettingsConfigDict(
        env_prefix=ENVIRONMENT_PREFIX, extra="forbid", frozen=True, allow_inf_nan=False
    )

    settings_file: Path | None = Field(None, description="TOML file with the settings below")
    host: str = Field("127.0.0.1", min_length=1, description="address to listen on")
    port: int = Field(8000, ge=0, le=65535, description="port to listen on; 0 picks a free one")
    uds: Path | None = Field(None, description="Unix socket to listen on, instead of an address")
    root_path: str | None = Field(
        None, description="path below which a proxy serves this server, such as /voice"
    )
    trusted_proxies: Annotated[tuple[str, ...], NoDecode] = Field(
        ("127.0.0.1", "::1"),
        description="addresses or networks of proxies whose X-Forwarded headers are used",
    )
    workers: int = Field(1, ge=1, le=256, description="worker processes, each with its own engine")
    voices_dir: Path = Field(default_factory=shipped_voices, description="folder of voice folders")
    more_voices_dir: Path | None = Field(
        None, description="a second folder of voice folders; voices_dir comes first"
    )
    reload_voices_s: float = Field(
        2.0, ge=0, description="seconds between checks for changed voices; 0 never checks"
    )
    device: str = Field("cpu", description="device that voices run on: cpu, cuda, or auto")
    engine: str = Field("auto", min_length=1, description="engine for requests that name none")
    weights: Literal["fp32", "bf16", "int8"] | None = Field(
        None, description="number format of the weights; the engine's choice by default"
    )
    threads: int | None = Field(
        None, ge=1, description="threads that generate audio; one per core by default"
    )
    client_engines: Annotated[tuple[str, ...], NoDecode] = Field(
        (), description="engines that requests may name, besides the one that they get anyway"
    )
    max_connections: int = Field(
        1024, ge=1, description="connections per worker; fewer if the limit of open files is lower"
    )
    max_connections_per_address: int = Field(
        512, ge=1, description="connections of one client address, per worker"
    )
    max_head_bytes: int = Field(
        2**15, ge=2**12, le=2**20, description="largest head of a request, in bytes"
    )
    head_timeout_s: float = Field(10.0, gt=0, description="seconds to send the head of a request")
    stalled_s: float = Field(
        30.0, gt=0, description="seconds without progress after which a body or response is dropped"
    )
    max_body_bytes: int = Field(
        16 * 2**20, ge=1, description="largest body with features or a recording, in bytes"
    )
    max_text_body_bytes: int = Field(
        1_250_000, ge=1, description="largest body of any other request, in bytes"
    )
    max_audio_s: float = Field(60.0, gt=0, description="longest audio from features, in seconds")
    max_text_chars: int = Field(
        100_000, ge=1, description="longest text per request, in characters"
    )
    max_whole_text_chars: int = Field(
        5_000, ge=1, description="longest text for a response as a whole file, in characters"
    )
    max_speech_s: float = Field(10_800.0, gt=0, description="longest audio from a text, in seconds")
    max_whole_speech_s: float = Field(
        1200.0, gt=0, description="longest audio from a text as a whole file, in seconds"
    )
    voice_aliases: dict[str, str] = Field(
        {}, description="additional names: each means a speaker, a voice or voice/speaker"
    )
    max_streams: int | None = Field(
        None, ge=1, description="concurrent streams per worker; measured at startup by default"
    )
    waiting_requests: int = Field(
        16, ge=0, description="requests for whole files that may wait for a slot, per worker"
    )
    idle_slot_s: float = Field(
        10.0, ge=0, description="seconds that an idle WebSocket keeps its slot for a stream"
    )
    concurrent_jobs: int = Field(
        2, ge=1, le=1024, description="analyses and speech plans that run at once, per worker"
    )
    waiting_jobs: int = Field(
        16, ge=0, description="analyses and speech plans that may wait, per worker"
    )
    retry_after_s: int = Field(
        5, ge=1, description="seconds that refused clients are told to wait by default"
    )
    api_keys_file: Path | None = Field(
        None, description="TOML file of API keys; without one no key is needed"
    )
    cors_origins: Annotated[tuple[str, ...], NoDecode] = Field(
        (), description="web origins whose pages may call the server; * allows all"
    )
    cache_dir: Path | None = Field(
        None, description="folder of the response cache; without one nothing is cached"
    )
    cache_max_bytes: int = Field(
        2**30, ge=1, description="maximum size of the response cache, in bytes"
    )
    metrics: bool = Field(True, description="whether /metrics is served")
    metrics_open: bool = Field(False, description="whether /metrics needs no API key")
    shutdown_grace_s: int = Field(
        30, ge=0, description="seconds that streams get to finish at shutdown"
    )
    log_format: Literal["json", "text"] = Field(
        "json", description="one JSON object per line, or text"
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        "info", description="least severe lines that are logged"
    )

    @field_validator("cors_origins", "client_engines", "trusted_proxies", mode="before")
    @classmethod
    def _listed(cls, given: object) -> object:
        # An environment variable holds a JSON list, or items separated by commas.
        if not isinstance(given, str):
            return given
        if given.lstrip().startswith("["):
            return json.loads(given)
        return [origin.strip() for origin in given.split(",") if origin.strip()]

    @field_validator("cors_origins")
    @classmethod
    def _origins(cls, given: tuple[str, ...]) -> tuple[str, ...]:
        for origin in given:
            if not ORIGIN.fullmatch(origin):
                raise ValueError(
                    f"{origin!r} is not an origin: write https://example.com in lower case, "
                    "without a path or trailing slash, or *"
                )
        return given

    @field_validator("root_path")
    @classmethod
    def _path(cls, given: str | None) -> str | None:
        if given is not None and not ROOT_PATH.fullmatch(given):
            raise ValueError("write it with a leading slash and without a trailing one: /voice")
        return given

    @field_validator("trusted_proxies")
    @classmethod
    def _networks(cls, given: tuple[str, ...]) -> tuple[str, ...]:
        for proxy in given:
            try:
                ipaddress.ip_network(proxy)
            except ValueError:
                raise ValueError(f"{proxy!r} is no address or network such as 10.0.0.0/8") from None
        return given

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """The sources, in order of precedence."""
        if HANDED_OVER in os.environ:
            handed = json.loads(os.environ[HANDED_OVER])
            return init_settings, InitSettingsSource(settings_cls, handed)
        file = (env_settings() | init_settings()).get("settings_file")
        if file is None:
            return init_settings, env_settings
        return init_settings, env_settings, _file_source(settings_cls, Path(file))

    @classmethod
    def load(cls, **given: Any) -> Self:
        """Settings from all sources; ``given`` are the command line's, ignored where None.

        Raises:
            ConfigError: one line with the setting, its source, its value and what is valid.
        """
        given = {key: value for key, value in given.items() if value is not None}
        _warn_of_misspelt(cls.model_fields)
        try:
            return cls(**given)
        except SettingsError as error:
            found = re.search(r'field "(\w+)"', str(error))
            key = found[1] if found else "voice_aliases"
            raise ConfigError(
                f"setting {key} ({_variable(key)}) is not JSON: "
                'write it as {"name": "voice/speaker"}',
                param=key,
            ) from None
        except ValidationError as error:
            raise _mistake(cls, error, given) from None

    def to_environment(self) -> dict[str, str]:
        """Environment variables from which :meth:`load` recreates these settings."""
        return {HANDED_OVER: self.model_dump_json()}


def _warn_of_misspelt(known: Collection[str]) -> None:
    # An unknown variable is not an error, because other software may use the same prefix.
    variables = [f"{ENVIRONMENT_PREFIX}{key.upper()}" for key in known]
    for name in os.environ:
        if name.startswith(ENVIRONMENT_PREFIX) and name not in variables:
            close = difflib.get_close_matches(name, variables, n=1, cutoff=0.85)
            if close:
                logger.warning("unknown environment variable %s: did you mean %s?", name, close[0])


def _file_source(settings_cls: type[BaseSettings], file: Path) -> TomlConfigSettingsSource:
    try:
        source = TomlConfigSettingsSource(settings_cls, file)
        # The source treats a missing file as empty.
        trouble = None if file.is_file() else "no such file"
    except OSError as error:
        trouble = error.strerror or str(error)
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"settings file {file}: not TOML: {error}", param="settings_file"
        ) from None
    if trouble:
        named = f"it is given by {_variable('settings_file')} or option --settings"
        raise ConfigError(f"settings file {file}: {trouble}; {named}", param="settings_file")
    if "settings_file" in source.toml_data:
        raise ConfigError(
            f"settings file {file}: settings_file cannot be set in the file itself",
            param="settings_file",
        )
    return source


def _mistake(
    cls: type[ServerSettings], error: ValidationError, given: Mapping[str, Any]
) -> ConfigError:
    first = error.errors()[0]
    key, source = str(first["loc"][0]), _source(cls, first["loc"], given)
    if first["type"] == "extra_forbidden":
        close = difflib.get_close_matches(key, cls.model_fields, n=1)
        known = ", ".join(cls.model_fields)
        hint = f"did you mean {close[0]}?" if close else f"the settings are {known}"
        return ConfigError(f"unknown setting {key[:LONGEST_SHOWN]} ({source}): {hint}", param=key)
    place = key + "".join(f"[{part!r}]" for part in first["loc"][1:])
    value = repr(first["input"])
    if len(value) > LONGEST_SHOWN:
        value = f"{value[:LONGEST_SHOWN]}…"
    right = first["msg"].removeprefix("Value error, ")
    meaning = cls.model_fields[key].description
    return ConfigError(f"setting {place} = {value} ({source}): {right} [{meaning}]", param=key)


def _source(cls: type[ServerSettings], loc: Sequence[int | str], given: Mapping[str, Any]) -> str:
    """Where the value at ``loc`` comes from."""
    key = str(loc[0])
    if _holds(given, loc):
        return "option --settings" if key == "settings_file" else f"option --{_dashed(key)}"
    environment = EnvSettingsSource(cls)()
    if _holds(environment, loc):
        return _variable(key)
    return f"file {given.get('settings_file') or environment.get('settings_file')}"


def _holds(values: Any, loc: Sequence[int | str]) -> bool:
    for part in loc:
        if not isinstance(values, dict):
            return True  # A value of an unexpected type.
        if part not in values:
            return False
        values = values[part]
    return True


def _variable(key: str) -> str:
    return f"environment variable {ENVIRONMENT_PREFIX}{key.upper()}"


def _dashed(key: str) -> str:
    return key.replace("_", "-")
