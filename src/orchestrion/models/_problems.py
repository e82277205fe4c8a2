"""Failures of models in our four families."""

from pydantic_ai.exceptions import (
    AgentRunError,
    ModelAPIError,
    ModelAuthenticationError,
    ModelHTTPError,
    ModelNotFoundError,
    ModelQuotaExceededError,
    ModelRateLimitError,
    ModelRequestRejectedError,
    ModelRequestTimeout,
    ModelTimeoutError,
    UnexpectedModelBehavior,
)

from orchestrion.core import ERROR_TYPES, OrchestrionError, Problem, TransientError, UserError

RETIRED_HINT = "Name its successor: another `provider`, or a `fallback`."


def model_error(name: str, error: AgentRunError) -> OrchestrionError:
    """What went wrong with the model `name`, without the provider's text: it may repeat the prompt."""
    match error:
        case ModelHTTPError(status_code=410):
            return _refused(name, "model-retired", "has been retired by its provider", RETIRED_HINT)
        case ModelAuthenticationError():
            return _refused(name, "model-key-refused", "does not accept the key", "Check the secret its `key` names.")
        case ModelNotFoundError():
            return _refused(
                name,
                "model-not-found",
                "does not know this model",
                "Check its `provider` string; it may have been retired.",
            )
        case ModelQuotaExceededError():
            return _refused(name, "model-quota", "says the quota is used up", "Raise it, or name a `fallback`.")
        case ModelRequestRejectedError():
            status = f" (status {error.status_code})" if isinstance(error, ModelHTTPError) else ""
            return _refused(name, "model-request-rejected", f"rejected the request{status}", None)
        case ModelRequestTimeout() | ModelTimeoutError():
            return timed_out(name)
        case ModelRateLimitError():
            return TransientError(
                "model-rate-limited", f"The model {name!r} takes no more requests for now.", hint="Name a `fallback`."
            )
        case ModelHTTPError(status_code=status):
            return TransientError("model-unavailable", f"The model {name!r} failed with status {status}.")
        case UnexpectedModelBehavior():
            return TransientError("model-answer-malformed", f"The model {name!r} sent an answer that cannot be read.")
        case ModelAPIError() if (own := _own_error(error)) is not None:
            return own
        case ModelAPIError():
            cause = f" ({type(error.__cause__).__name__})" if error.__cause__ else ""
            return TransientError("model-unavailable", f"The model {name!r} could not be asked{cause}.")
        case _:
            return TransientError("model-unavailable", f"The model {name!r} failed with a {type(error).__name__}.")


def _own_error(error: BaseException) -> OrchestrionError | None:
    """What our own way out said, under what the provider's library made of it: a refused host is no network fault."""
    cause = error.__cause__ or error.__context__
    while cause is not None and not isinstance(cause, OrchestrionError):
        cause = cause.__cause__ or cause.__context__
    return cause


def timed_out(name: str) -> OrchestrionError:
    """The model took too long."""
    message = f"The model {name!r} did not answer in time."
    problem = Problem(
        type=ERROR_TYPES["timeout"], status=504, title="Model timeout", detail=message, code="model-timeout"
    )
    return TransientError("model-timeout", message, problem=problem)


def _refused(name: str, code: str, what: str, hint: str | None) -> UserError:
    return UserError(code, f"The model {name!r} {what}.", hint=hint)
