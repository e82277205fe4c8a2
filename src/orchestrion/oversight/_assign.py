"""Which conversations the candidate answers."""

from typing import Literal, TypeAlias

from orchestrion.core import UserError, fingerprint

Side: TypeAlias = Literal["candidate", "control"]


def assign(key: str, *, share: float, salt: str) -> Side:
    """The side of `key`: a conversation, or a customer who should keep one version.

    The same key and salt always give the same place in [0, 1), and the candidate has the places below `share` in [0, 1]. So a larger
    share moves keys to the candidate and none back, and of many keys the candidate has just this share. `salt` is the rollout's id,
    so that it is not always the same customers on whom something new is tried.

    Raises: UserError `rollout-share-invalid`.
    """
    if not 0 <= share <= 1:
        raise UserError("rollout-share-invalid", f"A rollout's share is {share!r}.", hint="Give one from 0 to 1.")
    place = (int(fingerprint([salt, key])[:16], 16) >> 11) / 2**53
    return "candidate" if place < share else "control"
