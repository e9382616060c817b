"""Commands for training: ``prepare``, ``shard`` and ``align`` a corpus, ``train``, ``compare``."""

import os
from pathlib import Path
from typing import Annotated

import typer

from vocoder.errors import UserError


def prepare(
    corpora: Annotated[list[Path], typer.Argument(metavar="CORPUS", help="Folders of recordings.")],
    output: Annotated[
        Path, typer.Option("-o", "--output", metavar="DIR", help="Folder of the prepared corpus.")
    ],
    settings: Annotated[
        Path | None, typer.Option(metavar="FILE.toml", help="Preparation settings.")
    ] = None,
    f0: Annotated[bool, typer.Option("--f0", help="Extract F0 as well.")] = False,
    jobs: Annotated[int, typer.Option(min=1, help="Number of processes.")] = os.cpu_count() or 1,
) -> None:
    """Prepare recordings for training: resample, trim, level, extract features, split, report."""
    from vocoder.corpus.prepare import prepare as run
    from vocoder.corpus.settings import load_settings

    chosen = load_settings(settings)
    if f0:
        chosen = chosen.model_copy(update={"f0": True})
    print(run(corpora, output, chosen, jobs=jobs))


def shard(
    corpus: Annotated[Path, typer.Argument(metavar="CORPUS", help="Prepared corpus.")],
    output: Annotated[
        Path, typer.Option("-o", "--output", metavar="DIR", help="Folder of the shards.")
    ],
    megabytes: Annotated[
        int, typer.Option("--mb", min=1, help="Size of each shard in megabytes.")
    ] = 256,
) -> None:
    """Pack a prepared corpus into tar shards, to train from local or remote storage."""
    from vocoder.corpus.manifest import Corpus
    from vocoder.corpus.sharding import shard as run

    print(run(Corpus.load(corpus), output, megabytes=megabytes))


def align(
    corpus: Annotated[Path, typer.Argument(metavar="CORPUS", help="Prepared corpus.")],
    steps: Annotated[int, typer.Option(min=8, help="Training steps of the aligner.")] = 3000,
    resume: Annotated[
        bool, typer.Option("--resume", help="Resume from the aligner's last checkpoint.")
    ] = False,
) -> None:
    """Align a corpus's transcripts with its recordings, phone by phone."""
    from vocoder.alignment.align import align as run

    print(run(corpus, steps=steps, resume=resume))


def train(
    config: Annotated[
        Path, typer.Argument(metavar="CONFIG.toml", help="Configuration of the run.")
    ],
    resume: Annotated[
        bool,
        typer.Option(
            "--resume",
            help="Resume from the last checkpoint; under torchrun, start afresh if there is none.",
        ),
    ] = False,
    changes: Annotated[
        list[str] | None,
        typer.Option(
            "--set", metavar="KEY=VALUE", help="Override a configuration key; may be repeated."
        ),
    ] = None,
    dry_run: Annotated[
        bool,
        typer.Option("--dry-run", help="Check the corpus, memory and speed without training."),
    ] = False,
    profile: Annotated[
        bool, typer.Option("--profile", help="With --dry-run, profile a few training steps.")
    ] = False,
) -> None:
    """Train a vocoder, an acoustic model, a recogniser, or a model of images or spectrograms."""
    from vocoder.training import config as configs
    from vocoder.training import loop
    from vocoder.training.dry_run import check

    settings = configs.load(config, changes or ())
    if profile and not dry_run:
        raise UserError("--profile needs --dry-run: add it")
    if dry_run:
        for line in check(settings, profile=profile):
            print(line, flush=True)
        return
    made = {"recogniser": "recogniser", "image": "model", "spectrogram": "model"}
    print(f"{made.get(settings.kind, 'voice')}: {loop.train(settings, resume=resume)}")


def compare(
    runs: Annotated[list[Path], typer.Argument(metavar="RUN", help="Run folders.")],
    output: Annotated[
        Path, typer.Option("-o", "--output", metavar="DIR", help="Folder of the plots and table.")
    ],
) -> None:
    """Compare training runs: loss curves and a table."""
    from vocoder.training.compare import compare as run

    print(run(runs, output))
