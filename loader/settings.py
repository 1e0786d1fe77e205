"""Where CRM is and how to talk to it: flags > environment > loader.toml > defaults, checked before anything is opened.

A setting has one name everywhere: `CRM_BATCH_SIZE` in the environment is `crm_batch_size` in loader.toml.
"""

from __future__ import annotations

import difflib
import importlib
import ipaddress
import re
import sys
import unicodedata
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn
from urllib.parse import SplitResult, urlsplit

from loader.errors import UsageError
from loader.secrets import Secret

FILE_NAME = "loader.toml"


@dataclass(frozen=True)
class Settings:
    """All settings, checked. `origins` says where each came from: a flag, the environment, loader.toml, the default."""

    crm_url: str
    api_version: str
    auth: str
    concurrency: int
    batch_size: int
    timeout: int
    max_wait: int
    retention_days: int
    authority: str
    tenant_id: str | None = None
    client_id: str | None = None
    client_secret: Secret | None = None
    certificate: Path | None = None
    certificate_password: Secret | None = None
    access_token: Secret | None = None
    user: str | None = None
    password: Secret | None = None
    ca_bundle: Path | None = None
    origins: Mapping[str, str] = field(default_factory=dict)

    @property
    def doubts(self) -> list[str]:
        """What may be right, and more often is a slip: to be told before anybody is locked out."""
        return [
            f"{setting.name} ({self.origins[setting.name]}) {found}, which is taken as part of it."
            for setting in _SETTINGS
            if setting.read is _password
            and (secret := getattr(self, setting.field))
            and (found := flaw(secret.reveal()))
        ]


@dataclass(frozen=True)
class _Given:
    """A value as someone wrote it, and where."""

    name: str
    value: object
    origin: str
    base: Path

    def refuse(self, why: str, remedy: str) -> NoReturn:
        raise UsageError(f"{self.name} is {self.value!r} ({self.origin}): {why}", remedy)


@dataclass(frozen=True)
class _Setting:
    name: str
    field: str
    read: Callable[[_Given], object]
    default: object = None
    secret: bool = False


def read_settings(
    project_dir: Path,
    environ: Mapping[str, str],
    flags: Mapping[str, object] | None = None,
    *,
    crm_needed: bool = True,
) -> Settings:
    """Reads and checks every setting. Raises UsageError naming the setting, its value, its origin and what is allowed.

    `flags` maps a setting's name to the value given on the command line; None counts as not given. Commands that
    never speak to CRM pass `crm_needed=False`: then CRM_URL and credentials may be absent, but not wrong.
    """
    file = _read_file(project_dir)
    values: dict[str, Any] = {}
    origins: dict[str, str] = {}
    for setting in _SETTINGS:
        given = _given(setting, project_dir, environ, flags or {}, file)
        values[setting.field] = setting.default if given is None else setting.read(given)
        origins[setting.name] = "default" if given is None else given.origin
    settings = Settings(**{**values, "crm_url": values["crm_url"] or "", "origins": origins})
    if crm_needed:
        _require_credentials(settings)
        _refuse_plain_login(settings)
    return settings


def _given(
    setting: _Setting,
    project_dir: Path,
    environ: Mapping[str, str],
    flags: Mapping[str, object],
    file: Mapping[str, object],
) -> _Given | None:
    if flags.get(setting.name) is not None:
        return _Given(setting.name, flags[setting.name], "flag", Path.cwd())
    text = environ.get(setting.name, "")
    if text.strip():
        return _Given(setting.name, text if setting.secret else text.strip(), "environment", Path.cwd())
    if setting.name.lower() in file:
        return _Given(setting.name, file[setting.name.lower()], str(project_dir / FILE_NAME), project_dir)
    return None


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
    known = {setting.name.lower(): setting for setting in _SETTINGS}
    for key in content:
        if key not in known:
            raise UsageError(f"{path}: unknown setting {key!r}.", _suggestion(key, known))
        if known[key].secret:
            raise UsageError(
                f"{path}: {key} is a secret and is not read from a file.",
                f"Remove it there and set {known[key].name} in the environment.",
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


# --------------------------------------------------------------------------------------------------------- values


def _integer(minimum: int, maximum: int) -> Callable[[_Given], int]:
    def read(given: _Given) -> int:
        number = given.value
        if isinstance(number, str) and re.fullmatch(r"[+-]?[0-9]{1,9}", number):
            number = int(number)
        if isinstance(number, bool) or not isinstance(number, int) or not minimum <= number <= maximum:
            given.refuse(
                f"not a whole number from {minimum} to {maximum}.",
                f"Set {given.name} to a whole number from {minimum} to {maximum}.",
            )
        return number

    return read


def _one_of(*allowed: str) -> Callable[[_Given], str]:
    def read(given: _Given) -> str:
        if given.value not in allowed:
            close = difflib.get_close_matches(str(given.value).lower(), allowed, n=1)
            hint = f" Did you mean {close[0]}?" if close else ""
            given.refuse("not known.", f"{given.name} is one of {', '.join(allowed)}.{hint}")
        return str(given.value)

    return read


def _text(given: _Given) -> str:
    if not isinstance(given.value, str) or not given.value.strip():
        given.refuse("not a text.", f"Set {given.name} to a text.")
    return given.value.strip()


def _api_version(given: _Given) -> str:
    if not isinstance(given.value, str) or not re.fullmatch(r"v[0-9]\.[0-9]", given.value):
        given.refuse("not a Web API version.", f"Set {given.name} to a version such as v9.2.")
    return given.value


_QUOTES = "\"'`´‘’“”„«»"


def flaw(text: str, *, strict: bool = True) -> str | None:
    """What does not belong to a value that was copied or read from a file, in words; None where nothing is odd.

    `strict` minds surrounding blanks and quotes, too, which a password may have.
    """
    if "\n" in text or "\r" in text:
        return f"{_place(text, chr(10) + chr(13))} a line break"
    for character in text:
        if unicodedata.category(character) in ("Cc", "Cf", "Zl", "Zp", "Cs"):
            return f"{_place(text, character)} an invisible character (U+{ord(character):04X})"
    if strict and text != text.strip():
        return ("begins with" if text[0].isspace() else "ends with") + " a blank"
    if strict and text and (text[0] in _QUOTES or text[-1] in _QUOTES):
        quote = text[0] if text[0] in _QUOTES else text[-1]
        return f"{_place(text, quote)} the quote {quote}"
    return None


def _place(text: str, characters: str) -> str:
    return "begins with" if text[0] in characters else "ends with" if text[-1] in characters else "holds"


def _refuse_flaw(given: _Given, text: str, *, strict: bool = True) -> None:
    found = flaw(text, strict=strict)
    if found:
        raise UsageError(f"{given.name} ({given.origin}) {found}, which does not belong to it.", _FLAW_REMEDY)


_FLAW_REMEDY = (
    "Set it to the value alone. A file is written without a line break by `printf %s`, not by `echo`; quotes belong to "
    "the shell, not into an env file that is taken as it is."
)


def _secret(given: _Given) -> Secret:
    _refuse_flaw(given, str(given.value))
    return Secret(str(given.value))


def _password(given: _Given) -> Secret:
    """Blanks and quotes around a password may be part of it: `Settings.doubts` has them."""
    _refuse_flaw(given, str(given.value), strict=False)
    return Secret(str(given.value))


def _identity(given: _Given) -> str:
    text = _text(given)
    _refuse_flaw(given, text)
    return text


def _token(given: _Given) -> Secret:
    token = str(given.value).strip()
    _refuse_flaw(given, token)
    if not re.fullmatch(r"[!-~]+", token):
        raise UsageError(
            f"{given.name} ({given.origin}) holds blanks or letters that no token has.",
            f"Set {given.name} to the token alone, without the word Bearer.",
        )
    return Secret(token)


def _existing(given: _Given) -> Path:
    path = given.base / Path(_text(given)).expanduser()
    if not path.exists():
        given.refuse("there is no such file.", f"Set {given.name} to the path of an existing file.")
    return path


def _address(given: _Given, remedy: str) -> SplitResult:
    """A URL to which credentials may be sent."""
    try:
        parts = urlsplit(_text(given))
        host, _ = parts.hostname, parts.port
    except ValueError:
        given.refuse("not a URL.", remedy)
    if parts.username is not None or parts.password is not None:
        # The value may hold a password: it is not repeated.
        raise UsageError(
            f"{given.name} ({given.origin}) holds a user name or password.",
            "Leave credentials out of the URL; CRM_AUTH says which settings hold them.",
        )
    if parts.scheme not in ("https", "http") or not host:
        given.refuse("not an https URL.", remedy)
    if parts.scheme == "http" and not is_loopback(host):
        given.refuse(
            "plain http would send the credentials readable.",
            f"Use https. Plain http is allowed to this machine only ({', '.join(_LOOPBACK)}).",
        )
    return parts


def _authority(given: _Given) -> str:
    parts = _address(given, f"Set {given.name} to an address such as https://login.microsoftonline.com.")
    root = f"{parts.scheme}://{parts.netloc}{parts.path.rstrip('/')}"
    if parts.query or parts.fragment:
        given.refuse("a login service's address has no query.", f"Set {given.name} to {root}.")
    return root


def _organisation(given: _Given) -> str:
    """The organisation's root: people paste the Web API's address, too, and what the browser shows.

    On premises an organisation is the first part of the path, if its host has several.
    """
    parts = _address(given, f"Set {given.name} to an address such as https://contoso.crm.dynamics.com.")
    root = f"{parts.scheme}://{parts.netloc}"
    path = re.sub(r"/api/data(/v[0-9.]+)?/?$", "", parts.path).strip("/")
    first, *rest = path.split("/")
    is_online = re.search(r"\.(dynamics\.(com|cn)|appsplatform\.us|microsoftdynamics\.us)$", parts.hostname or "", re.I)
    if not is_online and re.fullmatch(r"[\w-]+", first) and first.lower() not in _PAGES:
        root = f"{root}/{first}"
    elif first:
        rest = [path]
    if rest or parts.query or parts.fragment:
        given.refuse("the address of a page, not of the organisation.", f"Set {given.name} to {root}.")
    return root


_PAGES = ("apps", "main", "tools", "uclient", "webresources", "_static", "_forms", "api", "home")


_LOOPBACK = ("localhost", "127.0.0.0/8", "::1")


def is_loopback(host: str) -> bool:
    if host.lower() == "localhost":
        return True
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    if isinstance(address, ipaddress.IPv6Address):
        return address == ipaddress.IPv6Address("::1")
    return address in ipaddress.ip_network("127.0.0.0/8")


# ------------------------------------------------------------------------------------------------ names, credentials

_SETTINGS = (
    _Setting("CRM_URL", "crm_url", _organisation),
    _Setting("CRM_API_VERSION", "api_version", _api_version, "v9.2"),
    _Setting(
        "CRM_AUTH",
        "auth",
        _one_of("client_secret", "certificate", "device_code", "token", "ntlm"),
        "client_secret",
    ),
    _Setting("CRM_TENANT_ID", "tenant_id", _identity),
    _Setting("CRM_CLIENT_ID", "client_id", _identity),
    _Setting("CRM_CLIENT_SECRET", "client_secret", _secret, secret=True),
    _Setting("CRM_CERTIFICATE", "certificate", _existing),
    _Setting("CRM_CERTIFICATE_PASSWORD", "certificate_password", _password, secret=True),
    _Setting("CRM_ACCESS_TOKEN", "access_token", _token, secret=True),
    _Setting("CRM_USER", "user", _identity),
    _Setting("CRM_PASSWORD", "password", _password, secret=True),
    _Setting("CRM_AUTHORITY", "authority", _authority, "https://login.microsoftonline.com"),
    _Setting("CRM_CA_BUNDLE", "ca_bundle", _existing),
    _Setting("CRM_CONCURRENCY", "concurrency", _integer(1, 52), 4),
    _Setting("CRM_BATCH_SIZE", "batch_size", _integer(1, 1000), 1000),
    _Setting("CRM_TIMEOUT", "timeout", _integer(1, 3600), 120),
    _Setting("CRM_MAX_WAIT", "max_wait", _integer(1, 3600), 300),
    _Setting("GP_CRM_RETENTION_DAYS", "retention_days", _integer(1, 36500), 90),
)

_REQUIRED = {
    "client_secret": ("tenant_id", "client_id", "client_secret"),
    "certificate": ("tenant_id", "client_id", "certificate"),
    "device_code": ("tenant_id", "client_id"),
    "token": ("access_token",),
    "ntlm": ("user", "password"),
}


def _require_credentials(settings: Settings) -> None:
    if not settings.crm_url:
        raise UsageError(
            "CRM_URL is not set.",
            "Set CRM_URL to the organisation's address, such as https://contoso.crm.dynamics.com.",
        )
    names = {setting.field: setting.name for setting in _SETTINGS}
    missing = [names[field] for field in _REQUIRED[settings.auth] if not getattr(settings, field)]
    if missing:
        origin = settings.origins["CRM_AUTH"]
        raise UsageError(
            f"CRM_AUTH is {settings.auth!r} ({origin}) and needs {_and(missing)}, not set.",
            f"Set {_and(missing)}, or CRM_AUTH to another of {', '.join(_REQUIRED)}.",
        )


def _refuse_plain_login(settings: Settings) -> None:
    """MSAL signs in over https alone, also on this machine."""
    if settings.auth in ("client_secret", "certificate", "device_code") and settings.authority.startswith("http:"):
        raise UsageError(
            f"CRM_AUTHORITY is {settings.authority!r} ({settings.origins['CRM_AUTHORITY']}): "
            "plain http would send the credentials readable.",
            "Use https, or CRM_AUTH=token where there is none.",
        )


def _and(names: list[str]) -> str:
    return " and ".join(filter(None, [", ".join(names[:-1]), names[-1]]))
