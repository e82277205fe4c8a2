"""Functions that installed packages offer, by entry points of the group `orchestrion.functions`.

Their names are read when a project names a function that is not the platform's own, and a package is imported when one of its
functions is named.
"""

import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from importlib.metadata import EntryPoint, entry_points

from orchestrion.core import Function, OrchestrionError, UserError
from orchestrion.spec import Finding

from ._python import PythonFunction

GROUP = "orchestrion.functions"
_ID = re.compile(r"(?P<name>[A-Za-z][A-Za-z0-9_-]{0,63}):(?P<version>\d+(?:\.\d+){0,2}(?:-[0-9A-Za-z.-]+)?)")


@dataclass(frozen=True, slots=True)
class Offer:
    """An entry point whose name is one for a function."""

    id: str
    entry_point: EntryPoint

    @property
    def name(self) -> str:
        return self.id.partition(":")[0]

    @property
    def package(self) -> str:
        return _package(self.entry_point)

    def load(self) -> Function:
        """Imports the package. Raises: UserError `broken-function` that names it, whatever goes wrong in there."""
        try:
            found = self.entry_point.load()
            if not callable(found):
                raise UserError("bad-python-function", "It is no function.")
            name, _, version = self.id.partition(":")
            return PythonFunction(found, name=name, version=version, made_of=self.package)
        except (Exception, SystemExit) as error:  # importing runs code of the package
            why = str(error) if isinstance(error, OrchestrionError) else f"{type(error).__name__}: {error}"
            raise UserError(
                "broken-function",
                f"The function {self.id!r} ({self.entry_point.value}) of the package {self.package} cannot be used. {why}",
                hint="Mend or remove the package. Everything else works without it.",
            ) from error


class Installed:
    """What is installed beside the platform. `own` are names of functions that no package may take."""

    def __init__(self, own: Collection[str] = ()) -> None:
        self._own = own

    def find(self, name: str) -> Sequence[Offer]:
        """The offers of `name` or `name:version`. Raises: UserError `function-clash` when several packages offer it."""
        bare = name.partition(":")[0]
        if bare in self._own:
            return ()
        known = [offer for offer in self.offers if offer.name == bare]
        packages = sorted({offer.package for offer in known})
        if len(packages) > 1 or len({offer.id for offer in known}) < len(known):
            raise UserError(
                "function-clash",
                f"The function {bare!r} is offered more than once, by {' and '.join(packages)}.",
                hint="A name belongs to one package, for policies speak of names. Remove one of them.",
            )
        return [offer for offer in known if name in (bare, offer.id)]

    @property
    def looked(self) -> bool:
        """Whether anything was looked for among the packages, which takes a moment."""
        return "_entry_points" in self.__dict__

    @cached_property
    def offers(self) -> Sequence[Offer]:
        """All of them, sound or not, that do not take a name of the platform or the project."""
        return [Offer(each.name, each) for each in self._entry_points if not self._flaw(each)]

    def findings(self) -> list[Finding]:
        """What is wrong with names, at its line of the package's `entry_points.txt`. Nothing is imported for that."""
        return list(self._findings())

    def _findings(self) -> Iterator[Finding]:
        for each in self._entry_points:
            if flaw := self._flaw(each):
                yield _finding(each, *flaw)
        for name in sorted({offer.name for offer in self.offers}):
            try:
                self.find(name)
            except UserError as error:
                for offer in self.offers:
                    if offer.name == name:
                        yield _finding(offer.entry_point, error.code, error.message, error.hint or "")

    def _flaw(self, each: EntryPoint) -> tuple[str, str, str] | None:
        """Code, message and hint."""
        found = _ID.fullmatch(each.name)
        if found is None:
            return (
                "bad-function-name",
                f"The package {_package(each)} offers a function under {each.name!r}.",
                "Write `name:version`, such as `vat:1.0.0`.",
            )
        if found["name"] in self._own:
            return (
                "function-clash",
                f"The package {_package(each)} offers {each.name!r}, which would be taken for another function of that name.",
                "Its own name must be another one. What is offered is not used.",
            )
        return None

    @cached_property
    def _entry_points(self) -> list[EntryPoint]:
        return sorted(entry_points(group=GROUP), key=lambda each: (each.name, _package(each)))


def _package(entry_point: EntryPoint) -> str:
    dist = entry_point.dist
    return f"{dist.name} {dist.version}" if dist is not None else "(unknown)"


def _finding(entry_point: EntryPoint, code: str, message: str, hint: str) -> Finding:
    dist = entry_point.dist
    lines = ((dist.read_text("entry_points.txt") if dist else None) or "").splitlines()
    named = [number for number, line in enumerate(lines, 1) if line.partition("=")[0].strip() == entry_point.name]
    return Finding(
        file=f"{dist.name}-{dist.version}.dist-info/entry_points.txt" if dist else "entry_points.txt",
        line=named[0] if named else 1,
        column=1,
        severity="warning",
        code=code,
        message=message,
        hint=hint,
    )
