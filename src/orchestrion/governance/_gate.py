"""The gate: a call and its evidence in, a decision out."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

from cedarpy import pst

from orchestrion.core import Allow, Call, Decision, Deny, Evidence, Json, NeedsApproval, digest
from orchestrion.spec import Finding

from ._catalogued import PRINCIPALS, Catalogued, Signature, cedar_entities, cedar_schema, entity_text, signatures
from ._cedar import Cedar, Evaluation, Name, schema_text
from ._policies import EVERYTHING_MAY, WORKFLOWS_MAY, Policy, PolicyFile, mentioned, read_policies
from ._shape import Record, Unfit, typed

_FAILED = re.compile(r"error while evaluating policy `policy(\d+)`: ([^`:\d]*)")
_REMEMBERED = 2048
_REMEMBERED_CHARS = 2048
SOMEONE = "(someone)"
"""Who approves in the hypothetical approval that finds out whether one would help."""


@dataclass(frozen=True, slots=True)
class _Asked:
    """A request without its approval; equal ones are decided alike."""

    principal: Name
    action: str
    resource: Name
    context: str
    """JSON text of the context, its last brace left off."""
    approval: Name | None
    """Role and person."""


class CedarGate:
    """Cedar policies behind core's Gate. Default deny; whatever goes wrong in an evaluation is a deny.

    A decision is a pure function of the call, and of the evidence's workflow, subject and approval; small ones are remembered.
    Policies receive only the arguments they mention, so a long text costs nothing unless a policy reads it.
    """

    def __init__(self, policies: Sequence[Policy], catalogued: Catalogued) -> None:
        """From policies without findings; `load` is the usual way."""
        self._policies = policies
        self._roles = tuple(catalogued.roles)
        self._signatures = signatures(catalogued.actions)
        self.schema = cedar_schema(self._signatures)
        entities = cedar_entities(catalogued.roles, catalogued.users)
        # Not the schema: with another function in the catalog the policies are still the same, and what was approved under them.
        self.version = digest([entities, [policy.text for policy in policies]])
        self._seen = _visible(self._signatures, mentioned(policies))
        text = "\n".join(policy.text for policy in policies)
        self._cedar = Cedar(text, cedar_schema(self._seen), entities)
        self._remembered = lru_cache(maxsize=_REMEMBERED)(self._judge)

    @classmethod
    def load(cls, files: Sequence[PolicyFile], catalogued: Catalogued) -> "tuple[CedarGate | None, list[Finding]]":
        """The gate of a project's policy files, or everything that is wrong with them. Without files, `workflows-may` holds."""
        policies, findings = read_policies(
            files or [WORKFLOWS_MAY], catalogued, cedar_schema(signatures(catalogued.actions))
        )
        return (None if findings else cls(policies, catalogued)), findings

    @classmethod
    def forbidding(cls, file: PolicyFile, catalogued: Catalogued) -> "tuple[CedarGate | None, list[Finding]]":
        """A gate that allows what the file's forbids do not concern, or everything that is wrong with the file."""
        policies, findings = read_policies(
            [file, EVERYTHING_MAY], catalogued, cedar_schema(signatures(catalogued.actions))
        )
        findings += [
            Finding(
                file=policy.file,
                line=policy.line,
                column=policy.column,
                severity="error",
                code="not-forbidding",
                message=f"Policy {policy.id!r} permits; in an emergency things are only forbidden.",
                hint="Write `forbid`, or put it into a file in policies/ and deploy that.",
            )
            for policy in policies
            if policy.tree.effect == "permit" and policy.file != EVERYTHING_MAY.file
        ]
        return (None if findings else cls(policies, catalogued)), findings

    def schema_text(self) -> str:
        """The schema in Cedar's own notation: what a policy may mention."""
        return schema_text(self.schema)

    def decide(self, call: Call, evidence: Evidence) -> Decision:
        """Whether `call` may happen. Never raises: what cannot be decided is denied."""
        try:
            asked = self._asked(call, evidence)
            return self._remembered(asked) if len(asked.context) < _REMEMBERED_CHARS else self._judge(asked)
        except Unfit as error:
            return self._deny(f"Policies cannot be applied to a call of {call.action!r}: {error}.")
        except Exception as error:  # the gate closes whatever happens: an error is a deny
            return self._deny(f"The policies could not be evaluated ({type(error).__name__}), and that is a refusal.")

    def _asked(self, call: Call, evidence: Evidence) -> _Asked:
        signature = self._seen.get(call.action)
        context: dict[str, Json] = {
            "arguments": typed(signature.arguments, call.arguments) if signature else {},
            "labels": sorted(frozenset[str]().union(*call.labels.values())),
            "workflow": evidence.workflow,
        }
        if evidence.subject is not None:
            context["subject"] = evidence.subject
        role = evidence.approved_by_role
        return _Asked(
            principal=call.principal,
            action=call.action,
            resource=call.resource,
            context=json.dumps(context)[:-1],
            approval=(role, evidence.approved_by or "") if role is not None else None,
        )

    def _judge(self, asked: _Asked) -> Decision:
        misfit = self._misfit(asked)
        if misfit:
            return self._deny(misfit)
        plain = self._evaluate(asked, asked.approval)
        if plain.errors:
            return self._deny(self._failure(plain))
        if plain.allowed:
            return Allow(policies=self._ids(plain), version=self.version)
        return self._with_lesser_role(asked) or self._needing_approval(asked, plain) or self._refused(asked, plain)

    def _misfit(self, asked: _Asked) -> str | None:
        """Why a call is none that policies could speak of."""
        signature = self._signatures.get(asked.action)
        if signature is None:
            return f"{asked.action!r} is not among the functions and tools that exist here."
        if asked.principal[0] not in PRINCIPALS:
            return f"A {asked.principal[0]!r} cannot call anything; only {', '.join(PRINCIPALS)} can."
        if asked.resource[0] not in signature.resource_types:
            expected = ", ".join(sorted(signature.resource_types))
            return f"{asked.action!r} is declared to act on {expected}, not on {asked.resource[0]!r}."
        return None

    def _failure(self, found: Evaluation) -> str:
        """Names the policies that failed, and what failed, without the values that Cedar quotes."""
        named: list[str] = []
        for words in found.errors:
            match = _FAILED.match(words)
            named.append(f"policy {self._policies[int(match[1])].id!r} ({match[2].strip()})" if match else "a policy")
        return f"An error in a policy is a refusal: {', '.join(named)} failed for this call."

    def _evaluate(self, asked: _Asked, approval: Name | None) -> Evaluation:
        given = f', "approval": {json.dumps({"role": approval[0], "by": approval[1]})}' if approval else ""
        return self._cedar.ask(asked.principal, asked.action, asked.resource, f"{asked.context}{given}}}")

    def _with_lesser_role(self, asked: _Asked) -> Allow | None:
        """A role may approve whatever the roles before it may."""
        if asked.approval is None or asked.approval[0] not in self._roles:
            return None
        role, by = asked.approval
        for lesser in reversed(self._roles[: self._roles.index(role)]):
            found = self._evaluate(asked, (lesser, by))
            if found.allowed and not found.errors:
                return Allow(policies=self._ids(found), version=self.version)
        return None

    def _needing_approval(self, asked: _Asked, plain: Evaluation) -> NeedsApproval | None:
        """The least powerful role whose approval would change the answer; an approval already given must be outranked."""
        role = asked.approval[0] if asked.approval else None
        for candidate in self._roles[self._roles.index(role) + 1 if role in self._roles else 0 :]:
            found = self._evaluate(asked, (candidate, SOMEONE))
            if found.allowed and not found.errors:
                return NeedsApproval(
                    role=candidate,
                    reason=self._reason(plain)
                    or self._reason(found)
                    or f"Policy asks for the approval of {candidate}.",
                    policies=self._ids(plain) or self._ids(found),
                    version=self.version,
                )
        return None

    def _refused(self, asked: _Asked, plain: Evaluation) -> Deny:
        if plain.determining:
            ids = self._ids(plain)
            named = " and ".join(repr(each) for each in ids)
            forbids = f"Policies {named} forbid" if len(ids) > 1 else f"Policy {named} forbids"
            reason = self._reason(plain)
            return self._deny(f"{forbids} it{f': {reason}' if reason else '.'}", ids)
        who, what = entity_text(*asked.principal), entity_text("Action", asked.action)
        near = [policy.id for policy in self._policies if _speaks_of(policy.tree, asked)]
        if near:
            named = ", ".join(repr(each) for each in near)
            return self._deny(f"No policy permits this call: {named} would, but not under these conditions.")
        return self._deny(
            f"No policy permits {who} to call {what}. To permit it, add to a file in policies/: "
            f"permit(principal == {who}, action == {what}, resource == {entity_text(*asked.resource)});"
        )

    def _deny(self, reason: str, policies: tuple[str, ...] = ()) -> Deny:
        return Deny(reason=reason, policies=policies, version=self.version)

    def _ids(self, found: Evaluation) -> tuple[str, ...]:
        return tuple(self._policies[position].id for position in found.determining)

    def _reason(self, found: Evaluation) -> str | None:
        reasons = [self._policies[position].reason for position in found.determining]
        return " ".join(reason for reason in reasons if reason) or None


def _visible(actions: Mapping[str, Signature], names: frozenset[str] | None) -> dict[str, Signature]:
    """The signatures without the arguments that no policy mentions."""
    if names is None:
        return dict(actions)
    return {
        action: Signature(
            Record({name: each for name, each in signature.arguments.attributes.items() if name in names}),
            signature.resource_types,
        )
        for action, signature in actions.items()
    }


def _speaks_of(tree: pst.Template, asked: _Asked) -> bool:
    """Whether a permit's head covers the call, so that only its conditions stand in the way."""
    return (
        tree.effect == "permit"
        and _covers(tree.principal, asked.principal)
        and _covers(tree.resource, asked.resource)
        and _covers_action(tree.action, asked.action)
    )


def _covers(scope: pst.PrincipalOrResourceConstraint, name: Name) -> bool:
    match scope:
        case pst.ScopeAny():
            return True
        case pst.ScopeEq(entity=pst.EntityUid() as uid):
            return (str(uid.type), uid.id) == name
        case pst.ScopeIs(entity_type=entity_type):
            return str(entity_type) == name[0]
        case _:
            return False


def _covers_action(scope: pst.ActionConstraint, action: str) -> bool:
    match scope:
        case pst.ScopeAny():
            return True
        case pst.ActionEq(entity=uid):
            return uid.id == action
        case pst.ActionIn(entities=uids):
            return any(uid.id == action for uid in uids)
