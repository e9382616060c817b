"""The command line. A user's mistake prints one line and exits 2."""

import json
import logging
import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from vocoder import __version__
from vocoder.cli import measure as measuring
from vocoder.cli import recognise as recognising
from vocoder.cli import train as making
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
from vocoder.server import cli as commands

app = typer.Typer(
    help="A neural text-to-speech vocoder: features in, speech out.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


def _print_version(asked: bool) -> None:
    if asked:
        print(f"vocoder {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool,
        typer.Option("--version", is_eager=True, callback=_print_version, help="Print it and end."),
    ] = False,
) -> None:
    pass


@app.command()
def analyze(
    recording: Annotated[Path, typer.Argument(metavar="IN.wav", help="WAV, FLAC, MP3 or OGG.")],
    output: Annotated[Path, typer.Option("-o", "--output", metavar="OUT.safetensors")],
    voice: VoiceOption = None,
    voices_dir: VoicesOption = DEFAULT_VOICES,
) -> None:
    """Features of a recording, made as a voice needs them."""
    from vocoder.audio import io as audio
    from vocoder.features import feature_file as features
    from vocoder.voices.registry import VoiceRegistry

    config = VoiceRegistry(voices_dir).get(voice).config.features
    samples, _ = audio.read(recording, config.sample_rate_hz)
    analysis = features.analyze(samples, config)
    features.save(output, analysis)
    print(f"{output}: {analysis.frames} frames, {len(samples) / config.sample_rate_hz:.2f} s")


@app.command()
def generate(
    features_file: Annotated[
        Path | None, typer.Argument(metavar="[IN.safetensors]", help="Feature file.")
    ] = None,
    *,
    output: Annotated[Path, typer.Option("-o", "--output", metavar="OUT.wav")],
    voice: VoiceOption = None,
    speaker: SpeakerOption = None,
    tags: TagsOption = None,
    seconds: Annotated[
        float | None, typer.Option("--seconds", help="Length, for a voice that takes no features.")
    ] = None,
    seed: SeedOption = 0,
    engine: EngineOption = "auto",
    weights: WeightsOption = None,
    device: DeviceOption = "cpu",
    voices_dir: VoicesOption = DEFAULT_VOICES,
) -> None:
    """Sound from a feature file, or of a length alone."""
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
        raise UserError("name a feature file, or give --seconds to a voice that takes none")
    synthesizer = Synthesizer(engine, weights=weights)
    began = time.perf_counter()
    chunks = synthesizer.vocode(analysis, voice=loaded, speaker=speaker, seed=seed, tags=tags or ())
    total = -(-analysis.frames // CHUNK_FRAMES)
    samples = np.concatenate(list(track(chunks, "generating", total)))
    audio.write(output, samples, config.sample_rate_hz)
    seconds, spent = len(samples) / config.sample_rate_hz, time.perf_counter() - began
    name = synthesizer.engine_name(loaded)
    print(f"{output}: {seconds:.2f} s in {spent:.2f} s with the {name} engine")


@app.command()
def speak(
    text: Annotated[
        str, typer.Argument(metavar="TEXT|FILE|-", help="Text, a .txt or .ssml file, or - (input).")
    ],
    output: Annotated[
        Path | None, typer.Option("-o", "--output", metavar="OUT.wav", help="WAV, FLAC or MP3.")
    ] = None,
    voice: VoiceOption = None,
    speaker: SpeakerOption = None,
    tags: TagsOption = None,
    seed: SeedOption = 0,
    speed: Annotated[float, typer.Option("--speed", help="Factor, 0.25 to 4.")] = 1.0,
    pitch: Annotated[float, typer.Option("--pitch", help="Shift in semitones, -12 to 12.")] = 0.0,
    ssml: Annotated[bool, typer.Option("--ssml", help="The text is SSML.")] = False,
    lexicon: Annotated[
        Path | None, typer.Option(metavar="WORDS.json", help="Words and their IPA, as JSON.")
    ] = None,
    timings: Annotated[
        Path | None, typer.Option(metavar="OUT.json", help="Write times of words and phonemes.")
    ] = None,
    features_to: Annotated[
        Path | None,
        typer.Option(
            "--features", metavar="OUT.safetensors", help="Write what it is vocoded from."
        ),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show text, phonemes and duration; no audio.")
    ] = False,
    engine: EngineOption = "auto",
    weights: WeightsOption = None,
    device: DeviceOption = "cpu",
    voices_dir: VoicesOption = DEFAULT_VOICES,
) -> None:
    """Speech from text."""
    from vocoder.cli import speak as speaking
    from vocoder.machine import resolve
    from vocoder.synthesis.speech import Speech
    from vocoder.synthesis.synthesizer import Synthesizer
    from vocoder.voices.registry import VoiceRegistry

    if output is None and features_to is None and not dry_run:
        raise UserError(
            "name an output with -o OUT.wav or --features OUT.safetensors, or add --dry-run",
            param="output",
        )
    registry = VoiceRegistry(voices_dir, resolve(device))
    loaded = registry.get(voice)
    content, is_ssml = speaking.read_text(text)
    speech = Speech(
        text=content,
        speaker=speaker,
        seed=seed,
        speed=speed,
        pitch=pitch,
        ssml=ssml or is_ssml,
        lexicon=speaking.read_lexicon(lexicon) if lexicon else {},
        tags=tuple(tags or ()),
    )
    synthesizer = Synthesizer(engine, weights=weights)
    if features_to is not None and not dry_run:
        print(speaking.write_features(synthesizer, speech, loaded, features_to))
        if output is None:
            return
    if output is None or dry_run:
        speaking.show_plan(synthesizer.plan(speech, voice=loaded), timings)
        return
    print(speaking.write(synthesizer, speech, loaded, output, timings))


@app.command()
def voices(
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    voices_dir: VoicesOption = DEFAULT_VOICES,
) -> None:
    """The voices at hand."""
    from vocoder.voices.registry import VoiceRegistry

    registry = VoiceRegistry(voices_dir)
    loaded = [registry.get(voice_id) for voice_id in registry.ids()]
    if as_json:
        rows = [
            {
                "id": voice.id,
                "name": voice.manifest.name,
                "speakers": list(voice.speakers),
                "sample_rate_hz": voice.config.features.sample_rate_hz,
                "licence": voice.manifest.licence,
                "digest": voice.digest,
            }
            for voice in loaded
        ]
        print(json.dumps(rows, indent=2))
        return
    table = Table("voice", "name", "speakers", "rate", "licence")
    for voice in loaded:
        speakers, rate = ", ".join(voice.speakers), f"{voice.config.features.sample_rate_hz} Hz"
        table.add_row(voice.id, voice.manifest.name, speakers, rate, voice.manifest.licence)
    Console().print(table)


for command in (
    *(making.prepare, making.shard, making.align, making.train, making.compare, making.pack),
    *(measuring.evaluate, measuring.bench, recognising.recognise),
    *(commands.serve, commands.key),
):
    app.command()(command)


def main() -> None:
    """Entry point of ``vocoder``."""
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    try:
        app()
    except UserError as error:
        print(f"vocoder: {' '.join(str(error).split())}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        sys.exit(130)
