"""Documents that describe services, fetched whole."""

import asyncio

import httpx

from orchestrion.core import ERROR_TYPES, Faulted, Json, OrchestrionError, Problem, Secrets, TransientError, UserError
from orchestrion.egress import Egress, response_too_big

from ._credentials import credentials_of, http_auth
from ._http import host_of
from ._tokens import Tokens


async def fetch(
    url: str, policy: Json, *, egress: Egress, tokens: Tokens, secrets: Secrets, max_bytes: int | None = None
) -> bytes:
    """What is at an address. Redirects are followed where no credentials travel.

    Raises: Faulted, TransientError `document-unavailable`; TransientError `timed-out`; what egress and credentials raise.
    """
    auth = http_auth(credentials_of(policy, secrets, tokens))
    most = egress.max_response_bytes if max_bytes is None else max_bytes
    try:
        async with asyncio.timeout(egress.timeout_s), egress.client() as client:
            request = client.build_request("GET", url, headers={"user-agent": "orchestrion"})
            response = await client.send(request, auth=auth, stream=True, follow_redirects=auth is None)
            try:
                received = bytearray()
                async for part in response.aiter_bytes():
                    received += part
                    if len(received) > most:
                        raise response_too_big(request.url.host, most)
            finally:
                await response.aclose()
    except TimeoutError:
        raise TransientError("timed-out", f"{host_of(url)!r} took longer than {egress.timeout_s:g} s.") from None
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise _unavailable(url, f"{type(error).__name__}", 502) from error
    if not response.is_success:
        raise _unavailable(url, f"status {response.status_code}", response.status_code)
    return bytes(received)


def not_described(what: str) -> UserError:
    """A dry run cannot go on into what only the outside describes."""
    return UserError(
        "description-not-asked",
        f"A dry run does not read {what}.",
        hint="Mock what the task gives, or keep the description as a file of the project.",
    )


def _unavailable(url: str, why: str, status: int) -> OrchestrionError:
    detail = f"The document at {host_of(url)!r} cannot be had: {why}."
    hint = "Check its address, and how to authenticate there."
    problem = Problem(
        type=ERROR_TYPES["communication"],
        status=status,
        title="Document unavailable",
        detail=detail,
        code="document-unavailable",
        hint=hint,
    )
    if status < 500:
        return Faulted(problem)
    return TransientError("document-unavailable", detail, hint=hint, problem=problem)
