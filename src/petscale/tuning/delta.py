"""A delta: the trained parameters of one method, installed in a backbone (theta in the papers)."""

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
    """The parameters of a plan that `install` put into a model, with methods to write, save, merge and remove them."""

    def __init__(self, host: Host, plan: Plan, blocks: Mapping[str, Block], attachments: list[Attachment]) -> None:
        self.plan = plan
        self._host, self._blocks, self._attachments = host, dict(blocks), attachments

    def named_parameters(self) -> Iterator[tuple[str, nn.Parameter]]:
        """The masters by key, in the plan's order; their sizes sum to the plan's trainable count."""
        return ((key, block.parameter) for key, block in self._blocks.items())

    def parameters(self) -> Iterator[nn.Parameter]:
        """The parameters for the optimizer."""
        return (block.parameter for block in self._blocks.values())

    def zero_grad(self) -> None:
        """Set the gradients to None."""
        for parameter in self.parameters():
            parameter.grad = None

    def after_step(self) -> None:
        """Assign the masters' values to the weights in the model; this must be called after every optimizer step."""
        for attachment in self._attachments:
            attachment.write()

    def state(self, *, keep: bool = True) -> dict[str, Tensor]:
        """Copies of the trained values on the CPU, by key, in the form that `load_state` and files use.

        Masked tensors are ``(count,)`` in mask order. For a weight that is trained completely (`full`), this is the
        value of the weight, not a difference.

        Args:
            keep: whether to keep the values; with False this process only takes part in gathering sharded values.
        """
        values = ((key, full_tensor(block.parameter.detach())) for key, block in self._blocks.items())
        return {key: value.cpu().clone() for key, value in values if keep}

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        """Restore values bit for bit, and assign them to the weights in the model. Shards must be divided as before.

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
        """Number of scalars that differ from their initial value; for sharded parameters, in this process's parts."""
        return sum(block.changed() for block in self._blocks.values())

    def remove(self) -> None:
        """Remove the delta from the model and restore its weights bit for bit; all of them stay frozen."""
        for attachment in self._attachments:
            attachment.restore()
        self._detach()

    def merge(self) -> None:
        """Merge the delta into the backbone's weights, so that it costs nothing at inference. This cannot be undone.

        Raises:
            BadInput: some operation of the plan cannot be written as a change of weights; then nothing is changed.
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
