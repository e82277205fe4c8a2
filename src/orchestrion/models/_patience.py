"""Asking a model again when that is sensible: bounded, and as the provider asks."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeVar

import anyio

from orchestrion.core import TransientError

from ._breaker import Breaker

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """How often and how long a model is asked before it counts as failed."""

    attempts: int = 3
    first_wait_s: float = 0.5
    """Before the second attempt; doubled before each further one, unless the provider says how long to wait."""
    longest_wait_s: float = 20.0
    """A provider that asks for more has failed at once."""

    def wait_s(self, attempt: int, asked_s: float | None) -> float | None:
        """How long to wait after a failed attempt (from 1); None to give up."""
        if attempt >= self.attempts or (asked_s is not None and asked_s > self.longest_wait_s):
            return None
        return asked_s if asked_s is not None else min(self.first_wait_s * 2 ** (attempt - 1), self.longest_wait_s)


async def insist(name: str, ask: Callable[[], Awaitable[T]], *, patience: Patience, breaker: Breaker) -> tuple[T, int]:
    """Ask until there is an answer, patience ends, or trying again makes no sense; the answer, and at which attempt it came.

    Raises: OrchestrionError.
    """
    from pydantic_ai.exceptions import AgentRunError, ModelAPIError

    from ._problems import model_error, timed_out

    attempt = 0
    while True:
        attempt += 1
        asked_s: float | None = None
        cause: Exception
        breaker.admit(name)
        try:
            answer = await ask()
        except TimeoutError as expired:
            cause, failure = expired, timed_out(name)
        except TransientError as broken:
            cause, failure = broken, broken
        except AgentRunError as error:
            cause, failure = error, model_error(name, error)
            asked_s = error.retry_after if isinstance(error, ModelAPIError) else None
        except BaseException:
            breaker.abandoned()
            raise
        else:
            breaker.ended(None)
            return answer, attempt
        breaker.ended(failure)
        wait_s = patience.wait_s(attempt, asked_s) if isinstance(failure, TransientError) else None
        if wait_s is None or breaker.resting:
            raise failure from cause
        await anyio.sleep(wait_s)
