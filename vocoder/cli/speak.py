"""What ``vocoder speak`` does besides parsing its options: texts from files, speech into files."""

import json
import sys
import time
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import soundfile
from rich.console import Console

from vocoder import files
from vocoder.audio import io as audio
from vocoder.errors import TextError
from vocoder.features import feature_file as features
from vocoder.synthesis.speech import PlannedSentence, Speech
from vocoder.synthesis.synthesizer import Synthesizer
from vocoder.text.timings import TimedWord
from vocoder.voices.voice import Voice

TEXT_SUFFIXES = (".txt", ".ssml", ".xml")
LINE_EVERY_S = 5.0


def read_text(given: str) -> tuple[str, bool]:
    """The text that an argument stands for, and whether it is SSML by its file's name.

    Raises:
        TextError: a file that is named does not exist, or holds no UTF-8.
    """
    try:
        if given == "-":
            return sys.stdin.buffer.read().decode("utf-8"), False
        path = Path(given)
        is_text_file = path.suffix.lower() in TEXT_SUFFIXES and not any(map(str.isspace, given))
        if not is_text_file:
            return given, False
        return path.read_text(encoding="utf-8"), path.suffix.lower() != ".txt"
    except UnicodeDecodeError as error:
        raise TextError(f"{given}: not UTF-8 ({error.reason} at byte {error.start})") from None
    except OSError as error:
        raise TextError(f"{given}: {error.strerror or error}") from None


def read_lexicon(path: Path) -> dict[str, str]:
    """Words and their IPA from a JSON object.

    Raises:
        TextError: no such file, or not an object of strings.
    """
    try:
        data: Any = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise TextError(f"{path}: {error.strerror or error}") from None
    except ValueError as error:
        raise TextError(f"{path}: not JSON: {error}") from None
    if not isinstance(data, dict) or not all(isinstance(value, str) for value in data.values()):
        raise TextError(f'{path}: expected an object such as {{"GIF": "d͡ʒɪf"}}')
    return data


def write(
    synthesizer: Synthesizer, speech: Speech, voice: Voice, path: Path, timings: Path | None
) -> str:
    """Speak into a file, which is written as the speech is made; returns a line about it."""
    audio_format = audio.check_output(path)
    rate = voice.config.features.sample_rate_hz
    began, first, count = time.perf_counter(), 0.0, 0
    shown = time.monotonic()
    words: list[TimedWord] = []
    chunks = synthesizer.speak(speech, voice=voice)
    with files.replacing(path) as temporary:
        settings = audio.file_settings(audio_format, rate)
        with soundfile.SoundFile(temporary, "w", samplerate=rate, channels=1, **settings) as sound:
            for chunk in chunks:
                first = first or time.perf_counter() - began
                sound.write(audio.to_pcm16(chunk.samples))
                count += len(chunk.samples)
                words += chunk.words
                if time.monotonic() - shown > LINE_EVERY_S:
                    shown = time.monotonic()
                    print(f"spoken: {count / rate:.0f} s", file=sys.stderr, flush=True)
    if timings:
        write_timings(timings, words)
    seconds, spent = count / rate, time.perf_counter() - began
    name = synthesizer.engine_name(voice)
    return (
        f"{path}: {seconds:.2f} s in {spent:.2f} s with the {name} engine, first audio after "
        f"{1000 * first:.0f} ms"
    )


def write_features(synthesizer: Synthesizer, speech: Speech, voice: Voice, path: Path) -> str:
    """Write what a speech is vocoded from as a feature file; returns a line about it."""
    made = synthesizer.features(speech, voice=voice)
    features.save(path, made)
    return f"{path}: {made.frames} frames, {made.frames / made.config.frame_rate_hz:.2f} s"


def show_plan(sentences: Iterable[PlannedSentence], timings: Path | None) -> None:
    """Print each sentence, its phonemes and its length."""
    console, total = Console(soft_wrap=True, highlight=False, markup=False), 0.0
    words: list[TimedWord] = []
    for sentence in sentences:
        console.print(f"{sentence.text}\n  {sentence.phonemes}\n  {sentence.duration_s:.2f} s")
        total += sentence.duration_s
        words += sentence.words
    console.print(f"{total:.2f} s in all")
    if timings:
        write_timings(timings, words)


def write_timings(path: Path, words: Iterable[TimedWord]) -> None:
    """Write words with their phonemes as JSON; times in seconds."""
    rows = [_rounded(asdict(word)) for word in words]
    files.write_text(path, json.dumps(rows, ensure_ascii=False, indent=1) + "\n")


def _rounded(value: Any) -> Any:
    if isinstance(value, float):
        return round(value, 4)
    if isinstance(value, Mapping):
        return {key: _rounded(inner) for key, inner in value.items()}
    return [_rounded(inner) for inner in value] if isinstance(value, list | tuple) else value
