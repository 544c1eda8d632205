"""The profiler of a run that is not profiled."""

from contextlib import AbstractContextManager, nullcontext

from lightning.pytorch.profilers import PassThroughProfiler

_NOTHING = nullcontext()


class NoProfiler(PassThroughProfiler):
    """Does nothing, like Lightning's own, which makes a context for it at each of the sixty places a step passes."""

    def profile(self, action_name: str) -> AbstractContextManager[None]:  # type: ignore[override]
        """One context for all."""
        return _NOTHING
