"""Commands for voices: list the ``voices`` that are installed, ``pack`` a trained one."""

import json
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from vocoder.cli.options import DEFAULT_VOICES, VoicesOption


def voices(
    as_json: Annotated[bool, typer.Option("--json", help="Print a JSON array.")] = False,
    voices_dir: VoicesOption = DEFAULT_VOICES,
) -> None:
    """List the available voices."""
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


def pack(
    voice: Annotated[
        Path, typer.Argument(metavar="VOICE", help="Voice folder written by training.")
    ],
    output: Annotated[
        Path,
        typer.Option(
            "-o", "--output", metavar="DIR", help="New folder; its name becomes the voice's id."
        ),
    ],
    acoustic: Annotated[
        Path | None,
        typer.Option(
            metavar="VOICE", help="Voice folder whose acoustic model to add, to speak text."
        ),
    ] = None,
    name: Annotated[str | None, typer.Option(help="Display name of the voice.")] = None,
) -> None:
    """Package a trained voice for serving."""
    from vocoder.voices.export import pack as run

    manifest = run(voice, output, acoustic=acoustic, name=name)
    reads = "reads text" if manifest.acoustic else "does not read text"
    size = sum(file.stat().st_size for file in output.iterdir()) / 1e6
    print(f"{output}: voice {manifest.id}, {size:.1f} MB, {reads}, {manifest.digest()[:16]}")
