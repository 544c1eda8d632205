"""Silence for what the libraries say that no user of the command line can act on."""

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

_HINTS = logging.getLogger("lightning.pytorch.utilities.rank_zero")


def leave_out_noise() -> None:
    """Leave out an advertisement, a deprecation and two suspicions that are the libraries' own affair."""
    _HINTS.addFilter(_is_no_advertisement)
    warnings.filterwarnings("ignore", message="Found .* in eval mode at the start of training")  # a moving average is
    warnings.filterwarnings("ignore", message=".*isinstance.treespec, LeafSpec.* is deprecated")
    # where a setting may be a class or a name, the parser takes a misspelt name for a class; its own error follows
    warnings.filterwarnings("ignore", message="(?s).*Unable to serialize instance")


@contextmanager
def without_hints() -> Iterator[None]:
    """Leave out what a Trainer tells about its devices and limits."""
    level = _HINTS.level
    _HINTS.setLevel(logging.WARNING)
    try:
        yield
    finally:
        _HINTS.setLevel(level)


def _is_no_advertisement(record: logging.LogRecord) -> bool:
    return "litlogger" not in record.getMessage()
