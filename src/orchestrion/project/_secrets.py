"""Secrets by reference: the environment and files."""

import os
from collections.abc import Mapping
from pathlib import Path

from orchestrion.core import Json, UserError, parse

from ._settings import Secret


class ProjectSecrets:
    """Core's Secrets over a project's references. Values are read each time they are asked for, and kept nowhere."""

    def __init__(self, secrets: Mapping[str, Secret], *, root: Path, environ: Mapping[str, str] | None = None) -> None:
        self._secrets = secrets
        self._root = root
        self._environ = os.environ if environ is None else environ

    def get(self, name: str) -> Json:
        """The value of a secret: text without its last line break, or an object from a .json file.

        Raises: UserError `unknown-secret` for a name without an entry, `secret-unset` when its place holds nothing, `secret-unreadable`.
        """
        if name not in self._secrets:
            known = ", ".join(sorted(self._secrets)) or "none"
            raise UserError(
                "unknown-secret", f"There is no secret {name!r}.", hint=f"`secrets` in orchestrion.yaml has: {known}."
            )
        secret = self._secrets[name]
        return (
            self._from_file(name, secret.file)
            if secret.file is not None
            else self._from_environment(name, secret.env or "")
        )

    def _from_environment(self, name: str, variable: str) -> Json:
        value = self._environ.get(variable)
        if not value:
            raise UserError(
                "secret-unset",
                f"The secret {name!r} is empty: the environment variable {variable!r} is not set.",
                hint=f"Set {variable} before starting, or change `secrets.{name}` in orchestrion.yaml.",
            )
        return value

    def _from_file(self, name: str, file: str) -> Json:
        try:
            text = (self._root / file).read_text("utf-8")
        except (OSError, UnicodeDecodeError) as error:
            why = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
            raise UserError(
                "secret-unreadable",
                f"The secret {name!r} cannot be read from the file {file!r}: {why}.",
                hint=f"Check `secrets.{name}` in orchestrion.yaml and the file's permissions.",
            ) from None
        if not file.endswith(".json"):
            return text.removesuffix("\n").removesuffix("\r")
        try:
            return parse(text)
        except UserError:  # its message would quote the text
            raise UserError("secret-unreadable", f"The file {file!r} of the secret {name!r} is not JSON.") from None
