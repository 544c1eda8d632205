"""Questions that all processes of a run answer alike, at the same batch."""

from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor


class Agreement:
    """The largest value that any process gives, known to all of them at the same moment.

    A signal reaches one process, a loss diverges in one process; but processes that reduce gradients together can
    only stop together. `ask` costs a message a batch and never waits for another process: the answer is that of the
    batch before. Messages go through the CPU (gloo), so that nothing here waits for a GPU. A single process
    answers itself.
    """

    def __init__(self) -> None:
        self._group: dist.ProcessGroup | None = None
        self._work: dist.Work | None = None
        self._value: Tensor = torch.zeros((), dtype=torch.int64)

    def start(self) -> None:
        """Open the channel; every process calls this once, when the processes know each other."""
        if dist.is_available() and dist.is_initialized() and dist.get_world_size() > 1:
            group = dist.new_group(backend="gloo")
            assert isinstance(group, dist.ProcessGroup)
            self._group = group

    def ask(self, value: int) -> int:
        """Give a value, at least 0, and get the largest that was given at the call before."""
        if self._group is None:
            return value
        answer = self._collect()
        self._value = torch.tensor(value)
        self._work = dist.all_reduce(self._value, dist.ReduceOp.MAX, group=self._group, async_op=True)
        return answer

    def decide(self, value: int) -> int:
        """Give a value, at least 0, and get the largest of this call and the one before; waits for all processes."""
        if self._group is None:
            return value
        largest = torch.tensor(max(value, self._collect()))
        dist.all_reduce(largest, dist.ReduceOp.MAX, group=self._group)
        return int(largest)

    def gather(self, value: Any) -> list[Any]:
        """Get the values that all processes give, in order of rank; waits for all of them."""
        if self._group is None:
            return [value]
        values: list[Any] = [None] * dist.get_world_size()
        dist.all_gather_object(values, value, group=self._group)
        return values

    def _collect(self) -> int:
        if self._work is None:
            return 0
        self._work.wait()
        self._work = None
        return int(self._value)
