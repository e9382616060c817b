"""The loader of the native library, and the library's checks of its arguments."""

from typing import Any

import numpy as np
import pytest

from vocoder.errors import EngineError
from vocoder.native import library as native

LIBRARY = native.load()
BEST = LIBRARY.instruction_sets()[0]


def test_a_missing_library_is_an_error_that_says_what_to_do(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def missing(name: str) -> None:
        raise ImportError(f"No module named {name!r}")

    monkeypatch.setattr(native.importlib, "import_module", missing)
    assert native.find() is None
    with pytest.raises(EngineError, match=r"install a C\+\+20 compiler and run `pip install"):
        native.load()


def test_the_environment_selects_the_instruction_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(native.INSTRUCTIONS_VARIABLE, raising=False)
    assert native.instruction_set(LIBRARY) == BEST
    for name in LIBRARY.instruction_sets():
        monkeypatch.setenv(native.INSTRUCTIONS_VARIABLE, name)
        assert native.instruction_set(LIBRARY) == name
    monkeypatch.setenv(native.INSTRUCTIONS_VARIABLE, "sve9")
    with pytest.raises(EngineError, match=f"sve9: this processor supports {BEST}"):
        native.instruction_set(LIBRARY)


def tables(n_fft: int = 256) -> dict[str, Any]:
    bins = n_fft // 2 + 1
    filters = np.zeros((bins, 2))
    filters[10:20, 0] = filters[15:40, 1] = 0.1
    part = np.clip((np.arange(bins) - 15) / 12, 0, 1)
    return {
        "n_fft": n_fft,
        "filters": filters,
        "interpolation": np.stack((1 - part, part)),
        "instructions": BEST,
    }


def plan(**changes: Any) -> Any:
    given = {"hop": 64, "window": np.hanning(256), "energy": 96.0, "log_floor": 1e-10}
    return LIBRARY.CorrectionPlan(**(tables() | given | changes))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"n_fft": 258, "window": np.zeros(258)}, "filters must have 130 bins"),
        (tables(200) | {"window": np.zeros(200)}, "n_fft 200 is not a power of two"),
        (tables(128) | {"window": np.zeros(128)}, "n_fft 128 is not a power of two from 256"),
        ({"window": np.zeros(255)}, r"window must be float64 \(256\)"),
        ({"hop": 0}, "hop 0 does not fit"),
        ({"hop": 63}, "hop 63 does not fit"),
        ({"hop": 300}, "hop 300 does not fit"),
        ({"energy": 0.0}, "must be positive"),
        ({"log_floor": float("nan")}, "must be positive"),
        ({"interpolation": np.full((2, 129), 0.4)}, "bin 0 is not between two bands"),
        ({"interpolation": np.zeros((2, 129))}, "bin 0 is not between two bands"),
        ({"interpolation": np.full((2, 129), np.nan)}, "bin 0 is not between two bands"),
        ({"filters": np.zeros((129, 2), dtype=np.float32)}, "filters must be float64"),
        ({"filters": np.zeros((129, 3))}, r"interpolation must be float64 \(3, 129\)"),
        ({"instructions": "mmx"}, "mmx is unknown"),
    ],
)
def test_invalid_plans_are_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        plan(**changes)


def test_invalid_streams_are_refused() -> None:
    with pytest.raises(ValueError, match="passes must be from 0 to 64"):
        LIBRARY.CorrectionChain(plan=plan(), passes=65, limit=1.0)
    chain = LIBRARY.CorrectionChain(plan=plan(), passes=1, limit=1.0)
    for samples in (np.zeros(4), np.zeros((2, 2), dtype=np.float32), np.zeros(8, "f")[::2]):
        with pytest.raises(ValueError, match="samples must be float32"):
            chain.push(samples)
    for mel in (np.zeros((3, 4), "f"), np.zeros((4, 2), "f").T, np.zeros((2, 4))):
        with pytest.raises(ValueError, match="mel must be float32"):
            chain.extend(mel)
    with pytest.raises(TypeError):
        chain.push("nothing")


def test_the_frames_determine_the_length_of_a_stream() -> None:
    for passes in (0, 1, 2):
        for count, pushed in ((1, 64), (1, 1), (3, 0), (5, 320), (5, 330)):
            chain = LIBRARY.CorrectionChain(plan=plan(), passes=passes, limit=1.0)
            chain.extend(np.zeros((2, count + 4), "f")[:, 2:-2])
            first = chain.push(np.ones(pushed, "f"))
            rest = chain.flush()
            expected = pushed if passes == 0 else count * 64
            assert len(first) + len(rest) == expected
            assert np.isfinite(rest).all()


def test_long_streams_drop_used_frames() -> None:
    chain = LIBRARY.CorrectionChain(plan=plan(), passes=2, limit=1.0)
    count = 0
    for _ in range(400):
        chain.extend(np.zeros((2, 4), "f"))
        count += len(chain.push(np.zeros(256, "f")))
    assert count + len(chain.flush()) == 400 * 256


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"log_area": np.zeros(3)}, r"log_area must be float64 \(2\)"),
        ({"lag_window": np.ones(1)}, "order 0 is not from 1 to 255"),
        ({"lag_window": np.ones(257)}, "order 256 is not from 1 to 255"),
    ],
)
def test_invalid_predictors_are_refused(changes: dict[str, Any], message: str) -> None:
    given = tables() | {"log_area": np.zeros(2), "lag_window": np.ones(9)}
    with pytest.raises(ValueError, match=message):
        LIBRARY.Predictor(**(given | changes))
    predictor = LIBRARY.Predictor(**given)
    arrays = {
        "mel": np.zeros((2, 5), "f"),
        "coefficients": np.zeros((5, 8), "f"),
        "gain": np.zeros(5, "f"),
        "level": np.zeros(5, "f"),
    }
    predictor.predict(**arrays)
    for name in arrays:
        with pytest.raises(ValueError, match=f"{name} must be float32"):
            predictor.predict(**(arrays | {name: np.zeros((5, 5), "f")}))


def test_invalid_equations_are_refused() -> None:
    arrays = {"lags": np.ones((3, 5)), "coefficients": np.ones((3, 4)), "error": np.ones(3)}
    LIBRARY.levinson_durbin(**arrays, instructions=BEST)
    for name, wrong in (
        ("coefficients", np.ones((3, 5))),
        ("error", np.ones(4)),
        ("lags", np.ones((3, 5), "f")),
        ("lags", np.ones((3, 1))),
    ):
        with pytest.raises(ValueError, match=f"{name} must be float64|order must be"):
            LIBRARY.levinson_durbin(**(arrays | {name: wrong}), instructions=BEST)


def pair(*shape: int) -> tuple[np.ndarray, np.ndarray]:
    return np.ones(shape, "f"), np.ones(shape[0], "f")


def stack(**changes: Any) -> Any:
    given = {"inputs": 3, "same": True, "format": "fp32", "instructions": BEST}
    return LIBRARY.Stack(**(given | changes))


@pytest.mark.parametrize(
    ("layer", "message"),
    [
        (lambda s: s.convolve(kernel=pair(4, 5, 1)), "convolution has 5 channels, expected 3"),
        (lambda s: s.convolve(kernel=pair(4, 3, 2)), "taps 2 are not odd"),
        (lambda s: s.convolve(kernel=pair(4, 3, 65)), "taps 65 are not odd, from 1 to 63"),
        (lambda s: s.convolve(kernel=pair(0, 3, 1)), "outputs must be"),
        (lambda s: s.convolve(kernel=pair(4, 3)), "too few dimensions"),
        (lambda s: s.convolve(kernel=pair(4, 3, 1), activation="tanh"), "activation tanh"),
        (
            lambda s: s.convolve(kernel=(np.ones((4, 3, 1), "f"), np.ones(3, "f"))),
            r"bias must be float32 \(4\)",
        ),
        (lambda s: s.normalise(pair(4)), "normalisation has 4 channels, expected 3"),
        (
            lambda s: s.residual(
                norm=None, kernel=pair(6, 3, 1), activation="gelu", mix=pair(4, 6, 1)
            ),
            "mix has 4 channels, expected 3",
        ),
        (
            lambda s: s.residual(
                norm=pair(3), kernel=pair(6, 3, 1), activation="gelu", mix=pair(3, 5, 1)
            ),
            "mix must have one tap",
        ),
    ],
)
def test_invalid_layers_are_refused(layer: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        layer(stack())


def test_stacks_refuse_invalid_settings_and_frames() -> None:
    for changes, message in (
        ({"format": "int8"}, "fp32 or bf16"),
        ({"format": "fp8"}, "fp8 is unknown"),
        ({"inputs": 0}, "inputs must be"),
        ({"instructions": "mmx"}, "mmx is unknown"),
    ):
        with pytest.raises(ValueError, match=message):
            stack(**changes)
    frames, out = np.ones((4, 3), "f"), np.ones((4, 3), "f")
    with pytest.raises(ValueError, match="no layers"):
        stack().run(frames, out)
    valid = stack(same=False)
    valid.convolve(kernel=pair(2, 3, 3))
    with pytest.raises(ValueError, match="2 frames are too few: at least 3"):
        valid.run(frames[:2], out[:0])
    with pytest.raises(ValueError, match=r"out must be float32 \(2, 2\)"):
        valid.run(frames, out)
    with pytest.raises(ValueError, match="flow needs equal inputs and outputs"):
        valid.flow(frames, frames, frames)
    flowing = stack()
    flowing.convolve(kernel=pair(3, 3, 1))
    for arrays in (
        (frames, frames[:3], frames),
        (frames[:, :2], frames, frames),
        (frames, frames, frames[:, :2]),
    ):
        with pytest.raises(ValueError, match="must be float32"):
            flowing.flow(*arrays)
    flowing.flow(frames, frames, frames[:0])
    assert (frames == 1).all()
