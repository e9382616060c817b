"""A request for audio: a voice, and the text or features it turns into sound."""

from dataclasses import dataclass

from torch import Tensor

from vocoder.features.feature_file import Features
from vocoder.synthesis.input_stream import InputStream
from vocoder.synthesis.speech import Speech
from vocoder.voices.voice import Voice

CLARITIES = (0.0, 2.0)


@dataclass(frozen=True)
class Vocoding:
    """Features to vocode, and how.

    Attributes:
        features: computed with the voice's settings; None where frames arrive through an
            :class:`InputStream`.
        speaker: one of the voice's speakers; the first where None.
        seed: of the noise; the same seed gives the same audio.
        tags: of the voice.
        clarity: strength of the spectral contrast added to the features, 0 to 2; 0 leaves them as
            they are, 1 is what the voice adds to the spectra it predicts from text.
    """

    features: Features | None
    speaker: str | None = None
    seed: int = 0
    tags: tuple[str, ...] = ()
    clarity: float = 0.0


@dataclass(frozen=True)
class SynthesisRequest:
    """One stream of audio.

    Attributes:
        voice: that speaks.
        content: a text to speak, or features to vocode.
        input: delivers the text, or the frames (C, F) that condition the voice, while they are
            still arriving; frames must have passed
            :func:`~vocoder.synthesis.conditioning_input.checked_frames`. The text or features in
            ``content`` are then ignored.
        engine: by name; the synthesizer's default where None.
        offline: whether nobody is listening; the stream then yields to those with a listener.
        ahead_s: seconds of audio the listener still has to play before this stream.
    """

    voice: Voice
    content: Speech | Vocoding
    input: InputStream[str] | InputStream[Tensor] | None = None
    engine: str | None = None
    offline: bool = False
    ahead_s: float = 0.0
