"""System metrics of a running cell: utilisation, memory, power and energy of its devices, CPU time and memory.

A thread samples every few seconds and writes to a separate spool, `system.jsonl`; the spool of the cell's metrics is
written only by the training thread and can be compared byte by byte. Without a GPU its keys are absent, not 0. System
metrics are optional: any failure here is reported once in the log and never stops a cell.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import threading
import time
from importlib import import_module
from pathlib import Path
from types import TracebackType
from typing import Any

import psutil
import torch

from petscale.cells.published import SYSTEM
from petscale.cells.spool import Spool

log = logging.getLogger("petscale.cell")

EVERY_S = 5.0
HUNG_S = 30.0  # a GPU driver that does not answer must not stop a finished cell from writing its record
# Totals that continue when a later attempt resumes the cell.
CPU_S, ENERGY_J = "system/cpu_seconds", "system/energy_joules"


class Telemetry:
    """Context manager that samples while a cell runs. `energy_j` covers all attempts of the cell since its start."""

    def __init__(
        self, state: Path, device: torch.device, every_s: float = EVERY_S, nvml: Any = None, count: int = 1
    ) -> None:
        """Prepare the sampling, which starts on entering the context.

        Args:
            state: the cell's state folder; if it has a checkpoint to resume, `system.jsonl` is continued, otherwise it
                is started again.
            device: the device on which the cell computes.
            every_s: seconds between samples; one more is taken at the start and at the end.
            nvml: the NVML module; `pynvml` when absent.
            count: number of devices of the cell, starting with `device`. CPU time and memory are those of this process.
        """
        path = state / SYSTEM
        resumed = any(state.glob("ckpt-*.safetensors"))
        self._sampled, self._carried, whole = _carry(path) if resumed else (0, {}, 0)
        self._spool = Spool(path, resume_at=whole)
        self._every_s, self._nvml = every_s, nvml
        self._devices = [device] if count == 1 else [torch.device(device.type, index) for index in range(count)]
        self._process = psutil.Process()
        self._cpu_start = time.process_time()
        self._gpus: list[Gpu] = []
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="telemetry", daemon=True)
        self._complained = False

    def __enter__(self) -> Telemetry:
        try:
            self._gpus = [open_gpu(device, self._nvml) for device in self._devices if device.type == "cuda"]
        except Exception as error:  # no driver library, no permission, an unknown device
            log.warning("no GPU telemetry: %s", error)
        self._sample()
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join(HUNG_S)
        if self._thread.is_alive():
            log.warning("telemetry: the device did not answer within %g s; its last sample is missing", HUNG_S)
            return
        self._sample()
        with contextlib.suppress(OSError):
            self._spool.close()

    @property
    def energy_j(self) -> float | None:
        """Joules that the devices have used for this cell so far; None if no sample measured any."""
        told = [gpu.energy_j for gpu in self._gpus] + [self._carried.get(ENERGY_J)]
        known = [joules for joules in told if joules is not None]
        return sum(known) if known else None

    def _run(self) -> None:
        while not self._stop.wait(self._every_s):
            self._sample()

    def _sample(self) -> None:
        try:
            used = time.process_time() - self._cpu_start
            found = {
                CPU_S: self._carried.get(CPU_S, 0.0) + used,
                "system/resident_memory_megabytes": self._process.memory_info().rss / 1e6,
            }
            for gpu in self._gpus:
                found |= gpu.sample()
            if self._gpus and self.energy_j is not None:
                found[ENERGY_J] = self.energy_j
            self._spool.write(self._sampled, found)
            self._spool.sync()
            self._sampled += 1
        except Exception as error:  # disk full, device lost
            if not self._complained:
                log.warning("telemetry: %s", error)
            self._complained = True


class Gpu:
    """One device, read through NVML. A quantity that the device does not report is absent."""

    def __init__(self, nvml: Any, handle: Any, index: int) -> None:
        self._nvml, self._handle, self._name = nvml, handle, f"system/gpu_{index}"
        self._power: tuple[float, float] | None = None  # seconds and watts of the last sample with a power reading
        self._counter: float | None = None  # joules at the last reading of the device's counter
        self.energy_j: float | None = None

    def sample(self) -> dict[str, float]:
        """Utilisation in percent, memory in megabytes, power in watts; counts energy since the last call."""
        nvml = self._nvml
        watts = self._ask(nvml.nvmlDeviceGetPowerUsage, 1e-3)
        found = {
            "utilization_percentage": self._ask(lambda h: nvml.nvmlDeviceGetUtilizationRates(h).gpu),
            "memory_usage_megabytes": self._ask(lambda h: nvml.nvmlDeviceGetMemoryInfo(h).used, 1e-6),
            "power_usage_watts": watts,
        }
        self._count(time.monotonic(), watts, self._ask(nvml.nvmlDeviceGetTotalEnergyConsumption, 1e-3))
        return {f"{self._name}_{name}": value for name, value in found.items() if value is not None}

    def _ask(self, question: Any, unit: float = 1.0) -> float | None:
        try:
            return float(question(self._handle)) * unit
        except self._nvml.NVMLError:  # not supported (MIG slices, older cards) or lost for a moment
            return None

    def _count(self, seconds: float, watts: float | None, counter: float | None) -> None:
        """Add the energy since the last sample, from the device's counter or by integrating power with trapezoids.

        If a device reports neither at one sample, the next one includes that time: counter and clock have gone on.
        """
        if counter is not None:
            if self._counter is not None and counter >= self._counter:
                self.energy_j = (self.energy_j or 0.0) + counter - self._counter
            self._counter = counter
        elif self._counter is None and watts is not None and self._power is not None:
            then, watts_then = self._power
            self.energy_j = (self.energy_j or 0.0) + (watts + watts_then) / 2 * (seconds - then)
        if watts is not None:
            self._power = (seconds, watts)


def open_gpu(device: torch.device, module: Any = None) -> Gpu:
    """Find, with NVML, the device on which a cell computes.

    CUDA numbers devices by `CUDA_VISIBLE_DEVICES` and in its own order, NVML by bus. Therefore the UUID is used if
    there is one: from the variable (schedulers put GPU or MIG UUIDs there), otherwise from CUDA.

    Raises:
        Exception: the error of NVML or of the import, if the device cannot be found.
    """
    nvml: Any = module or import_module("pynvml")
    nvml.nvmlInit()
    index = device.index or 0
    visible = [entry.strip() for entry in os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",") if entry.strip()]
    entry = visible[index] if index < len(visible) else str(index)
    if not entry.isdigit():
        return Gpu(nvml, _by_uuid(nvml, entry), index)
    uuid = _cuda_uuid(device)
    if uuid is not None:
        for name in (f"GPU-{uuid}", f"MIG-{uuid}"):
            try:
                return Gpu(nvml, nvml.nvmlDeviceGetHandleByUUID(name.encode()), index)
            except nvml.NVMLError:
                continue
    return Gpu(nvml, nvml.nvmlDeviceGetHandleByIndex(int(entry)), index)


def _by_uuid(nvml: Any, entry: str) -> Any:
    """The handle of a device by its UUID, which CUDA allows users to shorten (`GPU-8932f937`)."""
    try:
        return nvml.nvmlDeviceGetHandleByUUID(entry.encode())
    except nvml.NVMLError:
        for number in range(nvml.nvmlDeviceGetCount()):
            handle = nvml.nvmlDeviceGetHandleByIndex(number)
            uuid = nvml.nvmlDeviceGetUUID(handle)
            if (uuid.decode() if isinstance(uuid, bytes) else uuid).startswith(entry):
                return handle
        raise


def _cuda_uuid(device: torch.device) -> str | None:
    """The UUID that CUDA reports for its device; None if it reports none."""
    if not torch.cuda.is_available():
        return None
    return str(torch.cuda.get_device_properties(device).uuid)


def peak_memory(device: torch.device) -> int:
    """Peak bytes allocated on the device, or the largest resident set of this process."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    return 0


def reset_peak_memory(device: torch.device) -> None:
    """Begin anew with the peak of `peak_memory`; where the kernel does not allow that, the old peak stays."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    else:
        with contextlib.suppress(OSError):
            Path("/proc/self/clear_refs").write_text("5")


def _carry(path: Path) -> tuple[int, dict[str, float], int]:
    """Number of samples, last totals and length in bytes of the file of earlier attempts, up to its first bad line.

    A kill may leave the last line incomplete. A damaged line before it means that the rest is lost, which is logged.
    """
    totals: dict[str, float] = {}
    steps: set[int] = set()
    whole = 0
    try:
        with open(path, "rb") as handle:
            for number, line in enumerate(handle, start=1):
                if not line.endswith(b"\n"):
                    break
                try:
                    record = json.loads(line)
                    step, key, value = int(record["step"]), record["key"], float(record["value"])
                except (ValueError, KeyError, TypeError):
                    log.warning("%s: line %d is no metric; what follows it is dropped", path, number)
                    break
                steps.add(step)
                if key in (CPU_S, ENERGY_J):
                    totals[key] = value
                whole += len(line)
    except OSError:
        return 0, {}, 0
    return len(steps), totals, whole
