"""Commands for measurement: ``evaluate`` a voice's quality, ``bench`` an engine's speed."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from vocoder.cli.options import (
    DEFAULT_VOICES,
    DeviceOption,
    EngineOption,
    SeedOption,
    VoicesOption,
    WeightsOption,
)
from vocoder.errors import UserError

if TYPE_CHECKING:
    from vocoder.voices.voice import Voice


def evaluate(
    voice: Annotated[str, typer.Argument(metavar="VOICE", help="Voice id or folder.")],
    corpus: Annotated[Path, typer.Argument(metavar="CORPUS", help="Prepared corpus.")],
    json_output: Annotated[
        Path | None,
        typer.Option("--json", metavar="OUT.json", help="Write the measurements to a file."),
    ] = None,
    report: Annotated[
        Path | None,
        typer.Option("--report", metavar="DIR", help="Write a report page and its audio."),
    ] = None,
    clips: Annotated[int, typer.Option(min=1, help="Clips per speaker.")] = 15,
    text: Annotated[
        bool, typer.Option("--text", help="Measure speech from text instead of copy synthesis.")
    ] = False,
    recognise: Annotated[
        bool, typer.Option("--recognise", help="With --text, measure the word error rate.")
    ] = False,
    speakers: Annotated[
        bool,
        typer.Option(
            "--speakers", help="Speak as every speaker and measure whether each is recognised."
        ),
    ] = False,
    correction_passes: Annotated[
        int | None,
        typer.Option(
            min=0, max=8, help="Spectral correction passes; by default, as set in the voice."
        ),
    ] = None,
    seed: SeedOption = 0,
    engine: EngineOption = "auto",
    weights: WeightsOption = None,
    voices_dir: VoicesOption = DEFAULT_VOICES,
) -> None:
    """Evaluate a voice on held-out speech: likelihood and copy synthesis, or speech from text."""
    from vocoder.config import StrictModel
    from vocoder.corpus.manifest import Corpus
    from vocoder.evaluation import speaker_accuracy, speech, speech_report
    from vocoder.evaluation.evaluate import evaluate as run
    from vocoder.evaluation.report import summary, write_json, write_report

    loaded = _voice(voice, voices_dir)
    if correction_passes is not None:
        loaded = loaded.with_generation(correction_passes=correction_passes)
    if recognise and not text:
        raise UserError("--recognise needs --text: add it", param="recognise")
    if speakers and (text or report):
        raise UserError(
            "--speakers cannot be combined with --text or --report: leave them out",
            param="speakers",
        )
    recordings = Corpus.load(corpus)
    measured: StrictModel
    if speakers:
        measured = heard = speaker_accuracy.evaluate_speakers(
            loaded, recordings, per_speaker=clips, seed=seed, engine=engine, weights=weights
        )
        print(speaker_accuracy.summary(heard))
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


def decompose(
    voice: Annotated[str, typer.Argument(metavar="VOICE", help="Voice id or folder.")],
    corpus: Annotated[Path, typer.Argument(metavar="CORPUS", help="Aligned corpus with F0.")],
    output: Annotated[
        Path, typer.Option("-o", "--output", metavar="DIR", help="Folder for the audio.")
    ],
    json_output: Annotated[
        Path | None,
        typer.Option("--json", metavar="OUT.json", help="Write the measurements to a file."),
    ] = None,
    clips: Annotated[int, typer.Option(min=1, help="Clips per speaker.")] = 20,
    seed: SeedOption = 0,
    voices_dir: VoicesOption = DEFAULT_VOICES,
) -> None:
    """Write held-out speech with ever more of it predicted, from the recording to text alone."""
    from vocoder.corpus.manifest import Corpus
    from vocoder.evaluation import decomposition
    from vocoder.evaluation.report import write_json

    found = decomposition.decompose(
        _voice(voice, voices_dir), Corpus.load(corpus), output, per_speaker=clips, seed=seed
    )
    print(decomposition.summary(found))
    if json_output:
        write_json(json_output, found)


def _voice(name: str, voices_dir: Path) -> "Voice":
    """A voice by its folder, or by its id in ``voices_dir``."""
    from vocoder.voices import voice as voice_files
    from vocoder.voices.registry import VoiceRegistry

    is_folder = (Path(name) / voice_files.MANIFEST).is_file()
    return voice_files.load(Path(name)) if is_folder else VoiceRegistry(voices_dir).get(name)


def bench(
    preset: Annotated[
        str | None,
        typer.Option(help="tiny, small, standard, standard-context or large; small by default."),
    ] = None,
    voice: Annotated[
        str | None, typer.Option("--voice", help="Voice id, to measure a voice's own model.")
    ] = None,
    engine: EngineOption = "auto",
    weights: WeightsOption = None,
    device: DeviceOption = "cpu",
    streams: Annotated[int, typer.Option(min=1, help="Streams generated in one batch.")] = 1,
    threads: Annotated[int, typer.Option(min=1, help="Number of threads.")] = 1,
    seconds: Annotated[
        float, typer.Option(min=0.01, help="Minimum duration of a measurement, in seconds.")
    ] = 3.0,
    peer: Annotated[
        bool,
        typer.Option(
            "--peer", help="Compare with the PyPI package wavenet_vocoder, on one stream."
        ),
    ] = False,
    training: Annotated[
        bool, typer.Option("--training", help="Time a training step instead of generation.")
    ] = False,
    page: Annotated[
        Path | None,
        typer.Option(
            metavar="OUT.md", help="Measure every preset, engine and weight format; write a page."
        ),
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON object per line.")
    ] = False,
    voices_dir: VoicesOption = DEFAULT_VOICES,
) -> None:
    """Benchmark an engine's speed and its error against the reference, or a training step."""
    import shlex

    from vocoder.bench.page import write_page
    from vocoder.bench.peer import measure_with_peer
    from vocoder.bench.speed import Speed, measure, measure_voice
    from vocoder.bench.training import TrainingSpeed, measure_training
    from vocoder.machine import resolve
    from vocoder.voices.registry import VoiceRegistry

    if sum((peer, training, page is not None)) > 1:
        raise UserError("--peer, --training and --page cannot be combined: give one of them")
    if voice is not None and (preset or peer or training or page):
        raise UserError(
            "--voice cannot be combined with --preset, --peer, --training or --page", param="voice"
        )
    preset = "small" if preset is None else preset
    if peer and streams > 1:
        raise UserError("--peer measures one stream only: leave out --streams", param="streams")
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
