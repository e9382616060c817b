"""A neural text-to-speech vocoder: a conditional WaveNet, its engines and its training.

    import vocoder

    voice = vocoder.load("arctic")
    samples = voice.speak("Hello there.", speaker="slt", seed=1)  # float32, at voice.sample_rate_hz
    voice.save("hello.wav", samples)

The names in ``__all__`` are imported on first use, so that ``import vocoder`` stays fast.
"""

import importlib
from typing import TYPE_CHECKING

__version__ = "0.8.0"

__all__ = [
    "AudioChunk",
    "Features",
    "LoadedVoice",
    "Speech",
    "Synthesizer",
    "UserError",
    "__version__",
    "load",
]

_MODULES = {
    "AudioChunk": "vocoder.synthesis.speech",
    "Features": "vocoder.features.feature_file",
    "LoadedVoice": "vocoder.api",
    "Speech": "vocoder.synthesis.speech",
    "Synthesizer": "vocoder.synthesis.synthesizer",
    "UserError": "vocoder.errors",
    "load": "vocoder.api",
}

if TYPE_CHECKING:
    from vocoder.api import LoadedVoice, load
    from vocoder.errors import UserError
    from vocoder.features.feature_file import Features
    from vocoder.synthesis.speech import AudioChunk, Speech
    from vocoder.synthesis.synthesizer import Synthesizer
else:

    def __getattr__(name: str) -> object:
        if name not in _MODULES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        value = globals()[name] = getattr(importlib.import_module(_MODULES[name]), name)
        return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
