"""Leaving a model alone for a while when it keeps failing."""

from dataclasses import dataclass, field

from orchestrion.core import Clock, OrchestrionError, TransientError

FAILURES = 5
"""Attempts in a row that must fail before it is left alone."""
REST_S = 30.0
"""How long it is left alone; then one request tries it, and the others follow when that is answered."""


@dataclass(slots=True, kw_only=True)
class Breaker:
    """Of one model, in this process. A limit that the provider reports, and what is wrong with a request, are no failures of it."""

    clock: Clock
    _failures: int = 0
    _rests_until: float | None = None
    _probing: bool = field(default=False)

    @property
    def resting(self) -> bool:
        return self._rests_until is not None

    def admit(self, name: str) -> None:
        """Let a request through. Raises: TransientError `model-resting`."""
        if self._rests_until is None:
            return
        left_s = self._rests_until - self.clock.monotonic()
        if left_s > 0 or self._probing:
            after = f"It is tried again in {left_s:.0f} s." if left_s > 0 else "One request is trying it now."
            raise TransientError(
                "model-resting",
                f"The model {name!r} is left alone after {FAILURES} failures in a row. {after}",
                hint="Name a `fallback` for it, which is asked meanwhile.",
            )
        self._probing = True

    def ended(self, failure: OrchestrionError | None) -> None:
        """How a request ended that was let through."""
        self._probing = False
        if not isinstance(failure, TransientError) or failure.code == "model-rate-limited":
            self._failures, self._rests_until = 0, None
            return
        self._failures += 1
        if self._failures >= FAILURES:
            self._rests_until = self.clock.monotonic() + REST_S

    def abandoned(self) -> None:
        """A request that was let through was given up before its end."""
        self._probing = False
