"""Compare speech from text with recordings of the same sentences: timing, F0, spectrum and words.

Each held-out utterance is synthesised twice: with the durations of its recording, so that frames
can be compared, and from text alone.
"""

import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
import torch
from pydantic import Field
from torch import Tensor

import vocoder
from vocoder import files
from vocoder.acoustic.rendering import Rendering, render
from vocoder.audio import io as audio
from vocoder.audio.io import PCM_16_LEVELS, Samples
from vocoder.config import StrictModel
from vocoder.corpus.alignment import AlignedUtterance, read_linguistic
from vocoder.corpus.manifest import Corpus
from vocoder.corpus.shards import aligned_utterances
from vocoder.corpus.utterances import Split, Utterance
from vocoder.errors import CorpusError, TextError
from vocoder.evaluation import speech_plots
from vocoder.evaluation.metrics import mel_cepstral_distortion, warped_mel_cepstral_distortion
from vocoder.evaluation.word_errors import PocketSphinxAsr, word_errors, words_of
from vocoder.features.feature_file import Features
from vocoder.progress import track
from vocoder.synthesis.synthesizer import Request, Synthesizer
from vocoder.text.linguistic import LAYOUT, SILENCES
from vocoder.voices.voice import Voice

BATCH = 8
PLOTS_PER_SPEAKER = 2


class SpeakerMetrics(StrictModel):
    """Metrics over one speaker's held-out sentences."""

    sentences: int = Field(ge=1, description="number of sentences")
    duration_error_ms: float = Field(description="mean absolute error per phoneme, without pauses")
    pause_error_ms: float = Field(description="the same for pauses and leading or trailing silence")
    log_f0_correlation: float = Field(
        description="over frames voiced in both, with the recording's durations"
    )
    log_f0_rmse_cents: float = Field(description="over the same frames")
    voicing_error: float = Field(
        description="fraction of frames with the wrong voicing, with the recording's durations"
    )
    mcd_db: float = Field(description="mel-cepstral distortion with the recording's durations, dB")
    mcd_dtw_db: float = Field(description="the same from text alone, time-warped")
    copy_mcd_db: float = Field(description="the same for copy synthesis: the vocoder's part of it")
    word_error_rate: float | None = Field(None, description="of synthesis from text alone")
    recording_word_error_rate: float | None = Field(None, description="of the recordings")


class SpeechEvaluation(StrictModel):
    """The result of :func:`evaluate_speech`."""

    format: Literal[1] = Field(1, description="version of this format")
    code_version: str = Field(description="version of this package")
    voice: str = Field(description="id of the voice")
    weights: dict[str, str] = Field(description="SHA-256 of its weights")
    engine: str = Field(description="engine that generated the audio")
    splits: tuple[Split, ...] = Field(description="parts of the corpus")
    seed: int = Field(ge=0, description="seed of all noise")
    speakers: dict[str, SpeakerMetrics] = Field(description="metrics per speaker")


class _Case(NamedTuple):
    """One held-out utterance and its two renderings.

    Attributes:
        utterance: from the corpus.
        aligned: its alignment.
        recording: samples (T,).
        features: features of the recording.
        timed: rendered with the recording's durations.
        free: rendered from text alone.
    """

    utterance: Utterance
    aligned: AlignedUtterance
    recording: Samples
    features: Features
    timed: Rendering
    free: Rendering


def evaluate_speech(
    voice: Voice,
    corpus: Corpus,
    *,
    splits: tuple[Split, ...] = ("validation", "test"),
    per_speaker: int = 50,
    seed: int = 0,
    engine: str = "auto",
    weights: str | None = None,
    recognise: bool = False,
    report: Path | None = None,
) -> SpeechEvaluation:
    """Measure how a voice reads held-out sentences.

    Args:
        voice: a voice with an acoustic model.
        corpus: aligned, and prepared with F0 and the voice's feature settings.
        splits: held-out parts of the corpus.
        per_speaker: sentences per speaker, one per prompt.
        seed: seed of all noise.
        engine: name of an engine, or ``auto``.
        weights: number format of the engine's weights; None for the engine's default.
        recognise: whether to measure word error rates with a speech recogniser.
        report: folder for audio and plots; None to write none.

    Raises:
        UserError: the voice has no acoustic model, or the corpus is not aligned or lacks F0.
    """
    if voice.acoustic is None:
        raise TextError(
            f"voice {voice.id} has no acoustic model, so it cannot read text", param="voice"
        )
    recogniser = PocketSphinxAsr() if recognise else None
    synthesizer = Synthesizer(engine, weights=weights)
    speakers = {}
    for speaker in corpus.speakers:
        cases = _cases(voice, corpus, splits, speaker, per_speaker, seed)
        speakers[speaker] = _measure(voice, synthesizer, speaker, cases, seed, recogniser, report)
    return SpeechEvaluation(
        code_version=vocoder.__version__,
        voice=voice.id,
        weights=voice.manifest.weights,
        engine=synthesizer.engine_name(voice),
        splits=splits,
        seed=seed,
        speakers=speakers,
    )


def _cases(
    voice: Voice,
    corpus: Corpus,
    splits: Sequence[Split],
    speaker: str,
    limit: int,
    seed: int,
) -> list[_Case]:
    chosen: dict[str, tuple[Utterance, AlignedUtterance]] = {}
    for split in splits:
        for utterance, aligned in aligned_utterances(corpus, split):
            if utterance.speaker == speaker:
                chosen.setdefault(utterance.prompt, (utterance, aligned))
    if not chosen:
        raise CorpusError(f"{corpus.folder}: speaker {speaker} has no aligned held-out utterance")
    assert voice.acoustic is not None
    number = voice.speaker_index(speaker)
    cases = []
    for utterance, aligned in list(chosen.values())[:limit]:
        linguistic = read_linguistic(corpus, utterance, aligned)
        pcm, mel = corpus.read(utterance)
        timed = render(
            voice.acoustic,
            aligned.read_sentence,
            number,
            seed=seed,
            durations=torch.tensor(aligned.durations),
        )
        free = render(
            voice.acoustic,
            aligned.sentence,
            number,
            seed=seed,
            contrast=voice.contrast(number),
        )
        recording = np.asarray(pcm.numpy() / np.float32(PCM_16_LEVELS), dtype=np.float32)
        features = Features(mel, corpus.features, corpus.read_f0(utterance), linguistic, LAYOUT)
        cases.append(_Case(utterance, aligned, recording, features, timed, free))
    return cases


def _f0(features: Features) -> Tensor:
    assert features.f0 is not None
    return features.f0


def _measure(
    voice: Voice,
    synthesizer: Synthesizer,
    speaker: str,
    cases: Sequence[_Case],
    seed: int,
    recogniser: PocketSphinxAsr | None,
    report: Path | None,
) -> SpeakerMetrics:
    config = voice.config.features
    rate = config.sample_rate_hz

    def vocode(features: Sequence[Features], what: str) -> list[Samples]:
        requests = [Request(one, speaker, seed) for one in features]
        batches = [requests[i : i + BATCH] for i in range(0, len(requests), BATCH)]
        done = track(batches, f"{speaker}: {what}", len(batches))
        return [one for batch in done for one in synthesizer.vocode_many(batch, voice=voice)]

    timed = vocode(
        [case.timed.features(config) for case in cases], "with the recording's durations"
    )
    free = vocode([case.free.features(config) for case in cases], "from text alone")
    copies = vocode([case.features for case in cases], "from the recording's features")
    synthetic_f0, recorded_f0, voicing = _log_f0(cases)
    sounds = list(zip(cases, timed, free, copies, strict=True))
    rates: list[float | None] = [None, None]
    if recogniser:
        spoken = [words_of(case.free.sentence.text) for case in cases]
        total = sum(map(len, spoken))
        for index, audio_of_cases in enumerate((free, [case.recording for case in cases])):
            pairs = zip(spoken, audio_of_cases, strict=True)
            errors = (word_errors(words, recogniser.transcribe(one, rate)) for words, one in pairs)
            rates[index] = sum(errors) / total
    if report:
        for case, _, synthetic, _ in sounds[:PLOTS_PER_SPEAKER]:
            _write_plot(report, case, synthetic, rate)
    return SpeakerMetrics(
        sentences=len(cases),
        duration_error_ms=_duration_error(cases, silences=False),
        pause_error_ms=_duration_error(cases, silences=True),
        log_f0_correlation=float(np.corrcoef(synthetic_f0, recorded_f0)[0, 1]),
        log_f0_rmse_cents=float(
            1200 / np.log(2) * np.sqrt(np.square(synthetic_f0 - recorded_f0).mean())
        ),
        voicing_error=voicing,
        mcd_db=statistics.fmean(
            mel_cepstral_distortion(case.recording, one, rate) for case, one, _, _ in sounds
        ),
        mcd_dtw_db=statistics.fmean(
            warped_mel_cepstral_distortion(case.recording, one, rate) for case, _, one, _ in sounds
        ),
        copy_mcd_db=statistics.fmean(
            mel_cepstral_distortion(case.recording, one, rate) for case, _, _, one in sounds
        ),
        word_error_rate=rates[0],
        recording_word_error_rate=rates[1],
    )


def _duration_error(cases: Sequence[_Case], *, silences: bool) -> float:
    """Mean absolute duration error in ms, of the pauses in both or of the phonemes."""
    errors: list[float] = []
    for case in cases:
        phones = case.aligned.phones
        found = torch.tensor(case.aligned.durations)
        silent = phones.symbols < SILENCES
        # Pauses without punctuation are not in the text, so no duration was predicted for them.
        written = ~_unwritten(case.aligned)
        wanted, kind = found[written], silent[written]
        difference = (case.free.durations - wanted).abs()[kind == silences]
        errors += (1000 * difference / case.free.frame_rate_hz).tolist()
    return statistics.fmean(errors)


def _unwritten(aligned: AlignedUtterance) -> Tensor:
    """True for pauses without punctuation in the text (N,)."""
    flags = [False]
    for word in aligned.words:
        flags += [False] * len(word.ipa.split())
        if word.pause or word.paused:
            flags.append(word.paused)
    return torch.tensor(flags)


def _log_f0(cases: Sequence[_Case]) -> tuple[np.ndarray, np.ndarray, float]:
    """Log F0 of synthesis and recording where both are voiced (V,), and the voicing error."""
    synthetic, recorded, wrong, count = [], [], 0, 0
    for case in cases:
        first, second = case.timed.f0.numpy(), _f0(case.features).numpy()
        both = (first > 0) & (second > 0)
        synthetic.append(np.log(first[both]))
        recorded.append(np.log(second[both]))
        wrong += int(((first > 0) != (second > 0)).sum())
        count += len(second)
    return np.concatenate(synthetic), np.concatenate(recorded), wrong / count


def _write_plot(folder: Path, case: _Case, synthetic: Samples, rate_hz: int) -> None:
    """Write a recording, its synthesis from text and their plot."""
    name = f"{case.utterance.speaker}-{case.utterance.id}"
    audio.write(folder / f"{name}-recording.wav", case.recording, rate_hz)
    audio.write(folder / f"{name}-text.wav", synthetic, rate_hz)
    figure = speech_plots.side_by_side(
        case.features.mel, _f0(case.features), case.timed, case.free, case.free.sentence.text
    )
    with files.replacing(folder / f"{name}.png") as temporary:
        figure.savefig(temporary, dpi=90)
