"""Step 5: the passes of a step at the same time, each in a process; weights and gradients lie in memory that they share.

A small student computes in one thread, so that each pass can have a core. Its gradients are added in the order of the
passes, as where one pass follows the other: the weights are the same, bit for bit.
"""

import mmap
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch

from dataengine_lib.core.machine.forks import Fork, processes_for
from dataengine_lib.core.machine.threads import parameter_count

_ALIGNED = (
    16  # float32 values of 64 bytes, as torch's own memory: products may be rounded differently elsewhere
)
# of one copy: the loss of its pass, and which of the parameters got a gradient
_Computed = tuple[float, list[bool]]
_PREPARE, _COMPUTE = "prepare", "compute"  # what a copy is asked for, with the number of the step


def runs_at_once(model: Any, passes: int, device: torch.device) -> bool:
    """Whether the passes of a step can be computed at the same time, with the same weights.

    The machine needs a core for each. Not with dropout, whose random numbers follow each other through the passes, nor
    with layers that keep statistics of them; nor where torch has devices, whose threads do not outlive a fork.
    """
    if passes < 2 or device.type != "cpu" or torch.cuda.is_available():
        return False
    if passes > processes_for(parameter_count(model)):
        return False
    return not any(_draws_or_counts(module) for module in model.modules())


def _draws_or_counts(module: torch.nn.Module) -> bool:
    if isinstance(module, torch.nn.modules.batchnorm._NormBase):
        return True
    # dropout of torch's own layers is p; attention and stochastic depth have it as attention_dropout, drop_prob, …
    values = {name: value for name, value in vars(module).items() if "drop" in name}
    if isinstance(module, torch.nn.modules.dropout._DropoutNd):
        values["p"] = module.p
    return any(isinstance(value, int | float) and value > 0 for value in values.values())


class ParallelPasses:
    """Copies of this process that compute the passes 1, 2, … of a step, while this one computes pass 0.

    `parameters` are those that are trained, in float32; `inputs(part, step)` makes the inputs of pass `part` of a step;
    `compute(inputs)` leaves the pass's gradients in the parameters and returns its loss. There are `steps` steps: the
    inputs of the next one are made while this process trains on the gradients of one. `close` ends the copies and gives
    the parameters memory of their own.
    """

    def __init__(
        self,
        parameters: Sequence[torch.nn.Parameter],
        inputs: Callable[[int, int], dict[str, Any]],
        compute: Callable[[dict[str, Any]], torch.Tensor],
        passes: int,
        steps: int,
    ) -> None:
        self._parameters, self._inputs, self._compute = list(parameters), inputs, compute
        self._steps = steps
        self._prepared = -1  # the step whose inputs the copies make, or have made
        self._ready: dict[str, Any] | None = None  # in a copy: the inputs that it has made
        weights = _shared_like(self._parameters)
        self._gradients = [_shared_like(self._parameters) for _ in range(1, passes)]
        for parameter, shared in zip(self._parameters, weights, strict=True):
            shared.copy_(parameter.data)
            parameter.data = shared
        self._copies: list[Fork[tuple[str, int], _Computed | None]] = []
        try:
            for part in range(1, passes):
                self._copies.append(Fork(partial(self._of_copy, part)))
        except BaseException:
            self.close()
            raise

    def _of_copy(self, part: int, asked: tuple[str, int]) -> _Computed | None:
        work, step = asked
        if work == _PREPARE:
            self._ready = self._inputs(part, step)
            return None
        assert self._ready is not None
        loss = float(self._compute(self._ready))
        found = [parameter.grad is not None for parameter in self._parameters]
        for parameter, shared in zip(self._parameters, self._gradients[part - 1], strict=True):
            if parameter.grad is not None:
                shared.copy_(parameter.grad)
                parameter.grad = None
        return loss, found

    def start(self, step: int) -> None:
        """Have the copies compute their passes of `step`, with the weights as they are now."""
        if self._prepared != step:
            self._prepare(step)
        for copy in self._copies:
            copy.send((_COMPUTE, step))

    def _prepare(self, step: int) -> None:
        for copy in self._copies:
            copy.send((_PREPARE, step))
        self._prepared = step

    def add(self, loss: torch.Tensor) -> torch.Tensor:
        """Add the copies' gradients to those of this process; their losses are added to `loss`."""
        computed = [self._computed(copy) for copy in self._copies]
        if self._prepared + 1 < self._steps:
            self._prepare(self._prepared + 1)
        for (of_pass, found), gradients in zip(computed, self._gradients, strict=True):
            loss = loss + loss.new_tensor(of_pass)
            for parameter, there, gradient in zip(self._parameters, found, gradients, strict=True):
                if there and parameter.grad is None:
                    parameter.grad = gradient.clone()
                elif there:
                    parameter.grad.add_(gradient)  # type: ignore[union-attr]  # checked above
        return loss

    @staticmethod
    def _computed(copy: Fork[tuple[str, int], _Computed | None]) -> _Computed:
        copy.receive()  # its inputs are made, or why they are not is raised
        found = copy.receive()
        assert found is not None
        return found

    def close(self) -> None:
        """End the copies."""
        for copy in self._copies:
            copy.end()
        for parameter in self._parameters:
            parameter.data = parameter.data.clone()


def _shared_like(parameters: Sequence[torch.nn.Parameter]) -> list[torch.Tensor]:
    """A float32 tensor of zeros for each parameter, in memory that copies of this process share.

    Not torch's shared memory, which lies in files of /dev/shm: containers often have 64 MB there.
    """
    starts, end = [], 0
    for parameter in parameters:
        starts.append(end)
        end += -(-parameter.numel() // _ALIGNED) * _ALIGNED
    memory = torch.frombuffer(mmap.mmap(-1, 4 * end), dtype=torch.float32)
    return [
        memory[start : start + parameter.numel()].view(parameter.shape)
        for start, parameter in zip(starts, parameters, strict=True)
    ]
