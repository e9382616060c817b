"""What the server can be told, by arguments or by environment variables (``VOCODER_PORT=8000``)."""

from pathlib import Path
from typing import Any, Literal, Self

from pydantic import Field, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict, SettingsError

from vocoder.errors import ConfigError

ENVIRONMENT_PREFIX = "VOCODER_"


class ServerSettings(BaseSettings):
    """Address, voices and limits of a server."""

    model_config = SettingsConfigDict(env_prefix=ENVIRONMENT_PREFIX, extra="forbid", frozen=True)

    host: str = Field("127.0.0.1", min_length=1, description="address to listen on")
    port: int = Field(8000, ge=0, le=65535, description="port to listen on; 0 takes a free one")
    voices_dir: Path = Field(Path("checkpoints"), description="folder of voice folders")
    engine: str = Field("auto", min_length=1, description="engine for requests that name none")
    weights: Literal["fp32", "bf16", "int8"] | None = Field(
        None, description="number format of the weights; the engine's own choice if not given"
    )
    max_body_bytes: int = Field(16 * 2**20, ge=1, description="largest request body, in bytes")
    max_audio_s: float = Field(60.0, gt=0, description="longest audio from features, in seconds")
    max_text_chars: int = Field(100_000, ge=1, description="longest text a request, in characters")
    max_whole_text_chars: int = Field(
        5_000, ge=1, description="longest text that is answered in one piece, in characters"
    )
    voice_aliases: dict[str, str] = Field(
        {}, description="further names of voices: each means a speaker, a voice or voice/speaker"
    )
    concurrent_generations: int = Field(2, ge=1, le=1024, description="generations at a time")
    waiting_generations: int = Field(16, ge=0, description="requests that may wait for a turn")
    retry_after_s: int = Field(5, ge=1, description="what a refused client is told to wait")
    shutdown_grace_s: int = Field(30, ge=0, description="time that requests get to end at a stop")
    log_format: Literal["json", "text"] = Field(
        "json", description="one JSON object a line, or text"
    )

    @classmethod
    def load(cls, **given: Any) -> Self:
        """Settings from the environment; those ``given`` and not None take precedence.

        Raises:
            ConfigError: one line that names the setting, the value and what is expected.
        """
        try:
            return cls(**{key: value for key, value in given.items() if value is not None})
        except SettingsError:
            name = f"{ENVIRONMENT_PREFIX}VOICE_ALIASES"
            raise ConfigError(
                f'server setting {name} is not JSON: write it as {{"name": "voice/speaker"}}',
                param="voice_aliases",
            ) from None
        except ValidationError as error:
            first = error.errors()[0]
            key = str(first["loc"][0]) if first["loc"] else ""
            if first["type"] == "extra_forbidden":
                known = ", ".join(cls.model_fields)
                raise ConfigError(f"unknown setting {key} (known: {known})", param=key) from None
            source = key if given.get(key) is not None else f"{ENVIRONMENT_PREFIX}{key.upper()}"
            raise ConfigError(
                f"server setting {source} = {first['input']!r}: {first['msg']}", param=key
            ) from None
