"""Meters of a measurement: the time and the energy of steps, and the matrix products of one step."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from petscale.cells.efficiency import Speed
from petscale.training.telemetry import Telemetry

SAMPLE_S = 0.2  # between readings of power, for devices without a counter of energy

Work = Callable[[], int]
"""Takes one step, and returns its number of tokens without padding."""


def speed_of(step: Work, count: int, device: torch.device, folder: Path) -> Speed:
    """Time a number of steps one after the other.

    Args:
        step: takes the next step; it need not wait for the device.
        count: number of steps.
        device: where they are computed.
        folder: an empty folder for the readings of the device's sensors.
    """
    clock, tokens = _Clock(device), []
    with _metered(device, folder) as energy_j:
        cpu_s = time.process_time()
        clock.mark()
        for _ in range(count):
            tokens.append(step())
            clock.mark()
        seconds = clock.spans()
        cpu_s = time.process_time() - cpu_s
    low, median, high = np.quantile(np.array(tokens) / np.array(seconds), [0.25, 0.5, 0.75]).tolist()
    return Speed(
        median=median,
        low=low,
        high=high,
        steps=count,
        tokens=sum(tokens),
        seconds=sum(seconds),
        cpu_s=cpu_s,
        energy_j=energy_j(),
    )


class _Clock:
    """Marks moments in the work of a device. On a GPU they are events in its queue, so that no mark waits for it."""

    def __init__(self, device: torch.device) -> None:
        self._on_gpu = device.type == "cuda"
        self._device = device
        self._marks: list[float] = []
        self._events: list[torch.cuda.Event] = []

    def mark(self) -> None:
        """Mark the end of the work that was asked for so far."""
        if self._on_gpu:
            event = torch.cuda.Event(enable_timing=True)  # type: ignore[no-untyped-call]
            event.record(torch.cuda.current_stream(self._device))
            self._events.append(event)
        else:
            self._marks.append(time.perf_counter())

    def spans(self) -> list[float]:
        """Seconds between each mark and the next; this waits for the device."""
        if self._on_gpu:
            torch.cuda.synchronize(self._device)
            pairs = zip(self._events, self._events[1:], strict=False)
            return [first.elapsed_time(second) / 1e3 for first, second in pairs]
        return [after - before for before, after in zip(self._marks, self._marks[1:], strict=False)]


@contextlib.contextmanager
def _metered(device: torch.device, folder: Path) -> Iterator[Callable[[], float | None]]:
    """Context whose energy the yielded function returns after its end, in joules; None on a CPU and without sensors."""
    if device.type != "cuda":
        yield lambda: None
        return
    torch.cuda.synchronize(device)
    with Telemetry(folder, device, every_s=SAMPLE_S) as telemetry:
        yield lambda: telemetry.energy_j


def counted_flop(step: Callable[[], object]) -> int:
    """FLOP of the matrix products of a step, forward and backward, a multiplication and an addition counted as two.

    The fused kernels of attention are replaced by the matrix products that they stand for, so that the count is the
    same on every device: some of them have no formula in torch, and others compute parts of them twice.
    """
    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        step()
    return int(counter.get_total_flops())
