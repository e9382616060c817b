"""What ``vocoder recognise`` does: a recording's phones in time, or a corpus's frame accuracy."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from vocoder.audio.io import Samples


def recognise(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="A run's folder, or a recogniser's.")],
    source: Annotated[
        Path, typer.Argument(metavar="CORPUS|IN.wav", help="An aligned corpus, or a recording.")
    ],
    json_output: Annotated[Path | None, typer.Option("--json", metavar="OUT")] = None,
    picture: Annotated[
        Path | None,
        typer.Option(metavar="OUT.png", help="Of a recording: draw what is heard, and how surely."),
    ] = None,
) -> None:
    """Phones of a recording with their times; or frame accuracy on a corpus's held-out speech."""
    import torch

    from vocoder import files, plots
    from vocoder.audio import io as audio
    from vocoder.corpus.manifest import Corpus
    from vocoder.errors import UserError
    from vocoder.evaluation.frame_accuracy import evaluate_frames, summary
    from vocoder.evaluation.posterior_plots import posteriorgram
    from vocoder.evaluation.report import write_json
    from vocoder.recognition.recogniser import load, phones, posteriors

    model, manifest = load(run)
    if source.is_dir():
        if picture:
            raise UserError("--picture draws a recording: name a file", param="picture")
        evaluation = evaluate_frames(model, manifest, Corpus.load(source))
        print(summary(evaluation))
        if json_output:
            write_json(json_output, evaluation)
        return
    rate = model.config.sample_rate_hz
    samples = levelled(audio.read(source, rate)[0], rate)
    log_p = posteriors(model, torch.from_numpy(samples))
    heard = phones(model, log_p)
    for phone in heard:
        print(f"{phone.start_s:8.2f} {phone.end_s:8.2f}  {phone.label}")
    if json_output:
        listed = {"phones": [phone._asdict() for phone in heard]}
        files.write_text(json_output, json.dumps(listed, ensure_ascii=False) + "\n")
    if picture:
        plots.save(picture, posteriorgram(samples, log_p.exp(), heard, model.config, source.name))


def levelled(samples: "Samples", rate_hz: int) -> "Samples":
    """Samples (T,) at the level of prepared recordings, on which recognisers are trained."""
    import numpy as np

    from vocoder.audio.io import LARGEST_PCM_16
    from vocoder.corpus.processing import frame_levels, mean_level, speech_frames
    from vocoder.corpus.settings import PreparationConfig

    settings = PreparationConfig()
    levels = frame_levels(samples, rate_hz)
    spoken = levels[speech_frames(levels, settings)]
    if not len(spoken):
        return samples
    gain = 10 ** ((settings.level_dbfs - mean_level(spoken)) / 20)
    return np.clip(samples * np.float32(gain), -1.0, LARGEST_PCM_16)
