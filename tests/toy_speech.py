"""A toy language of five distinct sounds, with known times of all phones."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from vocoder.audio import io as audio
from vocoder.corpus.manifest import Corpus
from vocoder.corpus.prepare import prepare
from vocoder.corpus.settings import PreparationConfig

RATE = 16000
WORDS = {
    "see": ("s", "i"),
    "sue": ("s", "u"),
    "me": ("m", "i"),
    "moo": ("m", "u"),
    "she": ("ʃ", "i"),
    "shoe": ("ʃ", "u"),
}
SPEAKERS = {"ann": 190.0, "ben": 110.0}
SILENCE_S = 0.3
Samples = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Reading:
    """One utterance of the toy language.

    Attributes:
        text: its text.
        samples: the recording (T,).
        ends_s: end time of each phone in the recording; the silence before the sentence is the
            first phone, the silence after it the last.
    """

    text: str
    samples: npt.NDArray[np.float32]
    ends_s: tuple[float, ...]


def _sound(phone: str, f0_hz: float, seconds: float, generator: np.random.Generator) -> Samples:
    time = np.arange(round(seconds * RATE)) / RATE
    noise = generator.standard_normal(len(time))
    if phone in ("s", "ʃ"):
        spectrum = np.fft.rfft(noise)
        frequency = np.fft.rfftfreq(len(time), 1 / RATE)
        low, high = (5000, 7800) if phone == "s" else (1800, 3600)
        return 0.4 * np.fft.irfft(spectrum * ((frequency > low) & (frequency < high)), len(time))
    formants = {"i": (300, 2300), "u": (350, 800), "m": (200, 200)}[phone]
    total = np.zeros_like(time)
    for harmonic in range(1, int(4000 / f0_hz)):
        frequency = harmonic * f0_hz
        weight = sum(1 / (1 + ((frequency - formant) / 120) ** 2) for formant in formants)
        total += weight * np.sin(2 * np.pi * frequency * time)
    return (0.15 if phone == "m" else 0.3) * total


def read_aloud(words: list[str], f0_hz: float, generator: np.random.Generator) -> Reading:
    """Synthesise words with phones of 70 to 180 ms, in faint noise."""
    silence = np.zeros(round(SILENCE_S * RATE))
    parts, ends = [silence], [SILENCE_S]
    for word in words:
        for phone in WORDS[word]:
            seconds = round(generator.uniform(0.07, 0.18), 3)
            parts.append(_sound(phone, f0_hz * generator.uniform(0.9, 1.1), seconds, generator))
            ends.append(ends[-1] + len(parts[-1]) / RATE)
    parts.append(silence)
    ends.append(ends[-1] + SILENCE_S)
    signal = np.concatenate(parts)
    signal += 1e-3 * generator.standard_normal(len(signal))
    text = " ".join(words).capitalize() + "."
    return Reading(text, (0.3 * signal).astype(np.float32), tuple(ends))


def cut_at_s(reading: Reading, kept: npt.NDArray[np.float32]) -> float:
    """The time in the recording at which the part kept by ``vocoder prepare`` starts."""
    part = kept[: RATE // 2]
    return float(np.argmax(np.correlate(reading.samples, part, "valid"))) / RATE


def make_corpus(root: Path, sentences: int = 24) -> tuple[Corpus, dict[tuple[str, str], Reading]]:
    """Prepare a corpus with F0 of the same sentences by each speaker; returns it and the truth."""
    generator = np.random.default_rng(5)
    truth = {}
    for speaker in SPEAKERS:
        (root / "in" / speaker / "wavs").mkdir(parents=True)
    texts = [list(generator.choice(list(WORDS), 4)) for _ in range(sentences)]
    for speaker, f0_hz in SPEAKERS.items():
        lines = []
        for number, words in enumerate(texts):
            reading = read_aloud(words, f0_hz, generator)
            name = f"arctic_a{number:04d}"
            audio.write(root / "in" / speaker / "wavs" / f"{name}.wav", reading.samples, RATE)
            lines.append(f"{name}|{reading.text}|{reading.text}")
            truth[speaker, name] = reading
        (root / "in" / speaker / "metadata.csv").write_text("\n".join(lines) + "\n")
    settings = PreparationConfig(f0=True, validation_fraction=0.15, test_fraction=0.15)
    prepare([root / "in" / speaker for speaker in SPEAKERS], root / "out", settings, jobs=1)
    return Corpus.load(root / "out"), truth
