"""One HTTP request to the Web API, and what its failure means: try again, refused, or the reply was lost."""

from __future__ import annotations

import datetime as dt
import json
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Any, NoReturn, Protocol
from urllib.parse import urlsplit, urlunsplit

import requests

from loader.dataverse import batch, replies
from loader.dataverse.errors import CrmError, parse_error
from loader.dataverse.http import LARGEST_REPLY, ReplyTooLarge, Session
from loader.dataverse.pace import Pace, Patience, backoff
from loader.dataverse.replies import Row, UnexpectedReply
from loader.errors import AccessRefused, CrmUnavailable, LoaderError
from loader.secrets import redact

_HEADERS = {
    "Accept": "application/json",
    "OData-Version": "4.0",
    "OData-MaxVersion": "4.0",
    "If-None-Match": "null",
    "Prefer": 'odata.include-annotations="Microsoft.Dynamics.CRM.lookuplogicalname"',
    "User-Agent": "gp-to-crm",
}
ATTEMPTS = 9
FIRST_CONTACT = 4
"""Attempts to reach a server that has never answered: its address is more likely wrong than the service down."""
_LONGEST_URL = 30_000
"""Characters. CRM accepts 32,768 in a URL and twice that inside a batch (docs/dataverse.md, "Limits")."""
_DAMAGED = 3
"""How many times a read is sent whose answer arrives damaged."""
_CONTINUE = {"Prefer": "odata.continue-on-error"}
_NOT_CRM = (
    "Check that CRM_URL is the organisation's own address, and what is between this machine and CRM:"
    " a proxy, a firewall, a login page."
)
CERTIFICATE_REMEDY = "Set CRM_CA_BUNDLE to the file with your own certificate authority."


class Auth(Protocol):
    """Signs requests."""

    def ready(self, patience: Patience) -> None:
        """Obtains valid credentials before a request. Raises CrmUnavailable, AccessRefused, Interrupted."""

    def sign(self, session: requests.Session) -> requests.auth.AuthBase: ...
    def renew(self, refused: str) -> bool:
        """Called after a 401. `refused`: the Authorization header that was not accepted.

        Returns whether it was the one in use. If so, the next attempt is the first one with new credentials.
        """


@dataclass(frozen=True)
class _Part:
    """The outcome of one read of a batch. One without an answer is sent again, after `retry_after` seconds."""

    answer: Row | CrmError | None = None
    failure: str = "the reply is incomplete"
    is_passing: bool = False
    retry_after: float | None = None


class LostReply(Exception):
    """A write was sent but its answer did not arrive: it may or may not have been applied.

    `retry_after`: the seconds that CRM asked to wait, if it did.
    """

    def __init__(self, message: str, retry_after: float | None = None) -> None:
        super().__init__(redact(message))
        self.retry_after = retry_after


class RequestFailed(LoaderError):
    """CRM answered a read, or a whole request, with an error."""

    code = "crm_refused_request"
    remedy = "Do what CRM's message says; `loader check` shows whether models and CRM fit."

    def __init__(self, error: CrmError) -> None:
        super().__init__(str(error))
        self.error = error
        if error.is_foreign:
            self.code, self.exit_code, self.remedy = CrmUnavailable.code, CrmUnavailable.exit_code, _NOT_CRM


class Client:
    """Sends requests to one organisation. Threads may share it.

    Reads are repeated after any temporary failure. A write is repeated only if CRM certainly did not apply it (429,
    401, no connection); otherwise LostReply says that this is unknown.
    """

    def __init__(
        self,
        url: str,
        auth: Auth,
        *,
        api_version: str = "v9.2",
        timeout: float = 120,
        concurrency: int = 4,
        ca_bundle: str | None = None,
        largest_reply: int = LARGEST_REPLY,
        attempts: int = ATTEMPTS,
        patience: Patience | None = None,
    ) -> None:
        self.root = f"{url.rstrip('/')}/api/data/{api_version}/"
        self.pace = Pace(concurrency)
        self.reads = 0
        self.writes = 0
        self._date = ""
        self.before_write: Callable[[], None] = lambda: None
        """Called right before each attempt to send a write request. An exception stops the write."""
        self._auth = auth
        self._timeout = timeout
        self._largest_reply = largest_reply
        self._attempts = attempts
        self._was_met = False
        self._verify = ca_bundle
        self.patience = patience or Patience()
        self._local = threading.local()
        self._count = threading.Lock()

    @property
    def server_time(self) -> dt.datetime | None:
        """CRM's clock according to its last answer: UTC, naive. None if no answer had a date."""
        try:
            told = parsedate_to_datetime(self._date)
            return told.astimezone(dt.timezone.utc).replace(tzinfo=None)
        except (TypeError, ValueError, IndexError, OverflowError):
            return None

    def get(self, path: str, headers: Mapping[str, str] | None = None) -> Row:
        """The JSON object of one read. Raises RequestFailed, CrmUnavailable, AccessRefused."""
        url, attempt = self._url(path), 0
        while True:
            response = self._send("GET", url, None, headers or {}, is_read=True)
            try:
                return replies.parsed(response.content)
            except UnexpectedReply as error:
                if "json" not in response.headers.get("Content-Type", "").lower():
                    sender = response.headers.get("Server")
                    raise _not_crm(f"{error.message.rstrip('.')}{f', from {sender}' if sender else ''}") from None
                attempt += 1
                if attempt == _DAMAGED:
                    raise
            self.patience.wait(backoff(attempt))

    def pages(self, path: str) -> Iterator[list[Row]]:
        """The rows of a collection, page by page. Each nextLink is followed exactly as CRM wrote it."""
        (page,) = self.query([batch.Query(path)])
        yield from self.pages_from(page)

    def pages_from(self, page: Row) -> Iterator[list[Row]]:
        """The rows of a page that was read, and of the pages that follow it."""
        return map(replies.rows, self.following(page))

    def following(self, page: Row, headers: Mapping[str, str] | None = None) -> Iterator[Row]:
        """A page that was read, and the pages that follow it. Raises UnexpectedReply where they lead in a circle."""
        yield page
        followed = set()
        while next_link := replies.optional_text(page, "@odata.nextLink"):
            if next_link in followed:
                raise UnexpectedReply(
                    f"CRM's links to the next page form a circle: {replies.first_words(next_link.encode())}."
                )
            followed.add(next_link)
            page = self.get(next_link, headers)
            yield page

    def query(self, queries: Sequence[batch.Query]) -> list[Row]:
        """The JSON of several reads in one request. If one of them fails, raises RequestFailed."""
        answers: list[Row] = []
        for answer in self.ask(queries):
            if isinstance(answer, CrmError):
                raise RequestFailed(answer)
            answers.append(answer)
        return answers

    def ask(self, queries: Sequence[batch.Query]) -> list[Row | CrmError]:
        """The JSON of several reads in one request, or CRM's error in place of a read that it refused."""
        if len(queries) == 1 and len(self._url(queries[0].path)) < _LONGEST_URL:
            try:
                return [self.get(queries[0].path, queries[0].headers)]
            except RequestFailed as refused:
                if not refused.error.is_too_large:
                    return [refused.error]
        answers: list[Row | CrmError] = []
        for start in range(0, len(queries), 100):
            answers += self._ask(queries[start : start + 100])
        return answers

    def _ask(self, queries: Sequence[batch.Query]) -> list[Row | CrmError]:
        answers: dict[int, Row | CrmError] = {}
        trouble, damaged = _Part(), 0
        for attempt in range(self._attempts):
            asked = [number for number in range(len(queries)) if number not in answers]
            content_type, body = batch.encode([queries[number] for number in asked], self.root)
            headers = {"Content-Type": content_type, **_CONTINUE}
            try:
                response = self._send("POST", self.root + "$batch", body, headers, is_read=True)
            except RequestFailed as refused:
                if len(queries) == 1:
                    if refused.error.is_foreign:
                        raise
                    return [refused.error]
                half = len(queries) // 2
                return self._ask(queries[:half]) + self._ask(queries[half:])
            parts = _parts(response)
            answers |= {
                number: part.answer for number, part in zip(asked, parts, strict=False) if part.answer is not None
            }
            if len(answers) == len(queries):
                return [answers[number] for number in range(len(queries))]
            trouble = next((part for part in parts if part.answer is None), _Part())
            if not trouble.is_passing:
                damaged += 1
            if damaged == _DAMAGED:
                raise UnexpectedReply(f"CRM at {self.root} did not answer the request: {trouble.failure}.")
            self.patience.wait(trouble.retry_after or backoff(attempt))
        raise self._out_of_reach(trouble.failure)

    def apply(self, change_sets: Sequence[batch.ChangeSet]) -> list[batch.Reply | list[batch.Reply]]:
        """Sends change sets in one request. Each is applied as a whole or not at all, independently of the others.

        If there are fewer answers than change sets, the rest was not run. Raises LostReply.
        """
        content_type, body = batch.encode(change_sets, self.root)
        headers = {"Content-Type": content_type, **_CONTINUE}
        response = self._send("POST", self.root + "$batch", body, headers, is_read=False)
        try:
            return batch.decode(response.headers.get("Content-Type", ""), response.content)
        except batch.MalformedReply as error:
            raise LostReply(str(error)) from error

    def patch(self, path: str, body: Mapping[str, Any]) -> None:
        """One update outside any change set (organisation settings), sent again if its answer is lost.

        Raises RequestFailed, CrmUnavailable, AccessRefused.
        """
        data = json.dumps(body).encode()
        headers = {"Content-Type": "application/json", "If-Match": "*"}
        failure = ""
        for attempt in range(self._attempts):
            try:
                self._send("PATCH", self._url(path), data, headers, is_read=False)
                return
            except LostReply as lost:
                failure = str(lost)
                self.patience.wait(lost.retry_after or backoff(attempt))
        raise self._out_of_reach(failure)

    def _url(self, path: str) -> str:
        """Follows CRM's links only on CRM_URL's host, so that no other host gets the credentials."""
        if not path.startswith(("http://", "https://")):
            return self.root + path
        try:
            own, link = urlsplit(self.root), urlsplit(path)
        except ValueError:
            raise UnexpectedReply(f"CRM's reply links to {replies.first_words(path.encode())!r}.") from None
        return urlunsplit((own.scheme, own.netloc, link.path, link.query, ""))

    def _send(
        self, method: str, url: str, body: bytes | None, headers: Mapping[str, str], *, is_read: bool
    ) -> requests.Response:
        failure, renewed = "no answer", False
        for attempt in range(self._attempts):
            self.patience.raise_if_stopped()
            self._auth.ready(self.patience)
            try:
                with self.pace.slot():
                    if not is_read:
                        self.before_write()
                    self._tally(is_read)
                    response = self._session().request(
                        method,
                        url,
                        data=body,
                        headers=dict(headers),
                        verify=self._verify,
                    )
            except requests.exceptions.SSLError as error:
                raise CrmUnavailable(
                    f"CRM's certificate was not accepted: {root_cause(error)}", CERTIFICATE_REMEDY
                ) from error
            except ReplyTooLarge as error:
                if not is_read:
                    raise LostReply(str(error)) from error
                raise CrmUnavailable(
                    f"CRM at {self.root} was not read: {error}.",
                    "Check CRM_URL and what is between this machine and CRM: CRM never sends an answer this large.",
                ) from error
            except requests.RequestException as error:
                failure = redact(root_cause(error))
                if not (is_read or never_sent(error)):
                    raise LostReply(failure) from error
                if not self._was_met and never_sent(error) and attempt + 1 >= FIRST_CONTACT:
                    break
                self.patience.wait(backoff(attempt))
                continue

            self._was_met = True
            self._date = response.headers.get("Date", "")
            self.pace.advised(response.headers.get("x-ms-dop-hint"))
            if 300 <= response.status_code < 400:
                raise _not_crm(f"CRM at {self.root} redirects elsewhere ({response.status_code})")
            if response.status_code < 400 or _is_multipart(response):
                self.pace.succeeded()
                return response
            refusal = parse_error(response.status_code, response.content, dict(response.headers))
            failure = str(refusal)
            if refusal.status == 401 and not renewed:
                renewed = self._auth.renew(str(response.request.headers.get("Authorization", "")))
            elif refusal.is_throttled:
                self.pace.throttled()
                self.patience.wait(refusal.retry_after or backoff(attempt))
            elif refusal.is_passing or (refusal.status >= 500 and not is_read):
                if not is_read:
                    raise LostReply(failure, refusal.retry_after)
                self.patience.wait(refusal.retry_after or backoff(attempt))
            else:
                _raise(refusal)
        raise self._out_of_reach(failure)

    def _out_of_reach(self, failure: str) -> CrmUnavailable:
        return CrmUnavailable(
            f"CRM at {self.root} did not answer after several attempts: {failure}",
            "Check CRM_URL and the service's health, and run again later.",
        )

    def _session(self) -> requests.Session:
        session: requests.Session | None = getattr(self._local, "session", None)
        if session is None:
            session = Session(self._timeout, self._largest_reply)
            session.headers.update(_HEADERS)
            session.auth = self._auth.sign(session)
            self._local.session = session
        return session

    def _tally(self, is_read: bool) -> None:
        with self._count:
            if is_read:
                self.reads += 1
            else:
                self.writes += 1


def _raise(error: CrmError) -> NoReturn:
    if error.is_foreign and error.status != 401 and not error.is_too_large:
        raise _not_crm(f"What answered is not CRM: {error}")
    if error.is_refused:
        raise AccessRefused(f"CRM refused access: {error}", _refused_remedy(error))
    raise RequestFailed(error)


def _not_crm(message: str) -> CrmUnavailable:
    return CrmUnavailable(message + ".", _NOT_CRM)


def _parts(response: requests.Response) -> list[_Part]:
    """The outcome of each read of a batch. Raises AccessRefused."""
    try:
        decoded = batch.decode(response.headers.get("Content-Type", ""), response.content)
    except batch.MalformedReply as error:
        return [_Part(failure=str(error))]
    return [_part(reply) for reply in decoded]


def _part(reply: batch.Reply | list[batch.Reply]) -> _Part:
    if isinstance(reply, list):
        return _Part(failure="the reply has a change set in place of a read")
    error = reply.error
    if error is None:
        try:
            return _Part(replies.parsed(reply.body))
        except UnexpectedReply as unexpected:
            return _Part(failure=unexpected.message.rstrip("."))
    if error.is_refused:
        _raise(error)
    if error.is_passing or error.is_foreign:
        return _Part(failure=str(error), is_passing=error.is_passing, retry_after=error.retry_after)
    return _Part(error)


def _is_multipart(response: requests.Response) -> bool:
    """Whether a reply with status 400 contains the parts of a `$batch`, each with a status of its own."""
    return response.headers.get("Content-Type", "").lower().startswith("multipart/mixed")


def never_sent(error: requests.RequestException) -> bool:
    if isinstance(error, requests.ConnectTimeout):
        return True
    return "NewConnectionError" in repr(error) or "NameResolutionError" in repr(error)


def root_cause(error: BaseException) -> str:
    while error.__context__ is not None:
        error = error.__context__
    return f"{type(error).__name__}: {error}"


def _refused_remedy(error: CrmError) -> str:
    if error.status == 401:
        return "Check CRM_AUTH and its credentials, and that the application user exists in this organisation."
    return "Give the application user a security role with the missing privilege; `loader check` lists what is needed."
