"""The doors for people and programs: HTTP over an open app, in its process and event loop. No decisions here.

```python
async with open_app(path) as app, serving(app, Place.bind("127.0.0.1", 8321, None)) as server:
    print(await server.sign_in_link("ana", by="ana", lasts_s=900))
    ...
```
"""

from ._accounts import INVITATION_S, LINK_S, TOKEN_DAYS, Account, Accounts, Token
from ._application import Site, described, site
from ._console import console_routes
from ._guard import Limits
from ._place import Place, link_of
from ._rights import GRANTED, PUBLIC, ROLES, SIGNED, rights
from ._serving import Serving, serving

__all__ = [
    "GRANTED",
    "INVITATION_S",
    "LINK_S",
    "PUBLIC",
    "ROLES",
    "SIGNED",
    "TOKEN_DAYS",
    "Account",
    "Accounts",
    "Limits",
    "Place",
    "Serving",
    "Site",
    "Token",
    "console_routes",
    "described",
    "link_of",
    "rights",
    "serving",
    "site",
]
