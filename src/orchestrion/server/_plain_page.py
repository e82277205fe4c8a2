"""Pages for people who are not signed in, in the console's look: plain HTML and one style sheet, without scripts."""

import base64
import hashlib
from html import escape

from fastapi import Response

from ._guard import SECURITY

HTML = "text/html; charset=utf-8"
STYLE = """
:root { color-scheme: light dark; font: 14px/20px system-ui, "Segoe UI", Roboto, "Noto Sans", sans-serif }
body { margin: 0; background: light-dark(#f7f8fa, #101318); color: light-dark(#191d24, #e5e8ee) }
main { box-sizing: border-box; max-width: 24rem; margin: 18vh auto 0; padding: 0 12px }
div { background: light-dark(#fff, #171b22); border: 1px solid light-dark(#dde1e7, #2c333f); border-radius: 6px; padding: 24px }
h1 { font-size: 17px; margin: 0 0 8px }
p { margin: 8px 0; color: light-dark(#566070, #9ba6b7) }
a { color: light-dark(#2050bd, #8fb1ff) }
code { font: 12.5px ui-monospace, Menlo, Consolas, "DejaVu Sans Mono", monospace; overflow-wrap: anywhere }
button { width: 100%; min-height: 44px; margin-top: 8px; border: 0; border-radius: 4px; font: inherit; font-weight: 500;
  cursor: pointer; background: light-dark(#2050bd, #8fb1ff); color: light-dark(#fff, #0d1526) }
:focus-visible { outline: 2px solid light-dark(#2050bd, #8fb1ff); outline-offset: 2px }
"""
PAGE = """<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1"><title>{title} · Orchestrion</title>
<style>{style}</style></head>
<body><main><div><h1>{title}</h1>{body}</div></main></body>
</html>
"""
BUTTON = """<p>This link signs you in to this browser, once.</p>
<form method="post" action="/sign-in"><input type="hidden" name="code" value="{code}"><button autofocus>Sign in</button></form>"""
NO_LINK = """<p>Orchestrion has no passwords: a link signs you in, once. <code>orchestrion dev</code> prints one when it starts, and
whoever runs a server makes one with <code>orchestrion users link NAME</code>.</p>"""

_DIGEST = base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()
_POLICY = {name.decode(): value.decode() for name, value in SECURITY}["content-security-policy"]
POLICY = f"{_POLICY}; style-src 'sha256-{_DIGEST}'"
"""That of every answer, and this one style sheet."""


def sign_in_page(code: str) -> Response:
    """A page with one button, which uses the link up; without a code, where to get a link."""
    if not code:
        return plain_page("You need a link", NO_LINK)
    return plain_page("Sign in to Orchestrion", BUTTON.format(code=escape(code, quote=True)))


def used_page(problem: str) -> Response:
    """What somebody sees whose link signs in no more."""
    return plain_page("This link does not sign in", f"<p>{escape(problem)}</p>{NO_LINK}", status=401)


def plain_page(title: str, body: str, *, status: int = 200) -> Response:
    """A page of its own; the body is HTML."""
    text = PAGE.format(title=title, style=STYLE, body=body)
    return Response(text, status, {"content-security-policy": POLICY}, media_type=HTML)
