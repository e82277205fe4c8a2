"""Authentication policies of http calls."""

from collections.abc import Mapping

from orchestrion.core import Json

from ._context import Context, Variables
from ._template import pointer_step
from ._values import template

_REFUSED = ("oauth2", "oidc")


def policy(c: Context, value: Json, at: str, variables: Variables) -> Json:
    """A policy, or a reference to one under `use.authentications`; gives the policy itself."""
    if isinstance(value, Mapping) and "use" in value:
        name = c.report.text(c.report.fields(value, at, known=("use",))["use"], f"{at}/use")
        definition = c.definition("authentications", "authentication policy", name, f"{at}/use")
        if definition is not None:
            policy_definition(c, definition, f"/use/authentications{pointer_step(name)}", variables)
        return definition
    policy_definition(c, value, at, variables)
    return value


def policy_definition(c: Context, value: Json, at: str, variables: Variables) -> None:
    found = c.report.fields(value, at, known=(*_SCHEMES, *_REFUSED))
    for scheme in _REFUSED:
        if scheme in found:
            c.report.unsupported(f"{at}/{scheme}", scheme)
    schemes = [scheme for scheme in _SCHEMES if scheme in found]
    if isinstance(value, Mapping) and len(found) != 1:
        hint = "Write one of `basic`, `bearer`, `digest`, or `use` with the name of a policy."
        c.report.error(at, "not-one-scheme", f"A policy has one scheme; this has {len(found)}.", hint, key=True)
    for scheme in schemes:
        _credentials(c, found[scheme], f"{at}/{scheme}", variables, scheme)


def _credentials(c: Context, value: Json, at: str, variables: Variables, scheme: str) -> None:
    if isinstance(value, Mapping) and "use" in value:
        c.secret(c.report.fields(value, at, known=("use",))["use"], f"{at}/use")
        return
    names = _SCHEMES[scheme]
    found = c.report.fields(value, at, known=(*names, "use"), required=names)
    for name in names:
        if name in found:
            c.report.text(found[name], f"{at}/{name}")
            template(c, found[name], f"{at}/{name}", variables)


_SCHEMES: Mapping[str, tuple[str, ...]] = {
    "basic": ("username", "password"),
    "digest": ("username", "password"),
    "bearer": ("token",),
}
