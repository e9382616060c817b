"""Packing a trained voice for serving: verified, self-contained, with an id of its own."""

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
    """Write a self-contained copy of the voice in ``source``; the new folder's name is its id.

    Args:
        source: folder of a voice, as training writes it.
        output: the folder to create.
        acoustic: folder of a voice with the same features and speakers, whose acoustic model to
            use; the voice keeps its own, if any, where None.
        name: a new display name; the old one is kept where None.

    Raises:
        VoiceError: a voice is damaged, the two do not match, or ``output`` exists, cannot be
            written, or has a name that is not a valid id.
    """
    if not re.fullmatch(VOICE_ID, output.name):
        raise VoiceError(
            f"{output}: the folder's name becomes the voice's id: use up to 64 of a-z, 0-9, _ "
            "and -, starting with a letter or digit"
        )
    if output.exists():
        raise VoiceError(f"{output} already exists: name a new folder")
    trained = voice.load(source)
    donor = voice.load(acoustic) if acoustic else trained
    if acoustic:
        _check_match(trained, donor)
    manifest = trained.manifest.model_copy(
        update={
            "id": output.name,
            "name": trained.manifest.name if name is None else name,
            "acoustic_provenance": donor.manifest.acoustic_provenance,
        }
    )
    try:
        output.mkdir(parents=True)
        with contextlib.ExitStack() as undo:
            undo.callback(shutil.rmtree, output)
            packed = voice.save(output, trained.model, manifest, donor.acoustic)
            undo.pop_all()
    except OSError as error:
        raise VoiceError(f"{output}: {error.strerror or error}") from None
    return packed


def _check_match(trained: voice.Voice, donor: voice.Voice) -> None:
    if donor.acoustic is None:
        raise VoiceError(f"{donor.folder}: voice {donor.id} has no acoustic model")
    try:
        check_fingerprint(donor.config.features.fingerprint(), trained.config.features)
    except FeatureError as error:
        raise VoiceError(f"{donor.folder}: {error}") from None
    if donor.speakers != trained.speakers:
        raise VoiceError(
            f"{donor.folder}: its speakers are {', '.join(donor.speakers)}; those of "
            f"{trained.folder} are {', '.join(trained.speakers)}. They must match, order included"
        )
