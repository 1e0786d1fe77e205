"""Web addresses to which credentials may be sent: what is accepted, and its shortest form. Pure."""

from __future__ import annotations

import ipaddress
import re
from urllib.parse import SplitResult, quote, urlsplit

LOOPBACK = ("localhost", "127.0.0.0/8", "::1")
_PAGES = ("apps", "main", "tools", "uclient", "webresources", "_static", "_forms", "api", "home")


class BadAddress(Exception):
    """An address that is refused. Where the address may hold a password, `secret` is set: it must not be repeated."""

    def __init__(self, why: str, remedy: str, *, secret: bool = False) -> None:
        super().__init__(why)
        self.why, self.remedy, self.secret = why, remedy, secret


def is_loopback(host: str) -> bool:
    """Whether the host is this machine by its very name or number; no name is looked up."""
    if host.lower() == "localhost":
        return True
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    if isinstance(address, ipaddress.IPv6Address):
        return address == ipaddress.IPv6Address("::1")
    return address in ipaddress.ip_network("127.0.0.0/8")


def login_service(text: str, name: str) -> str:
    """The address of a login service without a trailing slash. Raises BadAddress."""
    parts = _checked(text, f"Set {name} to an address such as https://login.microsoftonline.com.")
    root = f"{parts.scheme}://{parts.netloc}{parts.path.rstrip('/')}"
    if parts.query or parts.fragment:
        raise BadAddress("a login service's address has no query.", f"Set {name} to {root}.")
    return root


def organization_root(text: str, name: str) -> str:
    """The root of an organisation: people paste the Web API's address, too, and what the browser shows.

    On premises an organisation is the first part of the path, if its host has several. Raises BadAddress for the
    address of a page.
    """
    parts = _checked(text, f"Set {name} to an address such as https://contoso.crm.dynamics.com.")
    root = f"{parts.scheme}://{parts.netloc}"
    path = re.sub(r"/api/data(/v[0-9.]+)?/?$", "", parts.path).strip("/")
    first, *rest = path.split("/")
    is_online = re.search(r"\.(dynamics\.(com|cn)|appsplatform\.us|microsoftdynamics\.us)$", parts.hostname or "", re.I)
    if not is_online and re.fullmatch(r"[\w-]+", first) and first.lower() not in _PAGES:
        root = f"{root}/{first}"
    elif first:
        rest = [path]
    if rest or parts.query or parts.fragment:
        raise BadAddress("the address of a page, not of the organisation.", f"Set {name} to {root}.")
    return root


def webhook(text: str, name: str) -> str:
    """The address of a webhook as it is: its path and its query are its key. Raises BadAddress without repeating it."""
    try:
        _checked(text, f"Set {name} to the address that Teams, Slack or another service gave you.")
    except BadAddress as error:
        raise BadAddress(error.why, error.remedy, secret=True) from None
    return text


def record_link(crm_url: str, table: str, crm_id: str | None) -> str | None:
    """The address of a record's form in CRM. None without an id, or without an organisation's address."""
    if not crm_id or not re.match(r"https?://[^/]", crm_url):
        return None
    root = crm_url.rstrip("/")
    return f"{root}/main.aspx?pagetype=entityrecord&etn={quote(table, safe='')}&id={quote(crm_id, safe='')}"


def _checked(text: str, remedy: str) -> SplitResult:
    try:
        parts = urlsplit(text)
        host, _ = parts.hostname, parts.port
    except ValueError:
        raise BadAddress("not a URL.", remedy) from None
    if parts.username is not None or parts.password is not None:
        raise BadAddress(
            "holds a user name or password.",
            "Leave credentials out of the URL; CRM_AUTH says which settings hold them.",
            secret=True,
        )
    if parts.scheme not in ("https", "http") or not host:
        raise BadAddress("not an https URL.", remedy)
    if parts.scheme == "http" and not is_loopback(host):
        raise BadAddress(
            "plain http would send the credentials unencrypted.",
            f"Use https. Plain http is allowed to this machine only ({', '.join(LOOPBACK)}).",
        )
    return parts
