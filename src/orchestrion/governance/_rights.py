"""What people may do with the platform itself: a table of roles, compiled into Cedar policies and asked like those of agents."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

from orchestrion.core import Allow, Deny, Json, digest

from ._catalogued import entity_text
from ._cedar import Cedar

PLATFORM = ("Platform", "orchestrion")
_REMEMBERED_PEOPLE = 256
_REMEMBERED = 4096


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """Somebody who has been recognised."""

    name: str
    roles: tuple[str, ...]


class Rights:
    """Default deny: what no role was granted nobody may do, and an error in an evaluation is a deny.

    `granted`: action → the roles that may do it. `includes`: role → the roles whose rights it has as well.
    """

    def __init__(self, granted: Mapping[str, Sequence[str]], includes: Mapping[str, Sequence[str]]) -> None:
        self.roles = tuple(includes)
        self.policies = "\n".join(_policies(granted))
        self._includes = includes
        self._schema = _schema(granted)
        self.version = digest([self.policies, {role: list(others) for role, others in includes.items()}])
        self._evaluator = lru_cache(maxsize=_REMEMBERED_PEOPLE)(self._of)
        self._remembered = lru_cache(maxsize=_REMEMBERED)(self._judge)

    def decide(self, person: Person, action: str) -> Allow | Deny:
        """Whether a person may do something. Never raises: what cannot be decided is denied."""
        try:
            return self._remembered(person, action)
        except Exception as error:  # the gate closes whatever happens: an error is a deny
            return self._deny(f"The policies could not be evaluated ({type(error).__name__}), and that is a refusal.")

    def _judge(self, person: Person, action: str) -> Allow | Deny:
        found = self._evaluator(person).ask(("User", person.name), action, PLATFORM, "{}")
        if found.allowed and not found.errors:
            return Allow(policies=(action,), version=self.version)
        roles = ", ".join(person.roles) or "none"
        return self._deny(f"{person.name!r} may not do this ({action}): the roles are {roles}.")

    def _of(self, person: Person) -> Cedar:
        entities: list[Json] = [_entity("Role", role, others) for role, others in self._includes.items()]
        held = [role for role in person.roles if role in self._includes]
        return Cedar(self.policies, self._schema, [*entities, _entity("User", person.name, held)])

    def _deny(self, reason: str) -> Deny:
        return Deny(reason=reason, version=self.version)


def _policies(granted: Mapping[str, Sequence[str]]) -> list[str]:
    """One permit an action and role: the table as text."""
    resource = entity_text(*PLATFORM)
    return [
        f"permit (principal in {entity_text('Role', role)}, action == {entity_text('Action', action)}, resource == {resource});"
        for action, roles in granted.items()
        for role in roles
    ]


def _schema(granted: Mapping[str, Sequence[str]]) -> dict[str, Json]:
    applies: Json = {
        "principalTypes": ["User"],
        "resourceTypes": [PLATFORM[0]],
        "context": {"type": "Record", "attributes": {}},
    }
    entities: Json = {
        "Role": {"memberOfTypes": ["Role"]},
        "User": {"memberOfTypes": ["Role"]},
        PLATFORM[0]: {},
    }
    return {"": {"entityTypes": entities, "actions": {action: {"appliesTo": applies} for action in granted}}}


def _entity(entity_type: str, name: str, roles: Sequence[str]) -> Json:
    return {
        "uid": {"type": entity_type, "id": name},
        "attrs": {},
        "parents": [{"type": "Role", "id": role} for role in roles],
    }
