"""The trained parameters of one method on one backbone, installed (theta in the papers)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial

import torch
from torch import Tensor, nn

from petscale.errors import BadInput
from petscale.parallel.team import full_tensor
from petscale.tuning.block import Block
from petscale.tuning.host import Host
from petscale.tuning.operations.operation import Attachment
from petscale.tuning.operations.registry import operation_of
from petscale.tuning.plan import Plan
from petscale.tuning.site import Site


class Delta:
    """What `install` returns: the parameters of a plan, and the way to write, save, merge and remove them."""

    def __init__(self, host: Host, plan: Plan, blocks: Mapping[str, Block], attachments: list[Attachment]) -> None:
        self.plan = plan
        self._host, self._blocks, self._attachments = host, dict(blocks), attachments

    def named_parameters(self) -> Iterator[tuple[str, nn.Parameter]]:
        """The masters by key, in the plan's order; their sizes sum to the plan's trainable count."""
        return ((key, block.parameter) for key, block in self._blocks.items())

    def parameters(self) -> Iterator[nn.Parameter]:
        """What the optimizer holds."""
        return (block.parameter for block in self._blocks.values())

    def zero_grad(self) -> None:
        """Drop the gradients."""
        for parameter in self.parameters():
            parameter.grad = None

    def after_step(self) -> None:
        """Write the masters into the live weights, by assignment; call after every optimizer step."""
        for attachment in self._attachments:
            attachment.write()

    def state(self, *, keep: bool = True) -> dict[str, Tensor]:
        """Copies of the trained values on the CPU, by key: what `load_state` and files take.

        Masked tensors are ``(count,)`` in mask order. A whole weight (`full`) is its own value, not a difference.

        Args:
            keep: False takes part in gathering sharded values and keeps none of them: for all processes but one.
        """
        values = ((key, full_tensor(block.parameter.detach())) for key, block in self._blocks.items())
        return {key: value.cpu().clone() for key, value in values if keep}

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        """Take values back, bit for bit, and write them into the live weights. A sharded value needs equal shards.

        Raises:
            BadInput: a tensor is missing, unknown or of another shape.
        """
        wrong = set(state) ^ set(self._blocks)
        if wrong:
            raise BadInput(f"delta: tensor {min(wrong)} is missing or does not belong to this plan")
        with torch.no_grad():
            for key, block in self._blocks.items():
                if state[key].shape != block.parameter.shape:
                    found, wanted = tuple(state[key].shape), tuple(block.parameter.shape)
                    raise BadInput(f"delta: tensor {key} has shape {found}, the plan says {wanted}")
                block.parameter.copy_(state[key])
        self.after_step()

    def changed(self) -> int:
        """Scalars that differ from their start; of sharded parameters those of this process's parts."""
        return sum(block.changed() for block in self._blocks.values())

    def remove(self) -> None:
        """Take the delta out of the model, whose weights are then what they were, bit for bit; all stay frozen."""
        for attachment in self._attachments:
            attachment.restore()
        self._detach()

    def merge(self) -> None:
        """Fold the delta into the backbone's weights, so that it costs nothing at inference; cannot be undone.

        Raises:
            BadInput: an operation of the plan has no equal change of existing weights. Nothing is changed then.
        """
        for site in self.plan.sites:
            if (why := operation_of(site).refusal(self._host, site)) is not None:
                raise BadInput(f"merge: {site.name} cannot be merged exactly: {why}")
        with torch.no_grad():
            for site in self.plan.sites:
                operation_of(site).fold(self._host, site, partial(self._whole, site))
        self._detach()

    def _whole(self, site: Site, key: str, dtype: torch.dtype | None = None) -> Tensor:
        block = self._blocks[self.plan.tensors_of(site)[key].key]
        return block.whole(block.parameter.dtype if dtype is None else dtype)

    def _detach(self) -> None:
        for attachment in self._attachments:
            attachment.detach()
        self._host.model.requires_grad_(False)
        self._attachments = []
