import pytest
import torch

from vocoder.errors import EngineError
from vocoder.generation import dispatch
from vocoder.generation.reference import ReferenceEngine
from vocoder.presets import PRESETS


class Refuses(ReferenceEngine):
    name = "picky"

    @staticmethod
    def supports(config: object, device: torch.device) -> tuple[bool, str]:
        return False, "no such device here; install one"


def test_auto_chooses_the_first_able_engine_and_says_why_others_cannot(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(dispatch, "ENGINES", (Refuses, ReferenceEngine))
    choice = dispatch.choose(PRESETS["tiny"], torch.device("cpu"))
    assert choice.engine is ReferenceEngine
    assert "picky passed over: no such device here" in choice.reason
    with pytest.raises(EngineError, match="no such device here; install one"):
        dispatch.choose(PRESETS["tiny"], torch.device("cpu"), "picky")


def test_an_unknown_name_lists_the_known_ones() -> None:
    with pytest.raises(EngineError, match="choose one of auto, triton, cuda-graph, cpu, reference"):
        dispatch.choose(PRESETS["tiny"], torch.device("cpu"), "warp")
