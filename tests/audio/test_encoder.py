"""Encoding in chunks: the same bytes for any chunk sizes, and complete files."""

import contextlib
import io
from collections.abc import Iterable, Iterator, Sequence
from fractions import Fraction

import numpy as np
import pytest
import soundfile
from cutting import cut

from vocoder.audio import io as audio
from vocoder.audio.encoder import Encoder
from vocoder.audio.io import AudioFormat, Samples

FORMATS: tuple[AudioFormat, ...] = ("mp3", "wav", "flac", "pcm")
RATES = (8000, 16000, 22050, 24000, 44100, 48000)
MP3_ENCODER_DELAY = 1105


def encoded(chunks: Iterable[Samples], encoder: Encoder) -> Iterator[bytes]:
    """The encoded bytes of each chunk, then the rest."""
    with contextlib.closing(encoder):
        for chunk in chunks:
            yield encoder.push(chunk)
        yield encoder.finish()


def sweep(rate: int, seconds: float = 1.3) -> Samples:
    """A tone of rising pitch, which reveals any shift in time."""
    t = np.arange(int(rate * seconds)) / rate
    return (0.4 * np.sin(2 * np.pi * (200 + 300 * t) * t)).astype(np.float32)


def in_chunks(samples: Samples, rate: int, name: AudioFormat, sizes: Sequence[int]) -> bytes:
    return b"".join(encoded(cut(samples, sizes), Encoder(name, rate)))


def decode(data: bytes, name: AudioFormat, rate: int, count: int) -> Samples:
    """The samples of a stream, decoded by libsndfile except for raw PCM."""
    if name == "pcm":
        return np.frombuffer(data, "<i2").astype(np.float32) / 32768
    if name == "flac":
        # libsndfile needs the length, which a stream cannot know: 36 bits from byte 21 on.
        assert data[21] & 15 == 0
        assert data[22:26] == bytes(4)
        data = data[:22] + count.to_bytes(4, "big") + data[26:]
    samples, found = soundfile.read(io.BytesIO(data), dtype="float32")
    assert found == rate
    return np.asarray(samples, dtype=np.float32)


def alike(found: Samples, samples: Samples) -> bool:
    """Whether an MP3's samples are 95 % of the input, the encoder's scaling."""
    return bool((found - 0.95 * samples).std() < 0.01 * samples.std())


@pytest.mark.parametrize("rate", RATES)
@pytest.mark.parametrize("name", FORMATS)
def test_bytes_do_not_depend_on_the_chunks(name: AudioFormat, rate: int) -> None:
    samples = sweep(rate)
    whole = in_chunks(samples, rate, name, [len(samples)])
    for sizes in ([577], [1600, 7, 333]):
        assert in_chunks(samples, rate, name, sizes) == whole


@pytest.mark.parametrize("rate", RATES)
@pytest.mark.parametrize("name", FORMATS)
def test_a_whole_file_equals_that_of_encode(name: AudioFormat, rate: int) -> None:
    encoder = Encoder(name, rate, whole=True)
    *parts, file = encoded(cut(sweep(rate), [577]), encoder)
    assert not any(parts)
    assert file == audio.encode(sweep(rate), rate, name)


def test_audio_is_resampled() -> None:
    samples = sweep(16000)
    found = {
        whole: b"".join(encoded(cut(samples, [200]), Encoder("pcm", 16000, 24000, whole=whole)))
        for whole in (False, True)
    }
    assert found[False] == found[True]
    values = np.frombuffer(found[True], "<i2") / 32768
    assert len(values) == len(samples) * 3 // 2
    assert np.abs(values - audio.resample(samples, 16000, 24000)).max() < 2 / 32768


@pytest.mark.parametrize("rate", RATES)
@pytest.mark.parametrize("name", ["wav", "flac", "pcm"])
def test_lossless_formats_keep_the_samples(name: AudioFormat, rate: int) -> None:
    samples = sweep(rate)
    found = decode(in_chunks(samples, rate, name, [200]), name, rate, len(samples))
    assert np.array_equal(np.rint(found * 32768), audio.to_pcm16(samples))


@pytest.mark.parametrize("rate", RATES)
def test_mp3_approximates_the_input(rate: int) -> None:
    samples = sweep(rate)
    found = decode(in_chunks(samples, rate, "mp3", [200]), "mp3", rate, 0)
    frame = 1152 if rate >= 32000 else 576
    assert len(found) % frame == 0
    assert 0 <= len(found) - len(samples) - MP3_ENCODER_DELAY < 2 * frame
    assert alike(found[MP3_ENCODER_DELAY:][: len(samples)], samples)


@pytest.mark.parametrize("rate", RATES)
def test_the_end_of_a_stream_completes_the_mp3(rate: int) -> None:
    samples = sweep(rate)
    whole, stream = audio.encode(samples, rate, "mp3"), in_chunks(samples, rate, "mp3", [333])
    assert whole.endswith(stream)
    first_frame = whole[: -len(stream)]
    assert b"Info" in first_frame
    assert first_frame[:2] == stream[:2]
    assert len(first_frame) < 500


def test_a_whole_mp3_plays_without_gaps() -> None:
    samples = sweep(16000)
    found, _ = soundfile.read(io.BytesIO(audio.encode(samples, 16000, "mp3")), dtype="float32")
    assert len(found) == len(samples)
    assert alike(found, samples)
    assert not alike(found[1:], samples[:-1])


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("count", [0, 1, 100])
def test_very_short_audio(name: AudioFormat, count: int) -> None:
    data = in_chunks(sweep(16000)[:count], 16000, name, [1])
    if name == "mp3" and count:
        assert count <= len(decode(data, name, 16000, 0)) <= count + MP3_ENCODER_DELAY + 1152
    elif count or name in ("wav", "pcm"):
        assert len(decode(data, name, 16000, count)) == count


# Audio that is pushed before the first byte is emitted, and that the encoder holds back later.
DELAYS_S = {"pcm": 0.0, "wav": 0.0, "mp3": 0.120, "flac": 0.080}


@pytest.mark.parametrize("name", FORMATS)
def test_bytes_are_emitted_within_the_delay(name: AudioFormat) -> None:
    encoder, step, out = Encoder(name, 16000), 80, b""
    header = {"wav": 44, "flac": 86}.get(name, 0)
    samples, pushed = sweep(16000), 0
    while len(out) <= header:
        out += encoder.push(samples[pushed : pushed + step])
        pushed += step
    assert Fraction(pushed - step, 16000) <= DELAYS_S[name]


def test_a_long_stream_is_not_kept_in_memory() -> None:
    encoder = Encoder("mp3", 16000)
    for _ in range(20):
        encoder.push(sweep(16000))
        assert not encoder._sink.drain()  # type: ignore[union-attr]
        assert not encoder._ready


@pytest.mark.parametrize("name", ["wav", "flac"])
def test_a_whole_file_states_its_length(name: AudioFormat) -> None:
    data = audio.encode(sweep(16000), 16000, name)
    assert soundfile.info(io.BytesIO(data)).frames == len(sweep(16000))
    if name == "flac":
        assert any(data[26:42])  # MD5 of the samples
