"""Every error code belongs to one family and stands in docs/reference/errors.md.

The reference is generated: ORCHESTRION_WRITE_DOCS=1 .venv/bin/pytest tests/house/test_errors_documented.py
"""

import ast
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "src" / "orchestrion"
REFERENCE = ROOT / "docs" / "reference" / "errors.md"
CODE = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")

FAMILIES = {
    "UserError": "input, a document or a setting is wrong",
    "PolicyDenied": "policy refuses",
    "TransientError": "may pass; trying again is sensible",
    "BugError": "Orchestrion broke a promise",
    "Faulted": "a workflow error; `catch` can handle it",
    "OrchestrionError": "others",
}


@dataclass(frozen=True, kw_only=True)
class Raised:
    code: str
    family: str
    room: str
    message: str
    hint: str


@cache
def raised() -> list[Raised]:
    return list(_raised())


def _raised() -> Iterator[Raised]:
    trees = {file: ast.parse(file.read_text()) for file in sorted(SOURCE.rglob("*.py"))}
    families = _families(trees)
    for file, tree in trees.items():
        room = file.relative_to(SOURCE).parts[0].removesuffix(".py")
        inner: set[ast.Call] = set()
        for node in ast.walk(tree):
            if isinstance(node, ast.ClassDef) and node.name in families:
                calls = [each for each in ast.walk(node) if isinstance(each, ast.Call) and _is_super_init(each)]
                yield from (_of_call(call, families[node.name], room, 0) for call in calls if _code(call, 0))
            elif isinstance(node, ast.Call) and (family := families.get(_called(node))) and _code(node, 0):
                inner |= {each for each in ast.walk(node) if isinstance(each, ast.Call)}
                yield _of_call(node, family, room, 0)
            elif isinstance(node, ast.Call) and node not in inner and _called(node) == "Problem" and _code(node, None):
                yield _of_call(node, "Faulted", room, None)


def _families(trees: Mapping[Path, ast.Module]) -> dict[str, str]:
    """Error class → its family."""
    classes = {
        node.name: [base.id for base in node.bases if isinstance(base, ast.Name)]
        for tree in trees.values()
        for node in ast.walk(tree)
        if isinstance(node, ast.ClassDef)
    }
    found = {family: family for family in FAMILIES}
    for _ in range(4):  # as deep as the classes are derived
        for name, bases in classes.items():
            family = next((found[base] for base in bases if base in found), None)
            if family is not None:
                found.setdefault(name, family)
    return found


def _is_super_init(call: ast.Call) -> bool:
    function = call.func
    return (
        isinstance(function, ast.Attribute)
        and function.attr == "__init__"
        and isinstance(function.value, ast.Call)
        and _called(function.value) == "super"
    )


def _called(call: ast.Call) -> str:
    return call.func.id if isinstance(call.func, ast.Name) else getattr(call.func, "attr", "")


def _code(call: ast.Call, position: int | None) -> str | None:
    """The constant code of a call: its first argument, or `code=`."""
    node = next((each.value for each in call.keywords if each.arg == "code"), None)
    if node is None and position is not None and call.args:
        node = call.args[position]
    value = node.value if isinstance(node, ast.Constant) else None
    return value if isinstance(value, str) and CODE.fullmatch(value) else None


def _of_call(call: ast.Call, family: str, room: str, position: int | None) -> Raised:
    keywords = {each.arg: each.value for each in call.keywords}
    message = keywords.get("detail") or keywords.get("message") or (call.args[1] if len(call.args) > 1 else None)
    return Raised(
        code=_code(call, position) or "",
        family=family,
        room=room,
        message=_text(message),
        hint=_text(keywords.get("hint")),
    )


def _text(node: ast.expr | None) -> str:
    """The words of a message; what is filled in becomes `…`."""
    match node:
        case ast.Constant(value=str(text)):
            return text
        case ast.JoinedStr(values=values):
            return "".join(_text(value) for value in values)
        case ast.BinOp(left=left, op=ast.Add(), right=right):
            return _text(left) + _text(right)
        case None:
            return ""
        case _:
            return "…"


def reference() -> str:
    by_code: dict[str, list[Raised]] = {}
    for each in raised():
        by_code.setdefault(each.code, []).append(each)
    lines = [
        "# Error codes",
        "",
        "Every failure is a problem detail (RFC 9457) with a stable `code`. What stands in place of each … is filled in",
        "when it happens.",
    ]
    for code, several in sorted(by_code.items()):
        rooms = ", ".join(sorted({each.room for each in several}))
        lines += ["", f"## {code}", "", f"*{several[0].family}* ({FAMILIES[several[0].family]}), from {rooms}.", ""]
        lines += sorted(
            {f"- {each.message} {each.hint}".replace("\n", " ").rstrip() for each in several} - {"- …", "-"}
        )
    return "\n".join(lines).rstrip() + "\n"


TWO_FAMILIES = {"disk-full"}
"""While running it may pass; when opening a store, somebody has to make space first. This list only shrinks."""


def test_a_code_belongs_to_one_family() -> None:
    families: dict[str, set[str]] = {}
    for each in raised():
        if each.family != "Faulted":  # what a workflow sees of any failure
            families.setdefault(each.code, set()).add(each.family)

    assert {code for code, several in families.items() if len(several) > 1} == TWO_FAMILIES


def test_the_reference_lists_every_code() -> None:
    if os.environ.get("ORCHESTRION_WRITE_DOCS"):
        REFERENCE.parent.mkdir(parents=True, exist_ok=True)
        REFERENCE.write_text(reference())
    documented = set(re.findall(r"^## (\S+)$", REFERENCE.read_text(), re.MULTILINE))
    codes = {each.code for each in raised()}

    assert codes - documented == set(), f"undocumented: run with ORCHESTRION_WRITE_DOCS=1 ({__file__})"
    assert documented - codes == set(), "documented, and never raised"
