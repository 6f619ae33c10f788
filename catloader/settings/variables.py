"""The environment variable of each setting: its name, section, default and accepted values."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any, Literal, get_args, get_origin

from annotated_types import Ge, Le
from pydantic import SecretStr
from pydantic.fields import FieldInfo

from catloader.settings.table import Settings


@dataclass(frozen=True, slots=True)
class Variable:
    """One setting from the operator's point of view."""

    name: str
    field: str
    """Name of the attribute of ``Settings``."""
    section: str
    doc: str
    default: Any
    default_text: str
    choices: tuple[str, ...]
    """The allowed values; empty: any value of the right kind."""
    accepts: str
    """The end of a sentence such as "it must be a whole number from 1 to 65535"."""
    secret: bool

    @property
    def names(self) -> tuple[str, ...]:
        """The variable and, for a secret, the ``*_FILE`` variable."""
        return (self.name, self.file_name) if self.file_name else (self.name,)

    @property
    def file_name(self) -> str | None:
        """The variable that names a file with the value; None: only secrets have one."""
        return f"{self.name}_FILE" if self.secret else None


@cache
def variables() -> tuple[Variable, ...]:
    """Return every setting, in the order of the table."""
    return tuple(_variable(name, info) for name, info in Settings.model_fields.items())


def _variable(field: str, info: FieldInfo) -> Variable:
    extra: dict[str, str] = dict(info.json_schema_extra)  # type: ignore[arg-type]  # row.py writes a dict
    default = info.get_default(call_default_factory=True)
    plain = default.get_secret_value() if isinstance(default, SecretStr) else default
    choices = get_args(info.annotation) if get_origin(info.annotation) is Literal else ()
    return Variable(
        name=extra["env"],
        field=field,
        section=extra["section"],
        doc=str(info.description),
        default=default,
        default_text=extra["default_text"] or as_text(plain),
        choices=choices,
        accepts=f"one of {', '.join(choices)}" if choices else _accepts(info),
        secret=info.annotation is SecretStr,
    )


def as_text(value: Any) -> str:
    """Return a value as it is written in an environment variable: `false`, not `False`."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def _accepts(info: FieldInfo) -> str:
    kinds: dict[Any, str] = {int: "a whole number", float: "a number", bool: "true or false"}
    kind = kinds.get(info.annotation, "text")
    low = next((bound.ge for bound in info.metadata if isinstance(bound, Ge)), None)
    high = next((bound.le for bound in info.metadata if isinstance(bound, Le)), None)
    if low is None:
        return kind
    return f"{kind} of at least {low}" if high is None else f"{kind} from {low} to {high}"
