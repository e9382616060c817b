"""G.711 against libsndfile, for any chunk sizes."""

import io

import numpy as np
import pytest
import soundfile

from vocoder.audio.encoder import Encoder
from vocoder.audio.g711 import Law, LawEncoder
from vocoder.audio.io import Samples

LAWS: list[Law] = ["mulaw", "alaw"]
SUBTYPES = {"mulaw": "ULAW", "alaw": "ALAW"}


def tone() -> Samples:
    loudness = np.geomspace(1e-4, 1.0, 4000)
    return (loudness * np.sin(np.arange(4000) / 3)).astype(np.float32)


def encoded(law: Law, samples: Samples, size: int, rate_hz: int = 8000, wav: bool = False) -> bytes:
    encoder = LawEncoder(law, 8000, rate_hz, wav=wav)
    parts = [encoder.push(samples[at : at + size]) for at in range(0, len(samples), size)]
    return b"".join([*parts, encoder.finish()])


@pytest.mark.parametrize("law", LAWS)
def test_decoded_samples_are_within_the_laws_error(law: Law) -> None:
    code = encoded(law, tone(), 4000)
    read, _ = soundfile.read(
        io.BytesIO(code), format="RAW", samplerate=8000, channels=1, subtype=SUBTYPES[law]
    )
    assert len(code) == len(tone())
    # The step doubles from one segment of 16 steps to the next: half a step is 1/32 of the value.
    assert np.all(np.abs(read - tone()) <= np.abs(tone()) / 32 + 2e-3)


@pytest.mark.parametrize("law", LAWS)
def test_every_code_occurs_and_full_scale_is_clipped(law: Law) -> None:
    # The laws use only 14 and 13 bits of each sample.
    every = np.arange(-32768, 32768, dtype=np.float32) / 32768
    assert len(set(encoded(law, every, 65536))) >= 255
    loud = np.array([1.5, -1.5, 1.0, -1.0], dtype=np.float32)
    assert encoded(law, loud, 4)[:2] == encoded(law, loud, 4)[2:]


@pytest.mark.parametrize("law", LAWS)
@pytest.mark.parametrize("rate_hz", [8000, 16000])
def test_the_bytes_do_not_depend_on_chunks(law: Law, rate_hz: int) -> None:
    whole = encoded(law, tone(), 4000, rate_hz)
    assert len(whole) == rate_hz // 2
    assert {encoded(law, tone(), size, rate_hz) for size in (1, 7, 1000)} == {whole}


@pytest.mark.parametrize("law", LAWS)
def test_a_wav_stream_has_the_same_samples(law: Law) -> None:
    file = io.BytesIO(encoded(law, tone(), 100, wav=True))
    with soundfile.SoundFile(file) as sound:
        assert (sound.samplerate, sound.channels, sound.subtype) == (8000, 1, SUBTYPES[law])
        read = sound.read(10**6)
    bare = io.BytesIO(encoded(law, tone(), 100))
    raw = {"format": "RAW", "samplerate": 8000, "channels": 1, "subtype": SUBTYPES[law]}
    assert np.array_equal(read, soundfile.read(bare, **raw)[0])


def test_it_encodes_the_same_samples_as_pcm() -> None:
    pcm = Encoder("pcm", 8000, 24000)
    count = len(pcm.push(tone()) + pcm.finish()) // 2
    assert len(encoded("mulaw", tone(), 50, 24000)) == count
