"""Speech from text beside the same sentences read by people: timing, melody, spectrum, words.

Two syntheses are made of each held-out utterance: one with the durations of its recording, so that
frames can be compared, and one entirely from its words.
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
from vocoder.corpus.shards import aligned_of
from vocoder.corpus.utterances import Split, Utterance
from vocoder.errors import CorpusError, TextError
from vocoder.evaluation import speech_plots
from vocoder.evaluation.metrics import CEPSTRA, mel_cepstral_distortion
from vocoder.evaluation.word_errors import PocketSphinxAsr, word_errors, words_of
from vocoder.features.feature_file import Features
from vocoder.features.librosa_import import librosa
from vocoder.progress import track
from vocoder.synthesis.synthesizer import Request, Synthesizer
from vocoder.text.linguistic import LAYOUT, SILENCES
from vocoder.voices.voice import Voice

BATCH = 8
PICTURES_A_SPEAKER = 2


class SpeakerFigures(StrictModel):
    """What was measured on one speaker's held-out sentences."""

    sentences: int = Field(ge=1, description="how many")
    duration_error_ms: float = Field(description="mean absolute error of a phoneme, pauses aside")
    pause_error_ms: float = Field(description="the same of pauses and of silence at the ends")
    log_f0_correlation: float = Field(description="over frames voiced in both, durations given")
    log_f0_rmse_cents: float = Field(description="over the same frames")
    voicing_error: float = Field(description="part of frames judged otherwise, durations given")
    mcd_db: float = Field(description="mel-cepstral distortion, dB, durations given")
    mcd_dtw_db: float = Field(description="the same from words alone, aligned in time")
    copy_mcd_db: float = Field(description="the same of copy synthesis, as the vocoder's share")
    word_error_rate: float | None = Field(None, description="of synthesis from words alone")
    recording_word_error_rate: float | None = Field(None, description="of the recordings")


class SpeechEvaluation(StrictModel):
    """The result of :func:`evaluate_speech`."""

    format: Literal[1] = Field(1, description="version of this format")
    code_version: str = Field(description="version of this package")
    voice: str = Field(description="id of the voice")
    weights: dict[str, str] = Field(description="SHA-256 of its weights")
    engine: str = Field(description="what generated")
    splits: tuple[Split, ...] = Field(description="parts of the corpus")
    seed: int = Field(ge=0, description="of all noise")
    speakers: dict[str, SpeakerFigures] = Field(description="by name")


class _Case(NamedTuple):
    """One held-out utterance and its two renderings."""

    utterance: Utterance
    aligned: AlignedUtterance
    recording: Samples
    read: Features
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
    """Measure how a voice reads sentences that it was not trained on.

    Args:
        voice: with an acoustic model.
        corpus: prepared with F0, aligned, with the voice's feature settings.
        splits: parts of the corpus; none of them is trained on.
        per_speaker: sentences of each speaker, one of each prompt.
        seed: of all noise.
        engine: by name, or ``auto``.
        weights: number format of the engine's weights; its own choice where None.
        recognise: count the words that a recogniser gets wrong.
        report: folder for audio and pictures; none where None.

    Raises:
        UserError: the voice reads no text, the corpus is not aligned or lacks F0.
    """
    if voice.acoustic is None:
        raise TextError(f"voice {voice.id} has no acoustic model to be measured", param="voice")
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
    most: int,
    seed: int,
) -> list[_Case]:
    chosen: dict[str, tuple[Utterance, AlignedUtterance]] = {}
    for split in splits:
        for utterance, aligned in aligned_of(corpus, split):
            if utterance.speaker == speaker:
                chosen.setdefault(utterance.prompt, (utterance, aligned))
    if not chosen:
        raise CorpusError(f"{corpus.folder}: no aligned held-out utterance of speaker {speaker}")
    assert voice.acoustic is not None
    number = voice.speaker_index(speaker)
    cases = []
    for utterance, aligned in list(chosen.values())[:most]:
        linguistic = read_linguistic(corpus, utterance, aligned)
        pcm, mel = corpus.read(utterance)
        timed = render(
            voice.acoustic,
            aligned.read_sentence,
            number,
            seed=seed,
            durations=torch.tensor(aligned.durations),
        )
        free = render(voice.acoustic, aligned.sentence, number, seed=seed)
        recording = np.asarray(pcm.numpy() / np.float32(PCM_16_LEVELS), dtype=np.float32)
        read = Features(mel, corpus.features, corpus.read_f0(utterance), linguistic, LAYOUT)
        cases.append(_Case(utterance, aligned, recording, read, timed, free))
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
) -> SpeakerFigures:
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
    free = vocode([case.free.features(config) for case in cases], "from words alone")
    copies = vocode([case.read for case in cases], "from the recording's features")
    ours, theirs, voicing = _melodies(cases)
    sounds = list(zip(cases, timed, free, copies, strict=True))
    rates: list[float | None] = [None, None]
    if recogniser:
        spoken = [words_of(case.free.sentence.text) for case in cases]
        total = sum(map(len, spoken))
        for place, heard in enumerate((free, [case.recording for case in cases])):
            pairs = zip(spoken, heard, strict=True)
            errors = (word_errors(words, recogniser.hear(one, rate)) for words, one in pairs)
            rates[place] = sum(errors) / total
    if report:
        for case, _, synthetic, _ in sounds[:PICTURES_A_SPEAKER]:
            _keep(report, case, synthetic, rate)
    return SpeakerFigures(
        sentences=len(cases),
        duration_error_ms=_duration_error(cases, silences=False),
        pause_error_ms=_duration_error(cases, silences=True),
        log_f0_correlation=float(np.corrcoef(ours, theirs)[0, 1]),
        log_f0_rmse_cents=float(1200 / np.log(2) * np.sqrt(np.square(ours - theirs).mean())),
        voicing_error=voicing,
        mcd_db=statistics.fmean(
            mel_cepstral_distortion(case.recording, one, rate) for case, one, _, _ in sounds
        ),
        mcd_dtw_db=statistics.fmean(
            dtw_distortion(case.recording, one, rate) for case, _, one, _ in sounds
        ),
        copy_mcd_db=statistics.fmean(
            mel_cepstral_distortion(case.recording, one, rate) for case, _, _, one in sounds
        ),
        word_error_rate=rates[0],
        recording_word_error_rate=rates[1],
    )


def _duration_error(cases: Sequence[_Case], *, silences: bool) -> float:
    """Mean absolute error in ms, of pauses that both have or of all else."""
    errors: list[float] = []
    for case in cases:
        phones = case.aligned.phones
        found = torch.tensor(case.aligned.durations)
        silent = phones.symbols < SILENCES
        # Pauses that nobody wrote are not in the text, so nothing was predicted for them.
        written = ~_unwritten(case.aligned)
        wanted, kind = found[written], silent[written]
        difference = (case.free.durations - wanted).abs()[kind == silences]
        errors += (1000 * difference / case.free.frame_rate_hz).tolist()
    return statistics.fmean(errors)


def _unwritten(aligned: AlignedUtterance) -> Tensor:
    """True for the pauses that the reader made and the text does not have (N,)."""
    flags = [False]
    for word in aligned.words:
        flags += [False] * len(word.ipa.split())
        if word.pause or word.paused:
            flags.append(word.paused)
    return torch.tensor(flags)


def _melodies(
    cases: Sequence[_Case],
) -> tuple[np.ndarray, np.ndarray, float]:
    """Log F0 of synthesis and recording where both are voiced (V,), and the voicing error."""
    ours, theirs, wrong, count = [], [], 0, 0
    for case in cases:
        made, read = case.timed.f0.numpy(), _f0(case.read).numpy()
        both = (made > 0) & (read > 0)
        ours.append(np.log(made[both]))
        theirs.append(np.log(read[both]))
        wrong += int(((made > 0) != (read > 0)).sum())
        count += len(read)
    return np.concatenate(ours), np.concatenate(theirs), wrong / count


def dtw_distortion(recording: Samples, synthetic: Samples, sample_rate_hz: int) -> float:
    """Mel-cepstral distortion in dB along the best path in time (dynamic time warping).

    As :func:`mel_cepstral_distortion`, with the mean over the path's steps.
    """
    cepstra = []
    for samples in (recording, synthetic):
        mel = librosa().feature.melspectrogram(
            y=samples, sr=sample_rate_hz, n_fft=512, hop_length=128, n_mels=40
        )
        level = librosa().power_to_db(mel, ref=float(mel.max()), top_db=60.0)
        order = np.arange(1, CEPSTRA + 1)[:, None]
        band = np.arange(40) + 0.5
        cepstra.append(np.cos(np.pi * order * band / 40) / 40 @ level)
    distance = np.sqrt(2 * np.square(cepstra[0][:, :, None] - cepstra[1][:, None]).sum(0))
    _, path = librosa().sequence.dtw(C=distance)
    return float(distance[path[:, 0], path[:, 1]].mean())


def _keep(folder: Path, case: _Case, synthetic: Samples, rate_hz: int) -> None:
    """Write recording, synthesis and their picture."""
    name = f"{case.utterance.speaker}-{case.utterance.id}"
    audio.write(folder / f"{name}-recording.wav", case.recording, rate_hz)
    audio.write(folder / f"{name}-text.wav", synthetic, rate_hz)
    figure = speech_plots.side_by_side(
        case.read.mel, _f0(case.read), case.timed, case.free, case.free.sentence.text
    )
    with files.replacing(folder / f"{name}.png") as temporary:
        figure.savefig(temporary, dpi=90)
