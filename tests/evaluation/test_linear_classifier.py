"""The linear classifiers reach the optimum and see the frames they should."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from vocoder.evaluation.linear_classifier import MAX_ITERATIONS, LinearClassifier


def mels(count: int, seed: int = 0) -> list[Tensor]:
    """Recordings of 80 frames of 6 correlated bands, as in speech."""
    generator = torch.Generator().manual_seed(seed)
    mixing = torch.randn(6, 6, generator=generator)
    return [mixing @ torch.randn(6, 80, generator=generator) - 13 for _ in range(count)]


def test_it_reaches_the_optimum() -> None:
    generator = torch.Generator().manual_seed(1)
    given, truth = mels(100), torch.randn(4, 6, generator=generator)
    labels = [
        torch.multinomial(F.softmax(truth @ (mel + 13), 0).T, 1, generator=generator)[:, 0]
        for mel in given
    ]
    classifier = LinearClassifier(0, 4)
    fit = classifier.fit(given, labels)
    frames, wanted = torch.cat(given, 1).T, torch.cat(labels)
    best = torch.nn.Linear(6, 4)
    optimiser = torch.optim.LBFGS(best.parameters(), max_iter=400, line_search_fn="strong_wolfe")

    def closure() -> Tensor:
        optimiser.zero_grad()
        loss = F.cross_entropy(best((frames + 13) / 4), wanted)
        loss.backward()
        return loss

    optimiser.step(closure)
    optimum = float(closure().detach())
    reached = float(F.cross_entropy(torch.cat([classifier(mel) for mel in given]), wanted))
    assert optimum < 0.8 * torch.tensor(4.0).log()
    assert reached == pytest.approx(optimum, abs=0.01)
    assert fit.nats == pytest.approx(reached, abs=0.01)
    assert 0 < fit.iterations < MAX_ITERATIONS


def test_context_frames_are_seen() -> None:
    given = mels(40)
    labels = [F.pad(mel[0] > -13, (0, 1))[1:].long() for mel in given]  # the next frame's
    right = {}
    for context in (0, 1):
        classifier = LinearClassifier(context, 2)
        classifier.fit(given, labels)
        found = torch.cat([classifier(mel)[:-1].argmax(1) for mel in given])
        wanted = torch.cat([own[:-1] for own in labels])
        right[context] = float((found == wanted).float().mean())
    assert right[0] < 0.65
    assert right[1] > 0.9


def test_a_recording_is_labelled_the_same_alone_as_among_others() -> None:
    given = mels(3)
    labels = [(mel[0] > -13).long() for mel in given]
    classifier = LinearClassifier(2, 2)
    classifier.fit(given, labels)
    assert classifier(given[1]).shape == (80, 2)
    inner = classifier(given[1][:, 10:20])[2:-2]
    assert torch.allclose(inner, classifier(given[1])[12:18], atol=1e-4)


def test_a_label_never_trained_on_is_never_chosen() -> None:
    given = mels(3)
    classifier = LinearClassifier(0, 4)
    classifier.fit(given, [1 + 2 * (mel[0] > -13).long() for mel in given])
    found = classifier(given[0])
    assert found.shape == (80, 4)
    assert set(found.argmax(1).tolist()) == {1, 3}
    assert torch.isinf(found[:, [0, 2]]).all()
