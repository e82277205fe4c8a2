"""Authentication policies of calls to other systems."""

from collections.abc import Mapping

from orchestrion.core import Json

from ._context import Context, Variables
from ._template import pointer_step
from ._values import template, uri

_TOKENS = ("oauth2", "oidc")
_TOKEN_FIELDS = ("authority", "grant", "client", "request", "scopes", "audiences")
_CLIENT_FIELDS = ("id", "secret", "assertion", "authentication")
_TOKEN_REFUSED = ("issuers", "username", "password", "subject", "actor")


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
    found = c.report.fields(value, at, known=(*_SCHEMES, *_TOKENS))
    for scheme in _TOKENS:
        if scheme in found:
            _token_policy(c, found[scheme], f"{at}/{scheme}", variables, scheme)
    schemes = [scheme for scheme in _SCHEMES if scheme in found]
    if isinstance(value, Mapping) and len(found) != 1:
        hint = "Write one of `basic`, `bearer`, `digest`, `oauth2`, `oidc`, or `use` with the name of a policy."
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


def _token_policy(c: Context, value: Json, at: str, variables: Variables, scheme: str) -> None:
    """OAuth2 client credentials. What the client proves itself with is a secret, and so is the whole policy then."""
    if isinstance(value, Mapping) and "use" in value:
        c.secret(c.report.fields(value, at, known=("use",))["use"], f"{at}/use")
        return
    known = (*_TOKEN_FIELDS, *_TOKEN_REFUSED, *(("endpoints",) if scheme == "oauth2" else ()))
    found = c.report.fields(value, at, known=known, required=("authority", "grant"))
    for name in found:
        if name in _TOKEN_REFUSED:
            c.report.unsupported(f"{at}/{name}", "oauth2-field")
    if "authority" in found:
        uri(c, found["authority"], f"{at}/authority", variables)
    if "grant" in found and c.report.text(found["grant"], f"{at}/grant") not in ("client_credentials", ""):
        c.report.unsupported(f"{at}/grant", "oauth2-grant")
    if "client" in found:
        _client(c, found["client"], f"{at}/client", variables)
    if "endpoints" in found:
        endpoints = c.report.fields(
            found["endpoints"], f"{at}/endpoints", known=("token", "revocation", "introspection")
        )
        for name, each in endpoints.items():
            uri(c, each, f"{at}/endpoints/{name}", variables)
    if "request" in found:
        request = c.report.fields(found["request"], f"{at}/request", known=("encoding",))
        if "encoding" in request:
            c.report.choice(request["encoding"], f"{at}/request/encoding", _ENCODINGS)
    for name in ("scopes", "audiences"):
        for i, each in enumerate(c.report.list(found.get(name, ()), f"{at}/{name}")):
            c.report.text(each, f"{at}/{name}/{i}")


def _client(c: Context, value: Json, at: str, variables: Variables) -> None:
    client = c.report.fields(value, at, known=_CLIENT_FIELDS)
    for name in ("secret", "assertion"):
        if name in client:
            hint = "Keep the whole policy as a secret, and write `use: SECRET` in place of its fields."
            message = f"The client's `{name}` stands in the document, where it would be recorded."
            c.report.error(f"{at}/{name}", "secret-in-clear", message, hint, key=True)
    if "id" in client:
        c.report.text(client["id"], f"{at}/id")
        template(c, client["id"], f"{at}/id", variables)
    if "authentication" in client:
        way = c.report.text(client["authentication"], f"{at}/authentication")
        if way not in ("client_secret_post", "client_secret_basic", "none", ""):
            c.report.unsupported(f"{at}/authentication", "oauth2-client")


_ENCODINGS = ("application/x-www-form-urlencoded", "application/json")
_SCHEMES: Mapping[str, tuple[str, ...]] = {
    "basic": ("username", "password"),
    "digest": ("username", "password"),
    "bearer": ("token",),
}
