"""Telemetry with a fake NVML reads the right device and energy, and leaves out what the device does not report."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from petscale.cells.published import SYSTEM
from petscale.cells.spool import read_spool
from petscale.training import telemetry
from petscale.training.telemetry import CPU_S, ENERGY_J, Gpu, Telemetry, open_gpu

CUDA = torch.device("cuda", 0)


class FakeError(Exception):
    """Stands for pynvml.NVMLError."""


class FakeNvml:
    """Two GPUs and a MIG slice. `lacking` names what the devices do not tell."""

    NVMLError = FakeError
    UUIDS = ("GPU-aaaa1111-0000", "GPU-bbbb2222-0000")

    def __init__(self, lacking: tuple[str, ...] = ()) -> None:
        self.lacking, self.joules, self.watts = lacking, 1000.0, 200.0
        self.lost = False

    def nvmlInit(self) -> None: ...

    def nvmlDeviceGetCount(self) -> int:
        return 2

    def nvmlDeviceGetHandleByIndex(self, index: int) -> str:
        return self.UUIDS[index]

    def nvmlDeviceGetUUID(self, handle: str) -> str:
        return handle

    def nvmlDeviceGetHandleByUUID(self, uuid: bytes) -> str:
        if uuid.decode() not in (*self.UUIDS, "MIG-cccc3333"):
            raise FakeError("not found")
        return uuid.decode()

    def _tell(self, what: str, value: Any) -> Any:
        if what in self.lacking:
            raise FakeError("not supported")
        if self.lost:
            raise RuntimeError("the GPU has fallen off the bus")
        return value

    def nvmlDeviceGetPowerUsage(self, handle: str) -> int:
        return self._tell("power", int(self.watts * 1000))

    def nvmlDeviceGetTotalEnergyConsumption(self, handle: str) -> int:
        self.joules += 50
        return self._tell("energy", int(self.joules * 1000))

    def nvmlDeviceGetUtilizationRates(self, handle: str) -> Any:
        return self._tell("utilization", SimpleNamespace(gpu=87, memory=40))

    def nvmlDeviceGetMemoryInfo(self, handle: str) -> Any:
        return self._tell("memory", SimpleNamespace(used=3_000_000_000))


def records(state: Path) -> dict[str, list[float]]:
    found: dict[str, list[float]] = {}
    for record in read_spool(state / SYSTEM):
        found.setdefault(record["key"], []).append(record["value"])
    return found


def test_a_cell_on_a_gpu_tells_its_device_and_its_energy(tmp_path: Path) -> None:
    with Telemetry(tmp_path, CUDA, every_s=100, nvml=FakeNvml()) as told:
        pass
    found = records(tmp_path)
    assert found["system/gpu_0_utilization_percentage"] == [87, 87]
    assert found["system/gpu_0_memory_usage_megabytes"] == [3000, 3000]
    assert found["system/gpu_0_power_usage_watts"] == [200, 200]
    assert told.energy_j == found[ENERGY_J][-1] == 50


def test_on_a_cpu_gpu_keys_are_absent_not_zero(tmp_path: Path) -> None:
    with Telemetry(tmp_path, torch.device("cpu"), every_s=100) as told:
        sum(range(100_000))
    found = records(tmp_path)
    assert set(found) == {CPU_S, "system/resident_memory_megabytes"}
    assert found[CPU_S][1] > found[CPU_S][0] >= 0
    assert min(found["system/resident_memory_megabytes"]) > 1
    assert told.energy_j is None


@pytest.mark.parametrize(
    ("visible", "expected"),
    [
        (None, FakeNvml.UUIDS[0]),
        ("1", FakeNvml.UUIDS[1]),
        ("1,0", FakeNvml.UUIDS[1]),
        (FakeNvml.UUIDS[1], FakeNvml.UUIDS[1]),
        ("GPU-bbbb", FakeNvml.UUIDS[1]),
        ("MIG-cccc3333", "MIG-cccc3333"),
    ],
)
def test_the_device_is_the_cells_own(monkeypatch: pytest.MonkeyPatch, visible: str | None, expected: str) -> None:
    """Guards against charging a cell with what its neighbours use (mlflow samples every GPU it sees)."""
    if visible is None:
        monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    else:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    assert open_gpu(CUDA, FakeNvml())._handle == expected


def test_cudas_own_uuid_goes_before_its_number(monkeypatch: pytest.MonkeyPatch) -> None:
    """CUDA counts the fastest device first, NVML by bus: device 0 may be NVML's 1."""
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    monkeypatch.setattr(telemetry, "_cuda_uuid", lambda device: "bbbb2222-0000")
    assert open_gpu(CUDA, FakeNvml())._handle == FakeNvml.UUIDS[1]


def test_without_a_counter_power_is_integrated(monkeypatch: pytest.MonkeyPatch) -> None:
    nvml = FakeNvml(lacking=("energy",))
    gpu = Gpu(nvml, "h", 0)
    clock = iter([0.0, 10.0, 15.0])
    monkeypatch.setattr(telemetry.time, "monotonic", lambda: next(clock))
    gpu.sample()
    assert gpu.energy_j is None  # one sample is no interval
    nvml.watts = 100.0
    gpu.sample()
    gpu.sample()
    assert gpu.energy_j == pytest.approx((200 + 100) / 2 * 10 + 100 * 5)


def test_a_counter_that_is_silent_for_a_moment_has_gone_on_counting(monkeypatch: pytest.MonkeyPatch) -> None:
    """A failed query would else cost two intervals of energy."""
    nvml = FakeNvml()
    gpu = Gpu(nvml, "h", 0)
    gpu.sample()
    nvml.lacking = ("energy", "power")
    gpu.sample()
    nvml.lacking = ()
    gpu.sample()
    assert gpu.energy_j == 100  # 50 joules a query; the one that failed counted too


def test_power_that_is_silent_for_a_moment_is_joined_over_it(monkeypatch: pytest.MonkeyPatch) -> None:
    nvml = FakeNvml(lacking=("energy",))
    gpu = Gpu(nvml, "h", 0)
    clock = iter([0.0, 10.0, 20.0])
    monkeypatch.setattr(telemetry.time, "monotonic", lambda: next(clock))
    gpu.sample()
    nvml.lacking = ("energy", "power")
    gpu.sample()
    nvml.lacking = ("energy",)
    gpu.sample()
    assert gpu.energy_j == pytest.approx(200 * 20)


def test_a_damaged_line_costs_what_follows_it_not_the_whole(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Energy of days must not start again at 0, without a word, for one flipped byte."""
    with Telemetry(tmp_path, CUDA, every_s=100, nvml=FakeNvml()):
        pass
    path = tmp_path / SYSTEM
    before = path.read_bytes()
    path.write_bytes(before + b'{"ts": 1, "steq": 7}\n' + before)
    (tmp_path / "ckpt-000000001.safetensors").touch()
    with Telemetry(tmp_path, CUDA, every_s=100, nvml=FakeNvml()) as told:
        pass
    assert told.energy_j == 100
    assert path.read_bytes().startswith(before)
    assert f"line {before.count(10) + 1} is no metric" in caplog.text


def test_a_device_that_does_not_answer_keeps_no_cell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A hung driver: the cell's lock would live on, and nobody could take the cell over."""
    never = threading.Event()

    class Hung(FakeNvml):
        calls = 0

        def nvmlDeviceGetPowerUsage(self, handle: str) -> int:
            self.calls += 1
            if self.calls > 1:
                never.wait(60)
            return 1

    monkeypatch.setattr(telemetry, "HUNG_S", 0.05)
    nvml = Hung()
    with Telemetry(tmp_path, CUDA, every_s=0.01, nvml=nvml):
        while nvml.calls < 2:
            time.sleep(0.01)
    assert not never.is_set()
    never.set()


def test_a_mig_slice_tells_memory_only(tmp_path: Path) -> None:
    nvml = FakeNvml(lacking=("energy", "power", "utilization"))
    with Telemetry(tmp_path, CUDA, every_s=100, nvml=nvml) as told:
        pass
    assert {key for key in records(tmp_path) if "gpu" in key} == {"system/gpu_0_memory_usage_megabytes"}
    assert told.energy_j is None


def test_totals_go_on_over_attempts_and_a_fresh_start_forgets(tmp_path: Path) -> None:
    with Telemetry(tmp_path, CUDA, every_s=100, nvml=FakeNvml()):
        pass
    with open(tmp_path / SYSTEM, "ab") as spool:
        spool.write(b'{"ts": 1, "st')  # killed while writing
    (tmp_path / "ckpt-000000001.safetensors").touch()
    with Telemetry(tmp_path, CUDA, every_s=100, nvml=FakeNvml()) as told:
        pass
    assert told.energy_j == 100
    found = records(tmp_path)
    assert found[ENERGY_J][-1] == 100
    assert found[CPU_S] == sorted(found[CPU_S])
    assert len(found[CPU_S]) == 4
    (tmp_path / "ckpt-000000001.safetensors").unlink()
    with Telemetry(tmp_path, CUDA, every_s=100, nvml=FakeNvml()) as told:
        pass
    assert told.energy_j == 50


def test_a_lost_gpu_or_a_missing_driver_stops_nothing(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    nvml = FakeNvml()
    with Telemetry(tmp_path, CUDA, every_s=0.01, nvml=nvml):
        nvml.lost = True
        threading.Event().wait(0.1)
    assert sum("fallen off the bus" in line for line in caplog.messages) == 1

    class Broken(FakeNvml):
        def nvmlInit(self) -> None:
            raise FakeError("driver not loaded")

    with Telemetry(tmp_path, CUDA, every_s=100, nvml=Broken()) as told:
        pass
    assert told.energy_j is None
    assert "no GPU telemetry: driver not loaded" in caplog.messages


@pytest.mark.gpu
def test_on_a_real_gpu(tmp_path: Path) -> None:
    if not torch.cuda.is_available():
        pytest.skip("no CUDA device")
    with Telemetry(tmp_path, CUDA, every_s=0.2) as told:
        a = torch.randn(4096, 4096, device="cuda")
        for _ in range(300):
            a = (a @ a).clamp(-1, 1)
        torch.cuda.synchronize()
    found = records(tmp_path)
    assert told.energy_j is not None
    assert told.energy_j > 0
    assert max(found["system/gpu_0_memory_usage_megabytes"]) > 64
