"""What all settings have in common, and secrets by reference."""

from pydantic import BaseModel, ConfigDict, Field
from pydantic_core import PydanticCustomError

WAY_OUT = "Write {secret: NAME} here, and NAME: {env: VARIABLE} or NAME: {file: path} under `secrets`."


class Setting(BaseModel):
    """Strict, and known by its own names."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_by_name=True, validate_by_alias=True)


class SecretReference(Setting):
    """A secret by its name."""

    secret: str = Field(description="Name of an entry under `secrets`.", min_length=1)


def only_by_reference(value: object) -> object:
    if isinstance(value, str):
        raise PydanticCustomError("secret-in-clear", "A key must not stand here in clear", {"hint": WAY_OUT})
    return value
