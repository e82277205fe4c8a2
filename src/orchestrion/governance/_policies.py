"""Policy files: text in, policies and findings with their places out."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches

from cedarpy import pst

from orchestrion.core import Json
from orchestrion.spec import Finding

from ._catalogued import Catalogued, entity_text
from ._cedar import NotCedar, children, nodes, parse_policy, syntax_error, validate

_TOKEN = re.compile(r"""//[^\n]*|"(?:[^"\\\n]|\\.)*"|[A-Za-z_]\w*|\d+|::|[=!<>]=|&&|\|\||\S""")
_QUOTED = re.compile(r"`([^`]+)`")


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyFile:
    """A file of policies, not yet read."""

    file: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """One policy and where it stands."""

    file: str
    line: int
    column: int
    text: str
    tree: pst.Template

    @property
    def id(self) -> str:
        """Its `@id`, or its place where it has none."""
        return self.tree.annotations.get("id") or f"{self.file}:{self.line}"

    @property
    def reason(self) -> str | None:
        return self.tree.annotations.get("reason") or None


@dataclass(frozen=True, slots=True)
class _Statement:
    file: PolicyFile
    start: int
    end: int

    @property
    def text(self) -> str:
        return self.file.text[self.start : self.end]

    def finding(self, offset: int, code: str, message: str, hint: str | None) -> Finding:
        before = self.file.text[: self.start + offset]
        line, column = before.count("\n") + 1, len(before) - (before.rfind("\n") + 1) + 1
        return Finding(
            file=self.file.file,
            line=line,
            column=column,
            severity="error",
            code=code,
            message=message,
            hint=hint,
            path="",
        )


WORKFLOWS_MAY = PolicyFile(
    file="built-in",
    text='@id("workflows-may")\npermit(principal is Workflow, action, resource);\n',
)
"""Used when a project has no policies: the operator wrote its workflows, so they may; agents may nothing."""

EVERYTHING_MAY = PolicyFile(file="built-in", text='@id("not-forbidden")\npermit(principal, action, resource);\n')
"""Beside forbids that stand before other policies."""


def read_policies(
    files: Sequence[PolicyFile], catalogued: Catalogued, schema: Mapping[str, Json]
) -> tuple[list[Policy], list[Finding]]:
    """All policies of all files, in order, and everything that is wrong with any of them."""
    policies: list[Policy] = []
    placed: list[_Statement] = []
    findings: list[Finding] = []
    for statement in (each for file in files for each in _statements(file)):
        try:
            tree = parse_policy(statement.text)
        except NotCedar as error:
            findings.append(_unreadable(statement, str(error)))
            continue
        at = statement.finding(0, "", "", None)
        policies.append(Policy(file=at.file, line=at.line, column=at.column, text=statement.text, tree=tree))
        placed.append(statement)
    findings += _repeated_ids(policies, placed)
    named = [
        list(_unknown_names(policy, statement, catalogued)) for policy, statement in zip(policies, placed, strict=True)
    ]
    findings += [finding for each in named for finding in each]
    for position, words in validate("\n".join(policy.text for policy in policies), schema):
        if not named[position]:
            findings.append(_misfit(placed[position], words))
    return policies, sorted(findings, key=lambda each: (each.file, each.line, each.column))


def _statements(file: PolicyFile) -> Iterator[_Statement]:
    """Split at the semicolons that end policies. What follows a broken policy starts again at the next annotation or effect."""
    start: int | None = None
    for token in _TOKEN.finditer(file.text):
        if token[0].startswith("//"):
            continue
        if start is None:
            start = token.start()
        if token[0] == ";":
            yield _Statement(file, start, token.end())
            start = None
    if start is not None:
        yield _Statement(file, start, len(file.text.rstrip()))


def _unreadable(statement: _Statement, words: str) -> Finding:
    return statement.finding(
        _error_offset(statement.text, words),
        "policy-syntax",
        f"This is not a Cedar policy: {words}.",
        "A policy is `permit(principal, action, resource) when { … };`, closed by a semicolon.",
    )


def _error_offset(text: str, words: str) -> int:
    """Where the text stops making sense: Cedar names the mistake, but not its place.

    A prefix that could still become a policy fails with "unexpected end of input"; the first that fails otherwise ends in the mistake.
    """
    if words.startswith(("unexpected", "invalid token")):
        for token in _TOKEN.finditer(text):
            if (syntax_error(text[: token.end()]) or "unexpected end of input") != "unexpected end of input":
                return token.start()
        return len(text)
    return _named_offset(text, words)


def _named_offset(text: str, words: str) -> int:
    """Where the text mentions what Cedar's message puts in backquotes; its beginning if nowhere."""
    for quoted in _QUOTED.findall(words):
        for part in (quoted, quoted.rpartition(".")[2]):
            found = re.search(rf"(?<!\w){re.escape(part)}(?!\w)", text)
            if found:
                return found.start()
    return 0


def _repeated_ids(policies: Sequence[Policy], placed: Sequence[_Statement]) -> Iterator[Finding]:
    seen: dict[str, Policy] = {}
    for policy, statement in zip(policies, placed, strict=True):
        first = seen.setdefault(policy.id, policy)
        if first is not policy and "id" in policy.tree.annotations:
            yield statement.finding(
                0,
                "repeated-policy-id",
                f"The id {policy.id!r} is already that of the policy at {first.file}:{first.line}.",
                "Decisions are recorded by id: give each policy its own @id.",
            )


def _unknown_names(policy: Policy, statement: _Statement, catalogued: Catalogued) -> Iterator[Finding]:
    """Agents, workflows, connections, users, roles and actions that do not exist: a misspelt `forbid` would protect nothing."""
    for entity_type, name, written in sorted({*_entities(policy.tree), *_approving_roles(policy.tree)}):
        known = catalogued.known(entity_type)
        if known is None or name in known:
            continue
        near = get_close_matches(name, known, n=1)
        listed = ", ".join(repr(each) for each in sorted(known)[:8]) or "none"
        yield statement.finding(
            max(policy.text.find(written), 0),
            f"unknown-{entity_type.lower()}",
            f"There is no {entity_type.lower()} {name!r}.",
            f"Did you mean {near[0]!r}?" if near else f"There are: {listed}.",
        )


def _entities(tree: pst.Template) -> Iterator[tuple[str, str, str]]:
    for uid in pst.entity_uids(tree):
        yield str(uid.type), uid.id, entity_text(str(uid.type), uid.id)


def _approving_roles(tree: pst.Template) -> Iterator[tuple[str, str, str]]:
    """Texts that `context.approval.role` is compared with."""
    role = pst.GetAttr(base=pst.GetAttr(base=pst.Var(name="context"), attr="approval"), attr="role")
    for node in nodes(tree):
        if isinstance(node, pst.BinaryOp) and role in (node.left, node.right):
            for side in (node.left, node.right):
                for literal in nodes(side):
                    if isinstance(literal, pst.StringLit):
                        yield "Role", literal.value, entity_text("", literal.value)[2:]


def _misfit(statement: _Statement, words: str) -> Finding:
    words = re.sub(r"^for policy `policy\d+`, ", "", words)
    optional = re.search(r"access to optional attribute `(?:.*\.)?(\w+)`", words)
    parent = re.search(r"optional attribute `(?:(.*)\.)?\w+` in context", words)
    hint = None
    if optional:
        owner = f"context.{parent[1]}" if parent and parent[1] else "context"
        hint = f"It may be absent. Ask first: `{owner} has {optional[1]} && …`."
    elif "not found" in words:
        hint = "Policies see the arguments that the tool's or function's input schema types."
    return statement.finding(_named_offset(statement.text, words), "policy-schema", f"{_sentence(words)}.", hint)


def _sentence(words: str) -> str:
    return words[:1].upper() + words[1:]


def mentioned(policies: Sequence[Policy]) -> frozenset[str] | None:
    """Names of attributes that any policy reads; None when one uses the arguments as a whole, so that all may matter."""
    names: set[str] = set()
    context = pst.Var(name="context")
    records = (context, pst.GetAttr(base=context, attr="arguments"))
    for node in (node for policy in policies for node in nodes(policy.tree)):
        read = None
        match node:
            case pst.GetAttr(base=read, attr=attr):
                names.add(attr)
            case pst.HasAttr(base=read, attrs=attrs):
                names.update(attrs)
            case _:
                pass
        if any(child in records and child is not read for child in children(node)):
            return None
    return frozenset(names)
