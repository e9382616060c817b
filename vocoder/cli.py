"""The command line. A user's mistake prints one line and exits 2."""

import json
import logging
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from server import commands
from vocoder import recognising
from vocoder.errors import UserError

app = typer.Typer(
    help="A neural text-to-speech vocoder: features in, speech out.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

DEFAULT_VOICES = Path(__file__).resolve().parent.parent / "checkpoints"

VoicesOption = Annotated[
    Path, typer.Option("--voices-dir", envvar="VOCODER_VOICES_DIR", help="Folder of voices.")
]
VoiceOption = Annotated[
    str | None, typer.Option("--voice", help="Voice id; the first if left out.")
]
SpeakerOption = Annotated[
    str | None,
    typer.Option("--speaker", help="One of the voice's speakers; its first if left out."),
]
TagsOption = Annotated[
    list[str] | None,
    typer.Option("--tag", help="One of the voice's tags; may be given several times."),
]
SeedOption = Annotated[int, typer.Option("--seed", help="Same seed, same audio.")]
EngineOption = Annotated[str, typer.Option("--engine", help="Engine by name, or auto.")]
DeviceOption = Annotated[
    str, typer.Option("--device", envvar="VOCODER_DEVICE", help="auto, cpu or cuda.")
]
WeightsOption = Annotated[
    str | None,
    typer.Option("--weights", help="fp32, bf16 or int8; the engine's own choice if left out."),
]


@app.command()
def analyze(
    recording: Annotated[Path, typer.Argument(metavar="IN.wav", help="WAV, FLAC, MP3 or OGG.")],
    output: Annotated[Path, typer.Option("-o", "--output", metavar="OUT.safetensors")],
    voice: VoiceOption = None,
    voices_dir: VoicesOption = DEFAULT_VOICES,
) -> None:
    """Features of a recording, made as a voice needs them."""
    from vocoder import audio, features
    from vocoder.voice import VoiceRegistry

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

    from vocoder import audio, features
    from vocoder.device import resolve
    from vocoder.features import Features
    from vocoder.progress import track
    from vocoder.synthesizer import CHUNK_FRAMES, Synthesizer
    from vocoder.voice import VoiceRegistry

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
    synthesizer = Synthesizer(registry, engine, weights=weights)
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
    from vocoder import speaking
    from vocoder.device import resolve
    from vocoder.speech import Speech
    from vocoder.synthesizer import Synthesizer
    from vocoder.voice import VoiceRegistry

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
    synthesizer = Synthesizer(registry, engine, weights=weights)
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
    from vocoder.voice import VoiceRegistry

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


@app.command()
def prepare(
    corpora: Annotated[list[Path], typer.Argument(metavar="CORPUS...", help="Folders of speech.")],
    output: Annotated[Path, typer.Option("-o", "--output", metavar="DIR")],
    settings: Annotated[
        Path | None, typer.Option(help="TOML file of preparation settings.")
    ] = None,
    f0: Annotated[bool, typer.Option("--f0", help="Analyse F0 as well.")] = False,
    jobs: Annotated[int, typer.Option(min=1, help="Processes.")] = os.cpu_count() or 1,
) -> None:
    """Make a training corpus: resample, trim, normalise, analyse, split, report."""
    from vocoder.corpus.prepare import load_settings
    from vocoder.corpus.prepare import prepare as run

    chosen = load_settings(settings)
    if f0:
        chosen = chosen.model_copy(update={"f0": True})
    print(run(corpora, output, chosen, jobs=jobs))


@app.command()
def shard(
    corpus: Annotated[Path, typer.Argument(metavar="CORPUS", help="Prepared corpus.")],
    output: Annotated[Path, typer.Option("-o", "--output", metavar="DIR")],
    megabytes: Annotated[int, typer.Option("--mb", min=1, help="Size of a shard.")] = 256,
) -> None:
    """Write a prepared corpus as tar files, to be read from anywhere."""
    from vocoder.corpus.manifest import Corpus
    from vocoder.corpus.sharding import shard as run

    print(run(Corpus.load(corpus), output, megabytes=megabytes))


@app.command()
def align(
    corpus: Annotated[Path, typer.Argument(metavar="CORPUS", help="Prepared corpus.")],
    steps: Annotated[int, typer.Option(min=8, help="Training steps of the aligner.")] = 3000,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on from the aligner's last checkpoint.")
    ] = False,
) -> None:
    """Find each phone of a corpus's transcripts in its recordings."""
    from vocoder.corpus.align import align as run

    print(run(corpus, steps=steps, resume=resume))


@app.command()
def train(
    config: Annotated[Path, typer.Argument(metavar="CONFIG", help="TOML file.")],
    resume: Annotated[
        bool,
        typer.Option("--resume", help="Go on from the last checkpoint; under torchrun, if any."),
    ] = False,
    changes: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Instead of the file's; may be repeated."),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Check corpus, memory and speed; train nothing.")
    ] = False,
    profile: Annotated[
        bool, typer.Option("--profile", help="With --dry-run: where a step's time goes.")
    ] = False,
) -> None:
    """Train a voice, an acoustic model or a recogniser."""
    from vocoder.training import config as configs
    from vocoder.training import doctor, loop

    settings = configs.load(config, changes or ())
    if profile and not dry_run:
        raise UserError("--profile shows a few steps that train nothing: add --dry-run")
    if dry_run:
        for line in doctor.examine(settings, profile=profile):
            print(line, flush=True)
        return
    made = "recogniser" if settings.kind == "recogniser" else "voice"
    print(f"{made}: {loop.train(settings, resume=resume)}")


@app.command()
def compare(
    runs: Annotated[list[Path], typer.Argument(metavar="RUN...", help="Folders of runs.")],
    output: Annotated[Path, typer.Option("-o", "--output", metavar="DIR")],
) -> None:
    """Curves and a table of training runs."""
    from vocoder.training.compare import compare as run

    print(run(runs, output))


@app.command()
def evaluate(
    voice: Annotated[str, typer.Argument(metavar="VOICE", help="Voice id, or a voice's folder.")],
    corpus: Annotated[Path, typer.Argument(metavar="CORPUS", help="Prepared corpus.")],
    json_output: Annotated[Path | None, typer.Option("--json", metavar="OUT")] = None,
    report: Annotated[Path | None, typer.Option("--report", metavar="DIR")] = None,
    clips: Annotated[int, typer.Option(min=1, help="Clips a speaker.")] = 15,
    text: Annotated[
        bool, typer.Option("--text", help="Measure speech from text instead of copy synthesis.")
    ] = False,
    recognise: Annotated[
        bool, typer.Option("--recognise", help="With --text: word errors of a recogniser.")
    ] = False,
    speakers: Annotated[
        bool, typer.Option("--speakers", help="Speak as every speaker: does one hear whom?")
    ] = False,
    correction_passes: Annotated[
        int | None, typer.Option(min=0, max=8, help="Instead of the voice's own; 0 for none.")
    ] = None,
    seed: SeedOption = 0,
    engine: EngineOption = "auto",
    weights: WeightsOption = None,
    voices_dir: VoicesOption = DEFAULT_VOICES,
) -> None:
    """Held-out likelihood and copy synthesis beside Griffin-Lim; or speech from text."""
    from vocoder import voice as voice_files
    from vocoder.config import Settings
    from vocoder.corpus.manifest import Corpus
    from vocoder.evaluation import identity, speech, speech_report
    from vocoder.evaluation.evaluate import evaluate as run
    from vocoder.evaluation.report import summary, write_json, write_report
    from vocoder.voice import VoiceRegistry

    is_folder = (Path(voice) / voice_files.MANIFEST).is_file()
    loaded = voice_files.load(Path(voice)) if is_folder else VoiceRegistry(voices_dir).get(voice)
    if correction_passes is not None:
        loaded = loaded.with_generation(correction_passes=correction_passes)
    if recognise and not text:
        raise UserError("--recognise hears speech from text: add --text", param="recognise")
    if speakers and (text or report):
        raise UserError("--speakers goes with --json alone", param="speakers")
    recordings = Corpus.load(corpus)
    measured: Settings
    if speakers:
        measured = heard = identity.evaluate_identity(
            loaded, recordings, per_speaker=clips, seed=seed, engine=engine, weights=weights
        )
        print(identity.summary(heard))
    elif text:
        measured = spoken = speech.evaluate_speech(
            loaded,
            recordings,
            per_speaker=clips,
            seed=seed,
            engine=engine,
            weights=weights,
            recognise=recognise,
            report=report,
        )
        print(speech_report.summary(spoken))
        if report:
            speech_report.write_page(report, spoken)
    else:
        measured = result = run(
            loaded,
            recordings,
            per_speaker=clips,
            seed=seed,
            engine=engine,
            weights=weights,
            audio_dir=report,
        )
        print(summary(result))
        if report:
            write_report(report, result)
    if json_output:
        write_json(json_output, measured)


@app.command()
def bench(
    preset: Annotated[
        str | None, typer.Option(help="Preset of the model; small if left out.")
    ] = None,
    voice: Annotated[
        str | None, typer.Option("--voice", help="A voice's own weights instead of a preset's.")
    ] = None,
    engine: EngineOption = "auto",
    weights: WeightsOption = None,
    device: DeviceOption = "cpu",
    streams: Annotated[int, typer.Option(min=1, help="Rows at once.")] = 1,
    threads: Annotated[int, typer.Option(min=1, help="Threads to run with.")] = 1,
    seconds: Annotated[float, typer.Option(min=0.01, help="Least time of a measurement.")] = 3.0,
    peer: Annotated[
        bool, typer.Option("--peer", help="Beside the PyPI package wavenet_vocoder, one stream.")
    ] = False,
    training: Annotated[
        bool, typer.Option("--training", help="Time a training step instead of generation.")
    ] = False,
    page: Annotated[
        Path | None,
        typer.Option(metavar="OUT.md", help="Write a page of every preset, engine and format."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a line.")] = False,
    voices_dir: VoicesOption = DEFAULT_VOICES,
) -> None:
    """Speed of an engine and its error against the reference, or of a training step."""
    import shlex

    from vocoder.bench.page import write_page
    from vocoder.bench.peer import measure_with_peer
    from vocoder.bench.speed import Speed, measure, measure_voice
    from vocoder.bench.training import TrainingSpeed, measure_training
    from vocoder.device import resolve
    from vocoder.voice import VoiceRegistry

    if sum((peer, training, page is not None)) > 1:
        raise UserError("--peer, --training and --page exclude each other")
    if voice is not None and (preset or peer or training or page):
        raise UserError(
            "--voice excludes --preset, --peer, --training and --page: leave one out", param="voice"
        )
    preset = "small" if preset is None else preset
    if peer and streams > 1:
        raise UserError("--peer compares one stream: leave out --streams", param="streams")
    if page:
        write_page(page, seconds=seconds, command=shlex.join(["vocoder", *sys.argv[1:]]))
        print(page)
        return
    results: Sequence[Speed | TrainingSpeed]
    if training:
        results = measure_training(
            preset, rows=streams, seconds=1.0, threads=threads, steps=7, compiled=True
        )
    elif peer:
        results = measure_with_peer(
            preset, engine, weights=weights, threads=threads, seconds=seconds
        )
    elif voice is not None:
        loaded = VoiceRegistry(voices_dir).get(voice)
        results = [
            measure_voice(
                loaded,
                engine,
                weights=weights,
                device=resolve(device),
                streams=streams,
                threads=threads,
                seconds=seconds,
            )
        ]
    else:
        results = [
            measure(
                preset,
                engine,
                weights=weights,
                device=resolve(device),
                streams=streams,
                threads=threads,
                seconds=seconds,
            )
        ]
    for result in results:
        print(result.model_dump_json() if as_json else result.line())


app.command()(recognising.recognise)
app.command()(commands.serve)
app.command()(commands.key)


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
