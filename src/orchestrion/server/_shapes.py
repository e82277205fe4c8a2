"""What requests and answers look like. Times are RFC 3339 text in UTC; costs are US dollars."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

Text = Annotated[str, Field(max_length=1000)]


class Shape(BaseModel):
    model_config = ConfigDict(frozen=True)


class Given(BaseModel):
    """What somebody sends: nothing that is not expected."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class ProblemShape(Shape):
    """Why a request failed (RFC 9457)."""

    model_config = ConfigDict(title="Problem", extra="allow")

    type: str
    status: int
    title: str = ""
    detail: str | None = None
    code: str = Field(description="Stable; all of them stand in the reference of errors.")
    hint: str | None = Field(default=None, description="What to do next.")


class Acting(Shape):
    """Who is signed in."""

    name: str
    roles: list[str]


class Health(Shape):
    status: Literal["ok"]


class Ready(Shape):
    status: Literal["ready"]


class UserList(Shape):
    users: list[Acting]
