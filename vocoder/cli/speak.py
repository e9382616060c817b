"""Commands for speech: ``speak`` from text, ``generate`` from features, ``analyze`` a recording."""

from pathlib import Path
from typing import Annotated

import typer

from vocoder.cli.options import (
    DEFAULT_VOICES,
    DeviceOption,
    EngineOption,
    SeedOption,
    SpeakerOption,
    TagsOption,
    VoiceOption,
    VoicesOption,
    WeightsOption,
)
from vocoder.errors import UserError


def speak(
    text: Annotated[
        str,
        typer.Argument(
            metavar="TEXT|FILE|-", help="Text, a .txt, .ssml or .xml file, or - for standard input."
        ),
    ],
    output: Annotated[
        Path | None,
        typer.Option(
            "-o", "--output", metavar="OUT.wav", help="Audio file to write: WAV, FLAC or MP3."
        ),
    ] = None,
    voice: VoiceOption = None,
    speaker: SpeakerOption = None,
    tags: TagsOption = None,
    seed: SeedOption = 0,
    speed: Annotated[float, typer.Option("--speed", help="Speed factor, 0.25 to 4.")] = 1.0,
    pitch: Annotated[
        float, typer.Option("--pitch", help="Pitch shift in semitones, -12 to 12.")
    ] = 0.0,
    ssml: Annotated[bool, typer.Option("--ssml", help="Read the text as SSML.")] = False,
    lexicon: Annotated[
        Path | None,
        typer.Option(metavar="WORDS.json", help="JSON object of words and their IPA."),
    ] = None,
    timings: Annotated[
        Path | None,
        typer.Option(
            metavar="OUT.json", help="Write the times of words and phonemes, in seconds, to a file."
        ),
    ] = None,
    features_to: Annotated[
        Path | None,
        typer.Option(
            "--features",
            metavar="OUT.safetensors",
            help="Write the acoustic features to a file, as input for generate.",
        ),
    ] = None,
    dry_run: Annotated[
        bool,
        typer.Option(
            "--dry-run", help="Print the text as read, phonemes and durations; make no audio."
        ),
    ] = False,
    engine: EngineOption = "auto",
    weights: WeightsOption = None,
    device: DeviceOption = "cpu",
    voices_dir: VoicesOption = DEFAULT_VOICES,
) -> None:
    """Convert text to speech."""
    from vocoder.cli import speech_files
    from vocoder.machine import resolve
    from vocoder.synthesis.speech import Speech
    from vocoder.synthesis.synthesizer import Synthesizer
    from vocoder.voices.registry import VoiceRegistry

    if output is None and features_to is None and not dry_run:
        raise UserError(
            "no output: add -o OUT.wav, --features OUT.safetensors or --dry-run", param="output"
        )
    registry = VoiceRegistry(voices_dir, resolve(device))
    loaded = registry.get(voice)
    content, is_ssml = speech_files.read_text(text)
    speech = Speech(
        text=content,
        speaker=speaker,
        seed=seed,
        speed=speed,
        pitch=pitch,
        ssml=ssml or is_ssml,
        lexicon=speech_files.read_lexicon(lexicon) if lexicon else {},
        tags=tuple(tags or ()),
    )
    synthesizer = Synthesizer(engine, weights=weights)
    if features_to is not None and not dry_run:
        print(speech_files.write_features(synthesizer, speech, loaded, features_to))
        if output is None:
            return
    if output is None or dry_run:
        speech_files.print_plan(synthesizer.plan(speech, voice=loaded), timings)
        return
    print(speech_files.write_audio(synthesizer, speech, loaded, output, timings))


def generate(
    features_file: Annotated[
        Path | None, typer.Argument(metavar="IN.safetensors", help="Feature file.")
    ] = None,
    *,
    output: Annotated[
        Path,
        typer.Option(
            "-o", "--output", metavar="OUT.wav", help="Audio file to write: WAV, FLAC or MP3."
        ),
    ],
    voice: VoiceOption = None,
    speaker: SpeakerOption = None,
    tags: TagsOption = None,
    seconds: Annotated[
        float | None,
        typer.Option("--seconds", help="Duration in seconds, for a voice that takes no features."),
    ] = None,
    seed: SeedOption = 0,
    clarity: Annotated[
        float,
        typer.Option(
            "--clarity",
            help="Spectral contrast to add, 0 to 2: 0 for recordings, 1 for predicted spectra.",
        ),
    ] = 0.0,
    engine: EngineOption = "auto",
    weights: WeightsOption = None,
    device: DeviceOption = "cpu",
    voices_dir: VoicesOption = DEFAULT_VOICES,
) -> None:
    """Generate audio from a feature file."""
    import time

    import numpy as np

    from vocoder.audio import io as audio
    from vocoder.features import feature_file as features
    from vocoder.features.feature_file import Features
    from vocoder.machine import resolve
    from vocoder.progress import track
    from vocoder.synthesis.synthesizer import CHUNK_FRAMES, Synthesizer
    from vocoder.voices.registry import VoiceRegistry

    audio.check_output(output)
    registry = VoiceRegistry(voices_dir, resolve(device))
    loaded = registry.get(voice)
    config = loaded.config.features
    if features_file is not None and seconds is None:
        analysis = features.load(features_file, config)
    elif features_file is None and seconds is not None:
        analysis = Features.lasting(seconds, config)
    else:
        raise UserError("give either a feature file, or --seconds for a voice that takes none")
    synthesizer = Synthesizer(engine, weights=weights)
    began = time.perf_counter()
    chunks = synthesizer.vocode(
        analysis, voice=loaded, speaker=speaker, seed=seed, tags=tags or (), clarity=clarity
    )
    total = -(-analysis.frames // CHUNK_FRAMES)
    samples = np.concatenate(list(track(chunks, "generating", total)))
    audio.write(output, samples, config.sample_rate_hz)
    duration_s, elapsed_s = len(samples) / config.sample_rate_hz, time.perf_counter() - began
    name = synthesizer.engine_name(loaded)
    print(f"{output}: {duration_s:.2f} s of audio in {elapsed_s:.2f} s ({name} engine)")


def analyze(
    recording: Annotated[
        Path, typer.Argument(metavar="IN.wav", help="Recording: WAV, FLAC, MP3 or OGG.")
    ],
    output: Annotated[
        Path,
        typer.Option("-o", "--output", metavar="OUT.safetensors", help="Feature file to write."),
    ],
    voice: VoiceOption = None,
    voices_dir: VoicesOption = DEFAULT_VOICES,
) -> None:
    """Extract features from a recording in a voice's feature format."""
    from vocoder.audio import io as audio
    from vocoder.features import feature_file as features
    from vocoder.voices.registry import VoiceRegistry

    config = VoiceRegistry(voices_dir).get(voice).config.features
    samples, _ = audio.read(recording, config.sample_rate_hz)
    analysis = features.analyze(samples, config)
    features.save(output, analysis)
    print(f"{output}: {analysis.frames} frames, {len(samples) / config.sample_rate_hz:.2f} s")
