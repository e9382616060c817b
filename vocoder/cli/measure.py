"""The commands of ``vocoder`` that measure: a voice's quality, an engine's speed."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

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
    from vocoder.config import StrictModel
    from vocoder.corpus.manifest import Corpus
    from vocoder.evaluation import speaker_accuracy, speech, speech_report
    from vocoder.evaluation.evaluate import evaluate as run
    from vocoder.evaluation.report import summary, write_json, write_report
    from vocoder.voices import voice as voice_files
    from vocoder.voices.registry import VoiceRegistry

    is_folder = (Path(voice) / voice_files.MANIFEST).is_file()
    loaded = voice_files.load(Path(voice)) if is_folder else VoiceRegistry(voices_dir).get(voice)
    if correction_passes is not None:
        loaded = loaded.with_generation(correction_passes=correction_passes)
    if recognise and not text:
        raise UserError("--recognise hears speech from text: add --text", param="recognise")
    if speakers and (text or report):
        raise UserError("--speakers goes with --json alone", param="speakers")
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
    from vocoder.machine import resolve
    from vocoder.voices.registry import VoiceRegistry

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
