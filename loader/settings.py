"""Where CRM is and how to talk to it: flags > environment > .env > loader.toml > defaults. Checked at the start.

A setting has one name everywhere: `CRM_BATCH_SIZE` in the environment is `crm_batch_size` in loader.toml.
"""

from __future__ import annotations

import difflib
import importlib
import re
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, NoReturn, get_args

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, ValidationInfo
from pydantic.fields import FieldInfo

from loader.addresses import BadAddress, login_service, organization_root, webhook
from loader.environment import Environ
from loader.errors import UsageError
from loader.flaws import REMEDY as FLAW_REMEDY
from loader.flaws import flaw
from loader.secrets import Secret

FILE_NAME = "loader.toml"

Auth = Literal["client_secret", "certificate", "device_code", "token", "ntlm"]
Notify = Literal["news", "always", "never"]
NotifyFormat = Literal["auto", "teams", "slack", "json"]
REQUIRED: Mapping[str, tuple[str, ...]] = {
    "client_secret": ("CRM_TENANT_ID", "CRM_CLIENT_ID", "CRM_CLIENT_SECRET"),
    "certificate": ("CRM_TENANT_ID", "CRM_CLIENT_ID", "CRM_CERTIFICATE"),
    "device_code": ("CRM_TENANT_ID", "CRM_CLIENT_ID"),
    "token": ("CRM_ACCESS_TOKEN",),
    "ntlm": ("CRM_USER", "CRM_PASSWORD"),
}


@dataclass(frozen=True)
class _Given:
    """A value as somebody wrote it, and where."""

    name: str
    value: object
    origin: str
    base: Path
    """The directory that a relative path in the value starts from."""


class _Refused(ValueError):
    """What is wrong with a value. If `hidden`, the value may be a secret and must not be shown."""

    def __init__(self, why: str, remedy: str, *, hidden: bool = False) -> None:
        super().__init__(why)
        self.why, self.remedy, self.hidden = why, remedy, hidden


# ------------------------------------------------------------------------------------------------- kinds of values


def _given(info: ValidationInfo) -> _Given:
    given: _Given = info.context[Settings.model_fields[info.field_name or ""].alias]  # type: ignore[index]
    return given


def _whole_number(minimum: int, maximum: int) -> BeforeValidator:
    def read(value: object, info: ValidationInfo) -> int:
        if isinstance(value, str) and re.fullmatch(r"[+-]?[0-9]{1,9}", value):
            value = int(value)
        if isinstance(value, bool) or not isinstance(value, int) or not minimum <= value <= maximum:
            wanted = f"whole number from {minimum} to {maximum}"
            raise _Refused(f"not a {wanted}.", f"Set {_given(info).name} to a {wanted}.")
        return value

    return BeforeValidator(read)


def _one_of(kind: Any) -> Callable[[object, ValidationInfo], object]:
    """Reads one of the words of a Literal."""

    def read(value: object, info: ValidationInfo) -> object:
        allowed = get_args(kind)
        if value not in allowed:
            close = difflib.get_close_matches(str(value).lower(), allowed, n=1)
            hint = f" Did you mean {close[0]}?" if close else ""
            raise _Refused("not known.", f"{_given(info).name} is one of {', '.join(allowed)}.{hint}")
        return value

    return read


def _full_compare(value: object, info: ValidationInfo) -> int:
    known = {"always": 0, "0": 0, "daily": 24}
    text = str(value).strip().lower()
    if text in known:
        return known[text]
    if not re.fullmatch(r"[0-9]{1,3}", text) or not 1 <= int(text) <= 168:
        remedy = f"Set {_given(info).name} to daily, always or a number of hours from 1 to 168."
        raise _Refused("neither daily nor always nor a number of hours from 1 to 168.", remedy)
    return int(text)


def _text(value: object, info: ValidationInfo) -> str:
    if not isinstance(value, str) or not value.strip():
        raise _Refused("not a text.", f"Set {_given(info).name} to a text.")
    return value.strip()


def _api_version(value: object, info: ValidationInfo) -> object:
    if not isinstance(value, str) or not re.fullmatch(r"v[0-9]\.[0-9]", value):
        raise _Refused("not a Web API version.", f"Set {_given(info).name} to a version such as v9.2.")
    return value


def _flawless(text: str, *, strict: bool = True) -> str:
    found = flaw(text, strict=strict)
    if found:
        raise _Refused(f"{found}, which does not belong to it.", FLAW_REMEDY, hidden=True)
    return text


def _secret(value: object) -> Secret:
    return Secret(_flawless(str(value)))


def _password(value: object) -> Secret:
    """Accepts blanks and quotes around a password, which may be part of it. `Settings.doubts` mentions them."""
    return Secret(_flawless(str(value), strict=False))


def _token(value: object, info: ValidationInfo) -> Secret:
    token = _flawless(str(value).strip())
    if not re.fullmatch(r"[!-~]+", token):
        remedy = f"Set {_given(info).name} to the token alone, without the word Bearer."
        raise _Refused("holds blanks or letters that no token has.", remedy, hidden=True)
    return Secret(token)


def _identity(value: object, info: ValidationInfo) -> str:
    return _flawless(_text(value, info))


def _existing(value: object, info: ValidationInfo) -> Path:
    given = _given(info)
    path = given.base / Path(_text(value, info)).expanduser()
    if not path.exists():
        raise _Refused("there is no such file.", f"Set {given.name} to the path of an existing file.")
    return path


def _organization(value: object, info: ValidationInfo) -> str:
    return _address(organization_root, value, info)


def _authority(value: object, info: ValidationInfo) -> str:
    return _address(login_service, value, info)


def _webhook(value: object, info: ValidationInfo) -> Secret:
    return Secret(_address(webhook, _flawless(str(value).strip()), info))


def _address(read: Any, value: object, info: ValidationInfo) -> str:
    try:
        return str(read(_text(value, info), _given(info).name))
    except BadAddress as error:
        raise _Refused(error.why, error.remedy, hidden=error.secret) from None


# ------------------------------------------------------------------------------------------------------ the settings


def _setting(
    name: str, description: str, default: Any = None, *, secret: bool = False, validate_default: bool = False
) -> Any:
    return Field(
        default,
        alias=name,
        description=description,
        json_schema_extra={"secret": secret},
        validate_default=validate_default,
    )


class Settings(BaseModel):
    """All settings, checked. `origins` says where each came from: a flag, the environment, a file or the default."""

    model_config = ConfigDict(frozen=True, arbitrary_types_allowed=True, hide_input_in_errors=True)

    crm_url: Annotated[str, BeforeValidator(_organization)] = _setting(
        "CRM_URL",
        "Address of the CRM organisation, such as https://contoso.crm.dynamics.com. Plain http only to this machine.",
        "",
    )
    api_version: Annotated[str, BeforeValidator(_api_version)] = _setting(
        "CRM_API_VERSION", "Version of CRM's Web API.", "v9.2"
    )
    auth: Annotated[Auth, BeforeValidator(_one_of(Auth))] = _setting(
        "CRM_AUTH", f"How to sign in: {', '.join(get_args(Auth))}.", "client_secret"
    )
    tenant_id: Annotated[str, BeforeValidator(_identity)] | None = _setting(
        "CRM_TENANT_ID", "Tenant in Microsoft Entra ID, as an id or a domain."
    )
    client_id: Annotated[str, BeforeValidator(_identity)] | None = _setting(
        "CRM_CLIENT_ID", "Application (client) id of the loader's app registration."
    )
    client_secret: Annotated[Secret, BeforeValidator(_secret)] | None = _setting(
        "CRM_CLIENT_SECRET", "Secret of that application.", secret=True
    )
    certificate: Annotated[Path, BeforeValidator(_existing)] | None = _setting(
        "CRM_CERTIFICATE", "Path of the certificate with its private key (PEM or PFX)."
    )
    certificate_password: Annotated[Secret, BeforeValidator(_password)] | None = _setting(
        "CRM_CERTIFICATE_PASSWORD", "Password of that file.", secret=True
    )
    access_token: Annotated[Secret, BeforeValidator(_token)] | None = _setting(
        "CRM_ACCESS_TOKEN", "An access token that another tool obtained.", secret=True
    )
    user: Annotated[str, BeforeValidator(_identity)] | None = _setting(
        "CRM_USER", r"User of CRM on premises, as DOMAIN\user."
    )
    password: Annotated[Secret, BeforeValidator(_password)] | None = _setting(
        "CRM_PASSWORD", "Password of that user.", secret=True
    )
    authority: Annotated[str, BeforeValidator(_authority)] = _setting(
        "CRM_AUTHORITY",
        "Login service. National clouds and AD FS have others.",
        "https://login.microsoftonline.com",
    )
    ca_bundle: Annotated[Path, BeforeValidator(_existing)] | None = _setting(
        "CRM_CA_BUNDLE", "Path of the certificate authorities to trust for CRM, if the system does not know them."
    )
    concurrency: Annotated[int, _whole_number(1, 52)] = _setting(
        "CRM_CONCURRENCY", "How many requests are sent at once, 1 to 52.", 4
    )
    batch_size: Annotated[int, _whole_number(1, 1000)] = _setting(
        "CRM_BATCH_SIZE", "Operations per request, 1 to 1000. A record that needs more gets a request of its own.", 1000
    )
    timeout: Annotated[int, _whole_number(1, 3600)] = _setting(
        "CRM_TIMEOUT", "Seconds that a request may take, 1 to 3600.", 120
    )
    max_wait: Annotated[int, _whole_number(1, 3600)] = _setting(
        "CRM_MAX_WAIT", "Longest time in seconds that CRM may make the loader wait, 1 to 3600.", 300
    )
    retention_days: Annotated[int, _whole_number(1, 36500)] = _setting(
        "GP_CRM_RETENTION_DAYS", "Days for which the journal keeps finished runs and their events.", 90
    )
    notify_url: Annotated[Secret, BeforeValidator(_webhook)] | None = _setting(
        "GP_CRM_NOTIFY_URL",
        "Address of a webhook that is told after a run, such as an incoming webhook of Teams or Slack.",
        secret=True,
    )
    notify: Annotated[Notify, BeforeValidator(_one_of(Notify))] = _setting(
        "GP_CRM_NOTIFY",
        "When the webhook is told: news (something waits or failed for the first time, or is well again), always or"
        " never.",
        "news",
    )
    notify_format: Annotated[NotifyFormat, BeforeValidator(_one_of(NotifyFormat))] = _setting(
        "GP_CRM_NOTIFY_FORMAT",
        "What the webhook gets: teams (an Adaptive Card), slack, json (text and figures), or auto: what its address"
        " shows that it takes.",
        "auto",
    )
    full_compare: Annotated[int, BeforeValidator(_full_compare)] = _setting(
        "CRM_FULL_COMPARE",
        "Hours after which all records are compared with CRM's again, not only those that moved: 1 to 168, or daily;"
        " always, or 0, compares all of them in every run.",
        "daily",
        validate_default=True,
    )
    """Hours; 0 is always."""
    origins: Mapping[str, str] = {}

    @property
    def doubts(self) -> list[str]:
        """Values that may be right but are probably mistakes, to be mentioned before somebody is locked out."""
        passwords = (("CRM_CERTIFICATE_PASSWORD", self.certificate_password), ("CRM_PASSWORD", self.password))
        return [
            f"{name} ({self.origins[name]}) {found}, which is taken as part of it."
            for name, secret in passwords
            if secret and (found := flaw(secret.reveal()))
        ]


SETTINGS: Mapping[str, FieldInfo] = {field.alias: field for field in Settings.model_fields.values() if field.alias}
"""Each setting by its name in the environment."""


def is_secret(field: FieldInfo) -> bool:
    """Whether the setting is a secret, which may be in no file but .env and on no command line."""
    return isinstance(field.json_schema_extra, dict) and field.json_schema_extra["secret"] is True


def read_settings(
    project_dir: Path,
    environ: Mapping[str, str],
    flags: Mapping[str, object] | None = None,
    *,
    crm_needed: bool = True,
) -> Settings:
    """Reads and checks every setting. Raises UsageError naming the setting, its value, its origin and what is allowed.

    `flags` maps a setting's name to the value given on the command line; None counts as not given. Commands that
    never contact CRM pass `crm_needed=False`: then CRM_URL and credentials may be missing, but not wrong.
    """
    file = _read_file(project_dir)
    given = {each.name: each for name in SETTINGS if (each := _first(name, project_dir, environ, flags or {}, file))}
    origins = {name: given[name].origin if name in given else "default" for name in SETTINGS}
    try:
        settings = Settings.model_validate(
            {**{name: each.value for name, each in given.items()}, "origins": origins}, context=given
        )
    except ValidationError as error:
        _refuse(error, given)
    if crm_needed:
        _require_credentials(settings)
        _refuse_plain_login(settings)
    return settings


def _first(
    name: str, project_dir: Path, environ: Mapping[str, str], flags: Mapping[str, object], file: Mapping[str, object]
) -> _Given | None:
    """The value with the highest precedence."""
    if flags.get(name) is not None:
        return _Given(name, flags[name], "flag", Path.cwd())
    text = environ.get(name, "")
    if text.strip():
        origin = environ.origin(name) if isinstance(environ, Environ) else "environment"
        base = Path.cwd() if origin == "environment" else project_dir
        return _Given(name, text if is_secret(SETTINGS[name]) else text.strip(), origin, base)
    if name.lower() in file:
        return _Given(name, file[name.lower()], str(project_dir / FILE_NAME), project_dir)
    return None


def _refuse(error: ValidationError, given: Mapping[str, _Given]) -> NoReturn:
    first = error.errors()[0]
    each, refused = given[str(first["loc"][0])], first["ctx"]["error"]
    if refused.hidden:
        raise UsageError(f"{each.name} ({each.origin}) {refused.why}", refused.remedy) from None
    raise UsageError(f"{each.name} is {each.value!r} ({each.origin}): {refused.why}", refused.remedy) from None


# ---------------------------------------------------------------------------------------------------- loader.toml


def _read_file(project_dir: Path) -> Mapping[str, object]:
    path = project_dir / FILE_NAME
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{path} cannot be read: {error}", "Make it a readable UTF-8 file.") from None
    content = _parse_toml(text, path)
    known = {name.lower(): name for name in SETTINGS}
    for key in content:
        if key not in known:
            raise UsageError(f"{path}: unknown setting {key!r}.", _suggestion(key, known))
        if is_secret(SETTINGS[known[key]]):
            raise UsageError(
                f"{path}: {key} is a secret and is not read from a file.",
                f"Remove it there and set {known[key]} in the environment or in .env.",
            )
    return content


def _parse_toml(text: str, path: Path) -> Mapping[str, object]:
    toml: Any = importlib.import_module("tomllib" if sys.version_info >= (3, 11) else "tomli")
    try:
        content: Mapping[str, object] = toml.loads(text)
    except toml.TOMLDecodeError as error:
        raise UsageError(f"{path} is not valid TOML: {error}", 'Write settings as `crm_url = "…"`.') from None
    return content


def _suggestion(key: str, known: Iterable[str]) -> str:
    names = sorted(known)
    close = difflib.get_close_matches(key.lower(), [*names, *(n.removeprefix("crm_") for n in names)], n=1)
    if not close:
        return f"Settings are {', '.join(names)}."
    best = close[0] if close[0] in names else f"crm_{close[0]}"
    return f"Did you mean {best}?"


# ---------------------------------------------------------------------------------------------------- credentials


def _require_credentials(settings: Settings) -> None:
    if not settings.crm_url:
        raise UsageError(
            "CRM_URL is not set.",
            "Set CRM_URL to the organisation's address, such as https://contoso.crm.dynamics.com.",
        )
    missing = [name for name in REQUIRED[settings.auth] if settings.origins[name] == "default"]
    if missing:
        origin = settings.origins["CRM_AUTH"]
        raise UsageError(
            f"CRM_AUTH is {settings.auth!r} ({origin}) and needs {_and(missing)}, not set.",
            f"Set {_and(missing)}, or CRM_AUTH to another of {', '.join(REQUIRED)}.",
        )


def _refuse_plain_login(settings: Settings) -> None:
    """MSAL signs in only over https, even on this machine."""
    if settings.auth in ("client_secret", "certificate", "device_code") and settings.authority.startswith("http:"):
        raise UsageError(
            f"CRM_AUTHORITY is {settings.authority!r} ({settings.origins['CRM_AUTHORITY']}): "
            "plain http would send the credentials unencrypted.",
            "Use https, or CRM_AUTH=token where there is none.",
        )


def _and(names: list[str]) -> str:
    return " and ".join(filter(None, [", ".join(names[:-1]), names[-1]]))
