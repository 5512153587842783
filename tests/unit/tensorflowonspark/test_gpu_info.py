"""Free GPUs, by what nvidia-smi says, without one."""

from __future__ import annotations

import pytest

from tfspark_cnn.errors import ClusterError, ConfigError
from tfspark_cnn.tensorflowonspark import gpu_info

ALL = ["0, GPU-a1", "1, GPU-b2", "2, GPU-c3", "3, GPU-d4"]


@pytest.fixture
def busy(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The GPUs on which something computes; nvidia-smi answers accordingly."""
    found: list[str] = []
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setattr(gpu_info, "_smi", lambda query: found if "compute-apps" in query else ALL)
    return found


def test_gpus_on_which_something_computes_are_not_free(busy: list[str]) -> None:
    busy += ["GPU-b2", "GPU-b2"]
    assert gpu_info.free_gpus() == ["0", "2", "3"]
    assert set(gpu_info.get_gpus(3).split(",")) == {"0", "2", "3"}  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("num_gpu", "index", "expected"), [(1, 0, ["0"]), (1, 3, ["3"]), (2, 1, ["2", "3"]), (1, 5, ["1"])]
)
def test_nodes_of_a_host_take_gpus_in_turns(busy: list[str], num_gpu: int, index: int, expected: list[str]) -> None:
    assert gpu_info.get_gpus(num_gpu, index, gpu_info.AS_LIST) == expected
    assert gpu_info.get_gpus(num_gpu, index) == ",".join(expected)


def test_too_few_name_the_setting_by_which_spark_assigns_them(busy: list[str]) -> None:
    busy += ["GPU-a1", "GPU-b2", "GPU-c3"]
    with pytest.raises(ClusterError, match="expected 2 free GPUs, found 3\n.*spark.task.resource.gpu.amount"):
        gpu_info.get_gpus(2)


@pytest.mark.parametrize(("visible", "found"), [("2,3", ["2", "3"]), ("1", ["1"])])
def test_a_node_takes_none_but_those_that_spark_assigned_to_it(
    busy: list[str], monkeypatch: pytest.MonkeyPatch, visible: str, found: list[str]
) -> None:
    busy += ["GPU-c3"]  # by this very node
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    assert gpu_info.get_gpus(len(found), 0, gpu_info.AS_LIST) == found


@pytest.mark.parametrize("none", ["", "-1"])
def test_a_node_without_gpus_gets_none(busy: list[str], monkeypatch: pytest.MonkeyPatch, none: str) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", none)
    with pytest.raises(ClusterError, match="expected 1 free GPUs, found none"):
        gpu_info.get_gpus()


def test_an_unknown_format_is_refused(busy: list[str]) -> None:
    with pytest.raises(ConfigError, match="format is 'tuple'"):
        gpu_info.get_gpus(1, format="tuple")


def test_a_host_without_nvidia_smi_has_no_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    assert not gpu_info.is_gpu_available()
    with pytest.raises(ClusterError, match="nvidia-smi did not tell"):
        gpu_info.get_gpus()
