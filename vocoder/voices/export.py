"""Make a trained voice ready to be served: checked, under a name of its own, able to read."""

import contextlib
import re
import shutil
from pathlib import Path

from vocoder.errors import FeatureError, VoiceError
from vocoder.features.feature_file import check_fingerprint
from vocoder.voices import voice
from vocoder.voices.manifest import VOICE_ID, VoiceManifest


def pack(
    source: Path, output: Path, *, acoustic: Path | None = None, name: str | None = None
) -> VoiceManifest:
    """Write the voice in ``source`` into a new folder, whose name becomes its id.

    Args:
        source: folder of a voice, as training leaves it.
        output: the new folder.
        acoustic: folder of another voice of the same features and speakers, whose acoustic model
            reads for this one; without it the voice keeps its own, if any.
        name: what people read, where it is not to stay.

    Raises:
        VoiceError: a voice is damaged, the two do not fit, or ``output`` is there already or has a
            name that cannot be an id, or cannot be written.
    """
    if not re.fullmatch(VOICE_ID, output.name):
        raise VoiceError(
            f"{output}: the folder's name becomes the voice's id: up to 64 of a-z, 0-9, _ and -, "
            "the first a letter or digit"
        )
    if output.exists():
        raise VoiceError(f"{output} is there already: name a new folder")
    given = voice.load(source)
    reader = voice.load(acoustic) if acoustic else given
    if acoustic:
        _check_fit(given, reader)
    manifest = given.manifest.model_copy(
        update={
            "id": output.name,
            "name": given.manifest.name if name is None else name,
            "acoustic_provenance": reader.manifest.acoustic_provenance,
        }
    )
    try:
        output.mkdir(parents=True)
        with contextlib.ExitStack() as undo:
            undo.callback(shutil.rmtree, output)
            packed = voice.save(output, given.model, manifest, reader.acoustic)
            undo.pop_all()
    except OSError as error:
        raise VoiceError(f"{output}: {error.strerror or error}") from None
    return packed


def _check_fit(given: voice.Voice, reader: voice.Voice) -> None:
    if reader.acoustic is None:
        raise VoiceError(f"{reader.folder}: voice {reader.id} has no acoustic model")
    try:
        check_fingerprint(reader.config.features.fingerprint(), given.config.features)
    except FeatureError as error:
        raise VoiceError(f"{reader.folder}: {error}") from None
    if reader.speakers != given.speakers:
        raise VoiceError(
            f"{reader.folder}: its speakers are {', '.join(reader.speakers)}; those of "
            f"{given.folder} are {', '.join(given.speakers)}, and the order counts too"
        )
