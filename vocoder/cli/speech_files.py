"""Input and output of ``vocoder speak``: reads texts and lexicons, writes audio and timings."""

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
PROGRESS_EVERY_S = 5.0


def read_text(argument: str) -> tuple[str, bool]:
    """The text that an argument stands for, and whether its file name says that it is SSML.

    Raises:
        TextError: if the file does not exist or is not UTF-8.
    """
    try:
        if argument == "-":
            return sys.stdin.buffer.read().decode("utf-8"), False
        path = Path(argument)
        is_file_name = path.suffix.lower() in TEXT_SUFFIXES and not any(map(str.isspace, argument))
        if not is_file_name:
            return argument, False
        return path.read_text(encoding="utf-8"), path.suffix.lower() != ".txt"
    except UnicodeDecodeError as error:
        raise TextError(
            f"{argument}: not UTF-8 ({error.reason} at byte {error.start}): save it as UTF-8"
        ) from None
    except OSError as error:
        raise TextError(f"{argument}: {error.strerror or error}") from None


def read_lexicon(path: Path) -> dict[str, str]:
    """Words and their IPA from a JSON object.

    Raises:
        TextError: if the file does not exist, or is not a JSON object of strings.
    """
    try:
        data: Any = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise TextError(f"{path}: {error.strerror or error}") from None
    except ValueError as error:
        raise TextError(f"{path}: not JSON: {error}") from None
    if not isinstance(data, dict) or not all(isinstance(value, str) for value in data.values()):
        raise TextError(
            f'{path}: not a lexicon: write a JSON object of words and IPA, {{"GIF": "d͡ʒɪf"}}'
        )
    return data


def write_audio(
    synthesizer: Synthesizer, speech: Speech, voice: Voice, path: Path, timings: Path | None
) -> str:
    """Write speech to an audio file as it is synthesised; returns a summary line."""
    audio_format = audio.check_output(path)
    rate = voice.config.features.sample_rate_hz
    began, first_audio_s, count = time.perf_counter(), 0.0, 0
    printed = time.monotonic()
    words: list[TimedWord] = []
    chunks = synthesizer.speak(speech, voice=voice)
    with files.replacing(path) as temporary:
        settings = audio.file_settings(audio_format, rate)
        with soundfile.SoundFile(temporary, "w", samplerate=rate, channels=1, **settings) as sound:
            for chunk in chunks:
                first_audio_s = first_audio_s or time.perf_counter() - began
                sound.write(audio.to_pcm16(chunk.samples))
                count += len(chunk.samples)
                words += chunk.words
                if time.monotonic() - printed > PROGRESS_EVERY_S:
                    printed = time.monotonic()
                    print(f"{count / rate:.0f} s of audio so far", file=sys.stderr, flush=True)
    if timings:
        write_timings(timings, words)
    elapsed_s = time.perf_counter() - began
    name = synthesizer.engine_name(voice)
    return (
        f"{path}: {count / rate:.2f} s of audio in {elapsed_s:.2f} s ({name} engine), "
        f"first audio after {1000 * first_audio_s:.0f} ms"
    )


def write_features(synthesizer: Synthesizer, speech: Speech, voice: Voice, path: Path) -> str:
    """Write the features that speech is vocoded from to a file; returns a summary line."""
    predicted = synthesizer.features(speech, voice=voice)
    features.save(path, predicted)
    duration_s = predicted.frames / predicted.config.frame_rate_hz
    return f"{path}: {predicted.frames} frames, {duration_s:.2f} s"


def print_plan(sentences: Iterable[PlannedSentence], timings: Path | None) -> None:
    """Print each sentence with its phonemes and duration."""
    console, total_s = Console(soft_wrap=True, highlight=False, markup=False), 0.0
    words: list[TimedWord] = []
    for sentence in sentences:
        console.print(f"{sentence.text}\n  {sentence.phonemes}\n  {sentence.duration_s:.2f} s")
        total_s += sentence.duration_s
        words += sentence.words
    console.print(f"{total_s:.2f} s in total")
    if timings:
        write_timings(timings, words)


def write_timings(path: Path, words: Iterable[TimedWord]) -> None:
    """Write words and phonemes with their times in seconds as JSON."""
    rows = [_rounded(asdict(word)) for word in words]
    files.write_text(path, json.dumps(rows, ensure_ascii=False, indent=1) + "\n")


def _rounded(value: Any) -> Any:
    if isinstance(value, float):
        return round(value, 4)
    if isinstance(value, Mapping):
        return {key: _rounded(inner) for key, inner in value.items()}
    return [_rounded(inner) for inner in value] if isinstance(value, list | tuple) else value
