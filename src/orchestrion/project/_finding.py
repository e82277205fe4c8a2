"""Local stand-in."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    file: str
    line: int
    column: int
    severity: Literal["error", "warning"]
    code: str
    message: str
    hint: str | None = None
    path: str = ""
