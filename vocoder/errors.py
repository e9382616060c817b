"""Errors that a user can cause; each message says what was wrong and what would be right."""


class UserError(Exception):
    """A mistake in the input. The command line prints it and exits 2; the server answers 4xx.

    ``param`` names the offending field where one is known, ``code`` is a short stable word.
    """

    code = "invalid_request"

    def __init__(self, message: str, *, param: str | None = None) -> None:
        super().__init__(message)
        self.param = param


class ConfigError(UserError):
    """A configuration that cannot be meant."""

    code = "invalid_config"


class AudioError(UserError):
    """A file or buffer that is not usable audio."""

    code = "invalid_audio"


class FeatureError(UserError):
    """Features that are damaged, or were made with other settings than the voice's."""

    code = "invalid_features"


class TextError(UserError):
    """A text that cannot be spoken, or markup that cannot be read."""

    code = "invalid_text"


class SilentTextError(TextError):
    """A text that holds nothing to speak."""


class VoiceError(UserError):
    """A voice folder that is damaged or incomplete."""

    code = "invalid_voice"


class RecogniserError(UserError):
    """A recogniser's folder that is damaged or incomplete, or does not fit the recordings."""

    code = "invalid_recogniser"


class NotFoundError(UserError):
    """A voice or speaker that does not exist."""

    code = "not_found"


class EngineError(UserError):
    """An engine asked for by name that cannot run this model here."""

    code = "engine_unavailable"


class CorpusError(UserError):
    """A corpus folder in no known layout, or with nothing usable in it."""

    code = "invalid_corpus"


class TrainingError(UserError):
    """Training that cannot start, resume or go on."""

    code = "training_failed"
