"""Options shared by several commands."""

from pathlib import Path
from typing import Annotated

import typer

from vocoder.voices.shipped import shipped_voices

DEFAULT_VOICES = shipped_voices()

VoicesOption = Annotated[
    Path, typer.Option("--voices-dir", envvar="VOCODER_VOICES_DIR", help="Folder of voices.")
]
VoiceOption = Annotated[
    str | None, typer.Option("--voice", help="Voice id; the first voice by default.")
]
SpeakerOption = Annotated[
    str | None,
    typer.Option("--speaker", help="Speaker of the voice; its first speaker by default."),
]
TagsOption = Annotated[
    list[str] | None,
    typer.Option("--tag", help="Tag of the voice, such as a style; may be repeated."),
]
SeedOption = Annotated[
    int,
    typer.Option("--seed", help="Random seed, 0 to 2^63 - 1; the same seed gives the same audio."),
]
EngineOption = Annotated[
    str, typer.Option("--engine", help="auto, triton, cuda-graph, cpu or reference.")
]
DeviceOption = Annotated[
    str, typer.Option("--device", envvar="VOCODER_DEVICE", help="auto, cpu, cuda or cuda:N.")
]
WeightsOption = Annotated[
    str | None,
    typer.Option("--weights", help="fp32, bf16 or int8; by default, the engine chooses."),
]
