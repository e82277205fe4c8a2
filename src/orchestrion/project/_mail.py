"""The mail server, as settings say it."""

from typing import Annotated, Literal, TypeAlias

from pydantic import Field, StringConstraints, model_validator
from pydantic_core import PydanticCustomError

from ._setting import SecretReference, Setting

MailAddress: TypeAlias = Annotated[str, StringConstraints(pattern=r"^[^@\s<>,;\"]+@[^@\s<>,;\"]+$", max_length=300)]
_PORTS = {"starttls": 587, "tls": 465, "none": 25}


class MailServer(Setting):
    """Where `mail` hands mail in."""

    server: str = Field(
        pattern=r"^[A-Za-z0-9.-]+(:\d{1,5})?$",
        description="Its name, with :port unless it is 587 (465 with `tls: tls`, 25 with `tls: none`). It must stand in `egress.allow` too.",
    )
    sender: MailAddress = Field(alias="from", description="The address that mail comes from.")
    user: str | None = Field(default=None, min_length=1, description="The name to log in with.")
    password: SecretReference | None = Field(default=None, description="The password, as {secret: NAME}.")
    tls: Literal["starttls", "tls", "none"] = Field(
        default="starttls", description="How the way there is protected. `none` is for a server on the same machine."
    )
    timeout_s: float = Field(
        default=30.0, alias="timeout", gt=0, description="Seconds one step of the exchange may take."
    )

    @property
    def host(self) -> str:
        return self.server.partition(":")[0]

    @property
    def port(self) -> int:
        return int(self.server.partition(":")[2] or _PORTS[self.tls])

    @model_validator(mode="after")
    def _login(self) -> "MailServer":
        if (self.user is None) != (self.password is None):
            raise PydanticCustomError(
                "mail-login", "A login has both `user` and `password`", {"hint": "Write password: {secret: NAME}."}
            )
        if self.user is not None and self.tls == "none":
            raise PydanticCustomError(
                "mail-login",
                "A password is not sent over an unprotected line",
                {"hint": "Use `tls: starttls` or `tls: tls`."},
            )
        return self
