"""Settings of ``vocoder prepare``."""

import json
import tomllib
from pathlib import Path

from pydantic import Field, model_validator

from vocoder.config import FeatureConfig, StrictModel
from vocoder.errors import ConfigError

VERSION = 1
"""Incremented when the processing of recordings changes, so that files are prepared again."""


class PreparationConfig(StrictModel):
    """How ``vocoder prepare`` turns recordings into a corpus."""

    features: FeatureConfig = FeatureConfig()
    f0: bool = Field(False, description="also analyse F0, about twenty times slower")
    require_text: bool = Field(False, description="reject recordings without a transcript")
    trim_db: float = Field(
        40.0, gt=0, le=100, description="silence is this far below loud speech, dB"
    )
    trim_floor_db: float = Field(
        8.0, ge=0, le=40, description="and up to this far above the noise floor, dB"
    )
    trim_margin_s: float = Field(0.12, ge=0, le=5, description="margin kept around speech, seconds")
    level_dbfs: float = Field(-24.0, ge=-60, le=0, description="RMS of the speech after levelling")
    peak_limit: float = Field(0.95, gt=0, lt=1, description="largest sample after levelling")
    silence_dbfs: float = Field(
        -60.0, ge=-110, le=0, description="recordings below this level are silent"
    )
    min_duration_s: float = Field(0.5, gt=0, description="minimum length after trimming, seconds")
    max_duration_s: float = Field(30.0, gt=0, description="maximum length after trimming, seconds")
    clipping_limit: float = Field(
        5e-4, ge=0, le=1, description="largest fraction of samples at full scale"
    )
    validation_fraction: float = Field(0.02, ge=0, lt=0.5, description="fraction of prompts")
    test_fraction: float = Field(0.02, ge=0, lt=0.5, description="fraction of prompts")

    @model_validator(mode="after")
    def _consistent(self) -> "PreparationConfig":
        if self.min_duration_s >= self.max_duration_s:
            raise ValueError(
                f"min_duration_s {self.min_duration_s:g} is not below max_duration_s "
                f"{self.max_duration_s:g}"
            )
        return self

    def audio_settings(self) -> str:
        """The settings that utterance files depend on; text and splits are in the manifest only."""
        other = {"require_text", "validation_fraction", "test_fraction"}
        return json.dumps([VERSION, self.model_dump(mode="json", exclude=other)], sort_keys=True)


def load_settings(path: Path | None) -> PreparationConfig:
    """Read preparation settings from a TOML file; the defaults if ``path`` is None.

    Raises:
        ConfigError: the file is missing or not TOML, a key is unknown or a value is invalid.
    """
    if path is None:
        return PreparationConfig()
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(f"{path}: cannot be read as TOML ({error})") from None
    return PreparationConfig.parse(data, str(path))
