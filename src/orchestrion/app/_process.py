"""What a process that advances runs asks of Python."""

import gc
from collections.abc import Awaitable, Callable
from importlib.util import find_spec
from typing import TypeVar

import anyio

T = TypeVar("T")

YOUNGEST = 10_000
"""Objects made before the collector looks: a step makes dozens, nearly all of which end with it."""


def run_process(work: Callable[[], Awaitable[T]]) -> T:
    """Run `work` on the fastest event loop there is, with a collector that leaves alone what was loaded at the start.

    Measured on ten-step workflows: a seventh less processor time a step from the collector, a twentieth to a sixth from the loop.
    """
    gc.freeze()
    gc.set_threshold(YOUNGEST, 20, 50)
    return anyio.run(work, backend_options={"use_uvloop": find_spec("uvloop") is not None})
