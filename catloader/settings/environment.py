"""Read the settings from the environment: variables and ``*_FILE`` variables; report unknown names."""

from __future__ import annotations

import difflib
import io
import logging
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from pydantic import SecretStr, ValidationError
from pydantic.fields import FieldInfo
from pydantic_settings import PydanticBaseSettingsSource

from catloader.errors import SettingError
from catloader.logs import format_early_lines
from catloader.settings.table import Settings
from catloader.settings.variables import Variable, variables
from checker.files import read_soon

logger = logging.getLogger(__name__)

_PREFIX = re.compile("(CATLOADER|CATCHECKER|CATCHECK)_(?!TEST_)")  # CATLOADER_TEST_... are the test suite's
# Variables that Kubernetes sets in every pod for a service called catloader, catchecker, catloader-db ...
_SERVICE_NAME = re.compile(
    r"_SERVICE_HOST$|_SERVICE_PORT(_\w+)?$|_PORT_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?$"
)
_MAX_SECRET = 64 * 1024
_MISSPELT_PREFIX = re.compile("CAT", re.IGNORECASE)
_SERVICE_ADDRESS = re.compile("(tcp|udp|sctp)://")
_QUOTED = re.compile("\"[^\"]*\"|'[^']*'")
_OF_AWS = {"AWS_ENDPOINT_URL": "AWS_ENDPOINT_URL_S3", "AWS_DEFAULT_REGION": "AWS_REGION"}
"""Variables of Amazon's programs that have no effect here -> the settings to use instead."""


def read(environ: Mapping[str, str], overrides: Mapping[str, Any]) -> Settings:
    """Read the settings; see ``Settings.from_environment``."""
    format_early_lines(environ.get("CATLOADER_LOG_FORMAT", "").strip())
    source = _Environment(environ, overrides)
    try:
        settings = Settings(**{**source(), **overrides})
    except ValidationError as error:
        raise _refusal(error) from None  # its own text shows the input, including secrets
    for sentence in _unknown(environ):
        logger.warning(sentence)
    if (folder := environ.get("TMPDIR", "")) and not Path(folder).is_dir():
        logger.warning("TMPDIR is %r, which is not a folder; another temporary folder is used.", folder)
    return settings


def as_environment(settings: Settings, environ: Mapping[str, str]) -> dict[str, str]:
    """Return an environment from which a child process reads these settings; other variables are kept."""
    names = {name for variable in variables() for name in variable.names}
    others = {name: value for name, value in environ.items() if name not in names}
    values = {variable.name: getattr(settings, variable.field) for variable in variables()}
    return {**others, **{name: _as_text(value) for name, value in values.items()}}


def _as_text(value: Any) -> str:
    if isinstance(value, SecretStr):
        return value.get_secret_value()
    return str(value).lower() if isinstance(value, bool) else str(value)


class _Environment(PydanticBaseSettingsSource):
    """Reads the values of the environment, by field name."""

    def __init__(self, environ: Mapping[str, str], overrides: Mapping[str, Any]) -> None:
        super().__init__(Settings)
        self._environ, self._overrides = environ, overrides
        self._variables = {variable.field: variable for variable in variables()}

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:
        variable = self._variables[field_name]
        raw = self._environ.get(variable.name, "")
        # A folder's name may end with a space, but a carriage return comes from a file written on Windows.
        raw = raw.strip("\r\n") if field.annotation is Path and not raw.isspace() else raw.strip()
        if not _is_text(raw):
            raise SettingError(f"{variable.name} is not UTF-8 text.")
        if _QUOTED.fullmatch(raw):
            _report_quotation_marks(variable, raw)
        if variable.name.endswith("_PORT") and _SERVICE_ADDRESS.match(raw):
            logger.warning(
                "%s is %r, which Kubernetes sets for a service of that name; the default %s is used.",
                variable.name,
                raw,
                variable.default_text,
            )
            raw = ""
        return self._from_file(variable, raw) or raw, field_name, False

    def _from_file(self, variable: Variable, raw: str) -> str:
        name = variable.file_name
        path = self._environ.get(name, "").strip() if name else ""
        if not path:
            return ""
        if raw:
            raise SettingError(f"{variable.name} and {name} are both set; set only one of them.")
        try:
            content = read_soon(Path(path), _MAX_SECRET + 1)
            if len(content) > _MAX_SECRET:
                raise SettingError(f"{name} is {path!r}, which is too large for a secret.")
            # Notepad writes a byte order mark, and Windows line ends.
            text = io.StringIO(content.decode("utf-8-sig"), newline=None).read()
        except OSError as error:
            raise SettingError(f"{name} is {path!r}, which cannot be read: {error.strerror}.") from error
        except ValueError as error:
            raise SettingError(f"{name} is {path!r}, which is not UTF-8 text.") from error
        value = text.removesuffix("\n")
        if not value:
            raise SettingError(f"{name} is {path!r}, which is empty.")
        return value

    def __call__(self) -> dict[str, Any]:
        fields = (name for name in Settings.model_fields if name not in self._overrides)
        values = {name: self.get_field_value(Settings.model_fields[name], name)[0] for name in fields}
        return {name: value for name, value in values.items() if value}


def _report_quotation_marks(variable: Variable, raw: str) -> None:
    """Refuse a value in quotation marks: a folder would get a name with them, in the current folder.

    A secret may have them, and a site that has started with one must start again, so it is only a warning.
    """
    reason = "they belong to the value, as in files for `docker run --env-file`, which need none"
    if not variable.secret:
        raise SettingError(f"{variable.name} is {raw!r}; it must not have quotation marks: {reason}.")
    logger.warning("%s is in quotation marks; %s.", variable.name, reason)


def _is_text(value: str) -> bool:
    """Return False if the bytes are not UTF-8. Most drivers refuse them, with a traceback."""
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def _refusal(error: ValidationError) -> SettingError:
    """Translate pydantic's first error into one sentence."""
    first = error.errors(include_url=False)[0]
    variable = next(variable for variable in variables() if variable.field == first["loc"][0])
    shown = "(hidden)" if variable.secret else re.sub("//.*@", "//(hidden)@", repr(first["input"]))
    has_rule = first["type"] == "value_error"  # raised in kinds.py or addresses.py
    rule = first["ctx"]["error"] if has_rule else f"it must be {variable.accepts}"
    return SettingError(f"{variable.name} is {shown}; {rule}.")


def _unknown(environ: Mapping[str, str]) -> Iterator[str]:
    for other, setting in _OF_AWS.items():
        # A region alone is for other programs on this machine, since the embedded store has no region.
        matters = setting == "AWS_ENDPOINT_URL_S3" or environ.get("AWS_ENDPOINT_URL_S3")
        if matters and environ.get(other) and not environ.get(setting):
            yield f"{other} has no effect; the setting is {setting}."
    known = {name: _PREFIX.sub("", name) for variable in variables() for name in variable.names}
    for name in sorted(environ):
        if name in known or _from_kubernetes(name, environ[name]):
            continue
        if not _PREFIX.match(name):
            if nearest := _misspelt(name, known):
                yield f"Unknown setting {name} (did you mean {nearest}?)"
            continue
        # Compared without the prefix, which would make all names similar.
        close = difflib.get_close_matches(_PREFIX.sub("", name), known.values(), n=1, cutoff=0.7)
        nearest = next((setting for setting, short in known.items() if [short] == close), None)
        hint = f"did you mean {nearest}?" if nearest else "`catloader settings` lists the known ones"
        yield f"Unknown setting {name} ({hint})"


def _misspelt(name: str, known: Iterable[str]) -> str | None:
    """Return the setting that is meant by a name with a misspelt prefix, such as ``catloader_port``."""
    if not _MISSPELT_PREFIX.match(name):
        return None
    close = difflib.get_close_matches(name.upper().replace("-", "_"), known, n=1, cutoff=0.88)
    return close[0] if close else None


def _from_kubernetes(name: str, value: str) -> bool:
    return bool(_SERVICE_NAME.search(name) or (name.endswith("_PORT") and _SERVICE_ADDRESS.match(value)))
