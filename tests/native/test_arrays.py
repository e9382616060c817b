"""Invalid arrays are Python errors; nothing is read or written outside an array."""

from typing import Any

import numpy as np
import pytest
import torch
from conftest import CONFIGS, random_model
from generating import condition, noise

from vocoder.generation import cpu
from vocoder.generation.cpu import CpuEngine
from vocoder.native.library import load as load_native


def shape_and_weights(name: str = "logistics") -> dict[str, Any]:
    model = random_model(CONFIGS[name])
    return {
        **cpu._shape(model, 1.0),
        "weights": cpu._loop_weights(model),
        "format": "fp32",
        "instructions": "baseline" if "baseline" in load_native().instruction_sets() else "neon",
    }


HEAD = "head.weight"


@pytest.mark.parametrize("format", ["fp32", "bf16", "int8"])
@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda w: w.pop(HEAD), "weight head.weight is missing"),
        (lambda w: w.update(tail=w[HEAD]), "weight tail does not belong to the network"),
        (lambda w: w.update({HEAD: w[HEAD][:-1]}), r"\(15, 16\), expected \(16, 16\)"),
        (
            lambda w: w.update({HEAD: torch.zeros(17, 16)}),
            r"\(17, 16\), expected \(16, 16\)",
        ),
        (lambda w: w.update({HEAD: w[HEAD].double()}), "float32 .* another type"),
        (lambda w: w.update({HEAD: w[HEAD].half()}), "float32 .* another type"),
        (lambda w: w.update({HEAD: torch.zeros(16, 32)[:, ::2]}), "not contiguous"),
        (lambda w: w.update({HEAD: torch.zeros(16, 16).T[:, :8]}), "not contiguous"),
        (lambda w: w.update({HEAD: w[HEAD].unsqueeze(0)}), "one or two dimensions"),
        (lambda w: w.update({"head.bias": torch.zeros(0)}), r"\(0, 1\), expected \(16, 1\)"),
    ],
)
def test_invalid_weights_are_refused(change: Any, message: str, format: str) -> None:
    arguments = shape_and_weights() | {"format": format}
    change(arguments["weights"])
    with pytest.raises(ValueError, match=message):
        load_native().Network(**arguments)


@pytest.mark.parametrize(
    ("setting", "value", "message"),
    [
        ("dilations", [], "number of layers 0"),
        ("dilations", [1, 0, 2], "dilation 0"),
        ("kernel_size", 1, "kernel_size"),
        ("residual_channels", 0, "residual_channels 0"),
        ("gate_channels", 31, "gate_channels must be even"),
        ("parameters", 13, "do not match the distribution"),
        ("input_channels", 2, "do not match the distribution"),
        ("hold", 0, "hold 0"),
        ("global_channels", 0, "global_channels 0"),
        ("distribution", "normal", "distribution normal is unknown"),
        ("distribution", "gaussian", "parameters 12 do not match the distribution gaussian"),
        ("order", -1, "order"),
        ("format", "fp8", "fp8 is unknown"),
        ("instructions", "mmx", "mmx is unknown"),
    ],
)
def test_invalid_settings_are_refused(setting: str, value: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        load_native().Network(**(shape_and_weights() | {setting: value}))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"pool": 0}, "pool 0"),
        ({"pool": 41}, "pool 41 is not a multiple of the hold, 40"),
        ({"pool": [40]}, "needs pool"),
        ({"channels": 6}, r"\(192, 10\), expected \(192, 11\)"),
        ({"dilations": [1]}, "weight contexts.0.skip.weight"),
        ({"gate_channels": 13}, "gate_channels must be even"),
    ],
)
def test_invalid_context_stacks_are_refused(change: dict[str, Any], message: str) -> None:
    given = shape_and_weights("contexts")
    first, *others = given["contexts"]
    with pytest.raises(ValueError, match=message):
        load_native().Network(**(given | {"contexts": [first | change, *others]}))
    del first["pool"]
    with pytest.raises(ValueError, match="a context stack needs pool"):
        load_native().Network(**given)


def arguments(name: str) -> tuple[Any, dict[str, Any]]:
    """A network, and the arguments that advance two of its rows by ten samples."""
    model = random_model(CONFIGS[name])
    engine, conditioning = CpuEngine(model), condition(model, 2)
    prediction = conditioning.prediction
    return engine._network, {
        "state": engine.start(2).tensors(),
        "rows": torch.arange(2),
        "local": conditioning.local.contiguous(),
        "speaker": conditioning.speaker,
        "first": conditioning.first,
        "prediction": None if prediction is None else [p.contiguous() for p in prediction],
        "noise": noise(2, 10),
        "audio": torch.empty(2, 10),
    }


def put(name: str, value: Any) -> Any:
    return lambda given: given.update({name: value})


def put_state(name: str, value: Any) -> Any:
    return lambda given: given["state"].update({name: value})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (put("rows", torch.tensor([0, 2])), "rows must be distinct and from 0 to 1"),
        (put("rows", torch.tensor([-1, 0])), "rows must be distinct"),
        (put("rows", torch.tensor([1, 1])), "rows must be distinct"),
        (put("rows", torch.tensor([0, 1], dtype=torch.int32)), "rows must be int64"),
        (put("rows", torch.tensor([0])), "local must be float32"),
        (put("noise", torch.zeros(2, 10, 3)), "noise must be float32"),
        (put("noise", torch.zeros(2, 10, 2).double()), "noise must be float32 .* another type"),
        (put("noise", torch.zeros(2, 2, 10).transpose(1, 2)), "noise .* not contiguous"),
        (put("noise", torch.zeros(2)), "too few dimensions"),
        (put("audio", torch.empty(2, 9)), "audio must be float32"),
        (put("speaker", torch.zeros(2, 4)), "speaker must be float32"),
        (put("local", torch.zeros(2, 3, 5)), "local must be float32"),
        (put("first", torch.tensor([1, 0])), "generation needs -1"),
        (put("trace", torch.empty(2, 10, 1)), "trace must be float32"),
        (put("forced", torch.empty(2, 11)), "forced must be float32"),
        (put_state("position", torch.tensor([0])), "state.inputs must be float32"),
        (put_state("position", torch.tensor([-1, 0])), "position -1 is out of range"),
        (put_state("position", torch.tensor([0, 10**6])), "generation needs"),
        (put_state("sample", torch.zeros(2, dtype=torch.float64)), "state.sample must be float32"),
        (put_state("stacks.0.1", torch.zeros(2, 1, 16)), "state.stacks.0.1 must be float32"),
        (put_state("stacks.0.1", torch.zeros(2, 16, 2).transpose(1, 2)), "not contiguous"),
        (put_state("stacks.0.1", torch.zeros(1, 2, 16).expand(2, 2, 16)), "rows overlap"),
        (lambda given: given["state"].pop("stacks.0.5"), "state.stacks.0.5 is missing"),
    ],
)
@pytest.mark.parametrize("name", ["logistics", "linear_prediction"])
def test_invalid_arrays_are_refused(name: str, change: Any, message: str) -> None:
    network, given = arguments(name)
    change(given)
    with pytest.raises(ValueError, match=message):
        network.advance(**given)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (put_state("windows.0", torch.zeros(2, 41)), "state.windows.0 must be float32"),
        (put_state("contexts.1", torch.zeros(2, 5).double()), "state.contexts.1 must be float32"),
        (put_state("stacks.2.1", torch.zeros(2, 1, 8)), "state.stacks.2.1 must be float32"),
        (lambda given: given["state"].pop("stacks.1.0"), "state.stacks.1.0 is missing"),
        (lambda given: given["state"].pop("windows.1"), "state.windows.1 is missing"),
    ],
)
def test_invalid_context_arrays_are_refused(change: Any, message: str) -> None:
    network, given = arguments("contexts")
    change(given)
    with pytest.raises(ValueError, match=message):
        network.advance(**given)


def test_codes_out_of_range_are_refused() -> None:
    for change, message in (
        (put_state("code", torch.tensor([0, 256])), "code 256 is not in 0 to 255"),
        (put_state("code", torch.tensor([-1, 0])), "code -1"),
        (put("forced", torch.zeros(2, 10)), "need their codes"),
    ):
        network, given = arguments("mu_law")
        change(given)
        with pytest.raises(ValueError, match=message):
            network.advance(**given)
    network, given = arguments("mu_law")
    given |= {"forced": torch.zeros(2, 10), "forced_codes": torch.full((2, 10), 256)}
    with pytest.raises(ValueError, match="code 256"):
        network.advance(**given)


def test_a_prediction_must_be_given_if_and_only_if_the_network_uses_it() -> None:
    network, given = arguments("linear_prediction")
    with pytest.raises(ValueError, match="needs a prediction"):
        network.advance(**(given | {"prediction": None}))
    with pytest.raises(ValueError, match="coefficients, gain and level"):
        network.advance(**(given | {"prediction": given["prediction"][:2]}))
    network, given = arguments("logistics")
    with pytest.raises(ValueError, match="takes no prediction"):
        network.advance(**(given | {"prediction": []}))


def test_objects_other_than_arrays_are_refused() -> None:
    network, given = arguments("logistics")
    for name in ("rows", "local", "noise", "audio"):
        with pytest.raises(TypeError):
            network.advance(**(given | {name: "nothing"}))
    read_only = np.zeros((2, 10), dtype=np.float32)
    read_only.flags.writeable = False
    with pytest.raises((TypeError, ValueError)):
        network.advance(**(given | {"audio": read_only}))


def test_a_refused_call_changes_nothing() -> None:
    network, given = arguments("logistics")
    before = {name: tensor.clone() for name, tensor in given["state"].items()}
    with pytest.raises(ValueError, match="generation needs"):
        network.advance(**(given | {"noise": noise(2, 601), "audio": torch.empty(2, 601)}))
    assert all(torch.equal(given["state"][name], tensor) for name, tensor in before.items())
