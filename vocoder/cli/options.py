"""Options that several commands of ``vocoder`` share."""

from pathlib import Path
from typing import Annotated

import typer

from vocoder.voices.shipped import shipped_voices

DEFAULT_VOICES = shipped_voices()

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
