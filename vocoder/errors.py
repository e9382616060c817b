"""Errors caused by user input. Each message says what was wrong and what would be right."""


class UserError(Exception):
    """A mistake in the input. The command line prints it and exits with 2; the server returns 4xx.

    ``param`` names the offending field if known; ``code`` is a short stable identifier.
    """

    code = "invalid_request"

    def __init__(self, message: str, *, param: str | None = None) -> None:
        super().__init__(message)
        self.param = param


class ConfigError(UserError):
    """An invalid configuration."""

    code = "invalid_config"


class AudioError(UserError):
    """A file or buffer that is not usable audio."""

    code = "invalid_audio"


class FeatureError(UserError):
    """Features that are damaged, or were extracted with settings other than the voice's."""

    code = "invalid_features"


class TextError(UserError):
    """A text that cannot be spoken, or invalid markup."""

    code = "invalid_text"


class LongSpeechError(TextError):
    """A text that takes longer to speak than is allowed."""

    code = "audio_too_long"


class SilentTextError(TextError):
    """A text with nothing to speak in it."""


class VoiceError(UserError):
    """A voice folder that is damaged or incomplete."""

    code = "invalid_voice"


class RecogniserError(UserError):
    """A recogniser folder that is damaged or incomplete, or does not match the recordings."""

    code = "invalid_recogniser"


class ImageError(UserError):
    """An image that a model cannot read, or a damaged folder of such a model."""

    code = "invalid_image"


class NotFoundError(UserError):
    """A voice or speaker that does not exist."""

    code = "not_found"


class EngineError(UserError):
    """A requested engine or device that is unknown, unavailable, or cannot run this model."""

    code = "engine_unavailable"


class CorpusError(UserError):
    """A corpus folder with an unknown layout, or without usable recordings."""

    code = "invalid_corpus"


class TrainingError(UserError):
    """Training that cannot start, resume or continue."""

    code = "training_failed"
