"""What is forbidden at once, for runs of every version, also those under way: `emergency.cedar` beside the settings."""

from pathlib import Path

from orchestrion.core import Allow, Call, Decision, Deny, Evidence, Gate
from orchestrion.governance import Catalogued, CedarGate, PolicyFile
from orchestrion.project import Project
from orchestrion.spec import Finding

from ._project import Checked

FILE = "emergency.cedar"


class EmergencyGate:
    """A version's gate, behind the forbids that hold now. The file is looked at before each decision; where it is broken, all is refused."""

    def __init__(self, gate: Gate, folder: Path, catalogued: Catalogued) -> None:
        self._gate = gate
        self._path = folder / FILE
        self._catalogued = catalogued
        self._seen: tuple[int, int, int] | None = None
        self._forbids: CedarGate | str | None = None

    @property
    def version(self) -> str:
        return self._gate.version

    def decide(self, call: Call, evidence: Evidence) -> Decision:
        forbids = self._current()
        if isinstance(forbids, str):
            return Deny(reason=forbids, policies=(FILE,), version=self._gate.version)
        if forbids is not None:
            decision = forbids.decide(call, evidence)
            if not isinstance(decision, Allow):
                return decision
        return self._gate.decide(call, evidence)

    def _current(self) -> CedarGate | str | None:
        """The forbids of the file as it is now; why there are none to trust; None without the file."""
        try:
            found = self._path.stat()
        except FileNotFoundError:
            self._seen = self._forbids = None
            return None
        except OSError as error:
            return f"{FILE} cannot be read ({error.strerror}), and that is a refusal."
        seen = (found.st_mtime_ns, found.st_size, found.st_ino)
        if seen != self._seen:
            self._forbids, self._seen = self._read(), seen
        return self._forbids

    def _read(self) -> CedarGate | str:
        try:
            gate, findings = _read(self._path, self._catalogued)
        except (OSError, UnicodeDecodeError):
            return f"{FILE} cannot be read, and that is a refusal."
        return gate or f"Everything is refused until this is mended: {findings[0]}"


def emergency_findings(project: Project, checked: Checked) -> list[Finding]:
    """What is wrong with the file, if there is one."""
    path = project.root / FILE
    try:
        return _read(path, checked.catalogued)[1] if path.exists() else []
    except (OSError, UnicodeDecodeError):
        message = "The file cannot be read as UTF-8 text."
        return [Finding(file=FILE, line=1, column=1, severity="error", code="bad-policy", message=message, path="")]


def _read(path: Path, catalogued: Catalogued) -> tuple[CedarGate | None, list[Finding]]:
    return CedarGate.forbidding(PolicyFile(file=path.name, text=path.read_text(encoding="utf-8")), catalogued)
