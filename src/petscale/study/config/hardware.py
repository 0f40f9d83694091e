"""The machine for which time and cost are estimated, and how a cell is divided among its devices.

This is not part of a cell's identity, because it changes numbers only by rounding (docs/large-backbones.md).
"""

from __future__ import annotations

from pydantic import Field

from petscale.study.config.section import Section


class Hardware(Section):
    """One device of the kind that trains a cell."""

    name: str = Field("GPU, 80 GB", description="name of the device in the report")
    tflops: float = Field(300.0, gt=0, description="peak of the device in the study's precision, TFLOP/s")
    utilisation: float = Field(0.3, gt=0, le=1, description="share of the peak that training reaches")
    memory_gb: float = Field(80.0, gt=0, description="memory of one device, GB")
    step_overhead_ms: float = Field(25.0, ge=0, description="time that a step takes even for the smallest model, ms")
    startup_s: float = Field(20.0, ge=0, description="time from the start of the process to the first step, s")
    gpus: bool = Field(True, description="whether cells request GPUs")
    max_devices: int = Field(
        1,
        ge=1,
        description="most devices of one node for a cell, which uses the fewest (1, 2, 4, ...) on which it fits",
    )
    micro_batch: int | None = Field(
        None,
        ge=1,
        description="most examples that a device processes at once, with accumulated gradients; no limit when absent",
    )
