"""The commands of ``vocoder`` that make a voice: from recordings to trained runs side by side."""

import os
from pathlib import Path
from typing import Annotated

import typer

from vocoder.errors import UserError


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
    from vocoder.corpus.prepare import prepare as run
    from vocoder.corpus.settings import load_settings

    chosen = load_settings(settings)
    if f0:
        chosen = chosen.model_copy(update={"f0": True})
    print(run(corpora, output, chosen, jobs=jobs))


def shard(
    corpus: Annotated[Path, typer.Argument(metavar="CORPUS", help="Prepared corpus.")],
    output: Annotated[Path, typer.Option("-o", "--output", metavar="DIR")],
    megabytes: Annotated[int, typer.Option("--mb", min=1, help="Size of a shard.")] = 256,
) -> None:
    """Write a prepared corpus as tar files, to be read from anywhere."""
    from vocoder.corpus.manifest import Corpus
    from vocoder.corpus.sharding import shard as run

    print(run(Corpus.load(corpus), output, megabytes=megabytes))


def align(
    corpus: Annotated[Path, typer.Argument(metavar="CORPUS", help="Prepared corpus.")],
    steps: Annotated[int, typer.Option(min=8, help="Training steps of the aligner.")] = 3000,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on from the aligner's last checkpoint.")
    ] = False,
) -> None:
    """Find each phone of a corpus's transcripts in its recordings."""
    from vocoder.alignment.align import align as run

    print(run(corpus, steps=steps, resume=resume))


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
    from vocoder.training import loop
    from vocoder.training.dry_run import check

    settings = configs.load(config, changes or ())
    if profile and not dry_run:
        raise UserError("--profile shows a few steps that train nothing: add --dry-run")
    if dry_run:
        for line in check(settings, profile=profile):
            print(line, flush=True)
        return
    made = "recogniser" if settings.kind == "recogniser" else "voice"
    print(f"{made}: {loop.train(settings, resume=resume)}")


def compare(
    runs: Annotated[list[Path], typer.Argument(metavar="RUN...", help="Folders of runs.")],
    output: Annotated[Path, typer.Option("-o", "--output", metavar="DIR")],
) -> None:
    """Curves and a table of training runs."""
    from vocoder.training.compare import compare as run

    print(run(runs, output))


def pack(
    voice: Annotated[Path, typer.Argument(metavar="VOICE", help="Folder that training wrote.")],
    output: Annotated[
        Path,
        typer.Option(
            "-o", "--output", metavar="DIR", help="A new folder; its name becomes the voice's id."
        ),
    ],
    acoustic: Annotated[
        Path | None,
        typer.Option(metavar="VOICE", help="Take the acoustic model of this voice: it reads text."),
    ] = None,
    name: Annotated[str | None, typer.Option(help="What people read.")] = None,
) -> None:
    """Make a trained voice ready to be served."""
    from vocoder.voices.export import pack as run

    manifest = run(voice, output, acoustic=acoustic, name=name)
    reads = "reads text" if manifest.acoustic else "reads no text"
    size = sum(file.stat().st_size for file in output.iterdir()) / 1e6
    print(f"{output}: voice {manifest.id}, {size:.1f} MB, {reads}, {manifest.digest()[:16]}")
