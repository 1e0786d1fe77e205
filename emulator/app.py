"""The HTTP side: the caller, faults and limits around a request, the token endpoint, the control endpoint."""

from __future__ import annotations

import asyncio
import json
import socket
import struct
import traceback
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import nullcontext, suppress
from dataclasses import asdict
from typing import Any
from urllib.parse import parse_qsl, unquote
from uuid import uuid4

from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from . import auth
from .batch import ChangeSet, parse_batch, run_batch
from .callers import Caller
from .crm import Crm
from .doors import KnownHosts, Refused, require_json
from .errors import CrmError
from .faults import Fault, Seen
from .log import RequestLog
from .messages import Operation, Reply, dump, error_reply, relative
from .query import parse_prefer
from .snapshot import SnapshotError, public
from .store import Ref

URL_LIMIT = 32_768
_NO_HEADERS: dict[str, str] = {}
METHODS = ["GET", "POST", "PATCH", "PUT", "DELETE"]


def application(crm: Crm) -> ASGIApp:
    """The ASGI application around an organisation, to be served at `crm.url`."""
    handler = _Handler(crm)
    app = Starlette(
        routes=[
            Route("/api/data/{rest:path}", handler, methods=METHODS),
            Route("/{tenant}/oauth2/v2.0/token", handler.token, methods=["POST"]),
            Route("/{tenant}/oauth2/v2.0/devicecode", handler.device_code, methods=["POST"]),
            Route("/{tenant}/v2.0/.well-known/openid-configuration", handler.openid, methods=["GET"]),
            Route("/_emulator/{what:path}", handler.control, methods=METHODS),
        ]
    )
    return KnownHosts(app, crm.url)


async def _dripping(reply: Reply) -> AsyncIterator[bytes]:
    for number in range(len(reply.body)):
        yield reply.body[number : number + 1]
        await asyncio.sleep(reply.seconds_per_byte)


async def reset_connection(scope: Scope, receive: Receive) -> None:
    """End the client's connection with RST, as a failing network does."""
    transport: Any = scope["state"]["transport"]()
    raw = transport.get_extra_info("socket")
    if raw is not None:
        with suppress(OSError):  # the client may be gone already
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    transport.abort()
    while (await receive())["type"] != "http.disconnect":
        pass


class _Reset(Response):
    """Ends the connection instead of responding."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await reset_connection(scope, receive)


class _Handler:
    def __init__(self, crm: Crm) -> None:
        self.crm = crm

    # ------------------------------------------------ the Web API

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        crm = self.crm
        request = Request(scope, receive)
        raw = scope["raw_path"].decode("latin-1")
        query = scope["query_string"].decode("latin-1")
        target = f"{raw}?{query}" if query else raw
        log = RequestLog(request.method, target)
        crm.requests.append(log)
        crm.in_flight += 1
        crm.most_in_flight = max(crm.most_in_flight, crm.in_flight)
        try:
            body = await request.body()
            reply = await self._answer(scope, request, target, body, log)
        except ClientDisconnect:
            return
        finally:
            crm.in_flight -= 1
        if reply is None:
            await reset_connection(scope, receive)
            return
        log.status = reply.status
        headers = {**reply.headers, "x-ms-service-request-id": str(uuid4()), "REQ_ID": str(uuid4())}
        response = Response(reply.body, reply.status, headers)
        if reply.seconds_per_byte:
            response = StreamingResponse(_dripping(reply), reply.status, headers)
        if reply.status in (204, 304):
            del response.headers["content-length"]
        await response(scope, receive, send)

    async def _answer(self, scope: Scope, request: Request, target: str, body: bytes, log: RequestLog) -> Reply | None:
        """The reply, or None if the connection is to be reset."""
        crm = self.crm
        try:
            if len(target) > URL_LIMIT:
                raise CrmError(414, "0x80060888", f"The URL is longer than {URL_LIMIT} characters.")
            if len(body) > crm.max_body:
                raise CrmError(413, "0x80060888", "The request is too large.")
            user = crm.tokens.user(request.headers.get("authorization"))
            if user is None:
                return self._unauthorized(request)
            log.user = user
            path = relative(target)
            if path is None:
                raise CrmError(404, "0x80060888", f"Resource not found for the segment '{target}'.")
            work = _understand(request, path, body)
            operations = list(_flat(work))
            log.operations = len(operations)
            log.reads = sum(operation.method == "GET" for operation in operations)
            log.writes = len(operations) - log.reads
            if crm.keep_parts:
                log.parts = [f"{operation.method} {operation.target}" for operation in operations]
                log.if_match = [operation.headers.get("if-match") for operation in operations]
            seen = Seen(
                request.method,
                target,
                log.reads,
                log.writes,
                isinstance(work, list),
                lambda name: any(crm.names_record(operation, name) for operation in operations),
                [operation.target for operation in operations],
            )
            limits = crm.throttle.request(user) if crm.throttle is not None else nullcontext(_NO_HEADERS)
            with limits as extra:
                if crm.faults.latency_per_operation:
                    log.rows = sum(map(_rows_of, operations))
                reply = await self._faulty(request, work, user, seen, log.rows)
                if reply is not None:
                    reply.headers.update(extra)
                    if crm.dop_hint is not None:
                        reply.headers["x-ms-dop-hint"] = str(crm.dop_hint)
                return reply
        except CrmError as error:
            return error_reply(error)
        except Exception as problem:
            return self._crashed(problem)

    def _crashed(self, problem: Exception) -> Reply:
        """Reports a bug of the emulator as a failure of CRM's, and stores its traceback in `crashes`."""
        self.crm.crashes.append(traceback.format_exc())
        return error_reply(CrmError(500, "0x80040216", f"An unexpected error occurred. {problem!r}"))

    def _unauthorized(self, request: Request) -> Reply:
        reply = error_reply(CrmError(401, "0x8005f101", "The requested resource requires authentication."))
        reply.headers["WWW-Authenticate"] = (
            f"Bearer authorization_uri={self.crm.url}/common/oauth2/authorize, resource_id={self.crm.url}/"
        )
        return reply

    async def _faulty(
        self, request: Request, work: Operation | list[Operation | ChangeSet], user: str, seen: Seen, rows: int
    ) -> Reply | None:
        """Do the work, with the faults that strike before and after it."""
        faults = self.crm.faults
        if pause := faults.pause(rows):
            await asyncio.sleep(pause)
        before = faults.strike(seen, "expire_token", "throttle", "unavailable", "reset_before_commit", "page")
        if before is not None:
            return self._before(before, request, await request.body())
        held = faults.strike(seen, "delay_before_commit")
        if held is not None:
            await asyncio.sleep(held.seconds)
        with self.crm.lock:
            reply = self._run(request, work, user)
        spoilt = faults.strike(seen, "spoil")
        if spoilt is not None and spoilt.change is not None:
            reply.body = spoilt.change(reply.body)
        after = faults.strike(seen, "reset_after_commit", "delay_after_commit", "drip")
        if after is not None:
            if after.what == "reset_after_commit":
                return None
            if after.what == "drip":
                reply.seconds_per_byte = after.seconds
            else:
                await asyncio.sleep(after.seconds)
        return reply

    def _before(self, fault: Fault, request: Request, body: bytes) -> Reply | None:
        if fault.what == "reset_before_commit":
            return None
        if fault.page is not None:
            return Reply(fault.page.status, dict(fault.page.headers), fault.page.text(request.headers, body))
        if fault.what == "expire_token":
            self.crm.tokens.expire_all()
            return self._unauthorized(request)
        headers = {} if fault.retry_after is None else {"Retry-After": str(fault.retry_after)}
        if fault.what == "throttle":
            return error_reply(
                CrmError(
                    429,
                    "0x80072322",
                    "Number of requests exceeded the limit of 6000 over time window of 300 seconds.",
                    headers,
                )
            )
        return error_reply(CrmError(503, "0x80044a00", "The service is unavailable.", headers))

    def _run(self, request: Request, work: Operation | list[Operation | ChangeSet], user: str) -> Reply:
        crm = self.crm
        try:
            caller = crm.caller(user, request.headers)
            if isinstance(work, list):
                prefer = parse_prefer(request.headers.get("prefer", ""))
                status, body, kind = run_batch(
                    work, lambda operation, refs: self._operate(operation, caller, refs), crm.store,
                    prefer.continue_on_error,
                )  # fmt: skip
                return Reply(status, {"Content-Type": kind, "OData-Version": "4.0"}, body)
            with crm.store.transaction():
                return self._operate(work, caller, {})
        except CrmError as error:
            return error_reply(error)
        except Exception as problem:
            return self._crashed(problem)

    def _operate(self, operation: Operation, caller: Caller, refs: Mapping[str, Ref]) -> Reply:
        crm = self.crm
        spoilt = None
        if crm.faults.waiting and crm.faults.has("error", "deadlock", "spoil_part"):
            seen = Seen(
                operation.method,
                operation.target,
                int(operation.method == "GET"),
                int(operation.method != "GET"),
                False,
                lambda name: crm.names_record(operation, name),
                [operation.target],
            )
            fault = crm.faults.strike(seen, "error", "deadlock")
            if fault is not None and fault.error is not None:
                raise fault.error
            spoilt = crm.faults.strike(seen, "spoil_part")
        reply = crm.api.run(operation, caller, refs)
        if spoilt is not None and spoilt.change is not None:
            reply.body = spoilt.change(reply.body)
        return reply

    # ------------------------------------------------ tokens

    async def token(self, request: Request) -> Response:
        return await self._login(request, self.crm.tokens.grant)

    async def device_code(self, request: Request) -> Response:
        return await self._login(request, lambda form: self.crm.tokens.start_device_login(form, self.crm.url))

    async def openid(self, request: Request) -> Response:
        tenant = request.path_params["tenant"]
        return await self._login(request, lambda form: auth.openid_configuration(self.crm.url, tenant))

    async def _login(self, request: Request, answer: Callable[[Mapping[str, str]], auth.Json]) -> Response:
        """The login service's answer, or the fault that strikes instead."""
        body = await request.body()
        seen = Seen(request.method, request.url.path, 0, 0, False, lambda name: False, login=True)
        fault = self.crm.faults.strike(
            seen, "throttle", "unavailable", "reset_before_commit", "delay_before_commit", "page"
        )
        try:
            if fault is None or fault.what == "delay_before_commit":
                await asyncio.sleep(fault.seconds if fault else 0)
                return JSONResponse(answer(dict(parse_qsl(body.decode()))))
            if fault.page is not None:
                return Response(fault.page.text(request.headers, body), fault.page.status, dict(fault.page.headers))
            if fault.what == "reset_before_commit":
                return _Reset()
            raise auth.throttled() if fault.what == "throttle" else auth.unavailable()
        except auth.OAuthError as error:
            asked = None if fault is None else fault.retry_after
            return JSONResponse(error.body(), error.status, None if asked is None else {"Retry-After": str(asked)})

    # ------------------------------------------------ control

    async def control(self, request: Request) -> Response:
        """`/_emulator/…`, for tests that run the emulator as a separate process. doors.Control says who may use it."""
        crm = self.crm
        what = unquote(request.path_params["what"]).strip("/").split("/")
        try:
            crm.control.check(request)
            spec: dict[str, object] = {}
            if request.method in ("POST", "PATCH", "PUT") and (await request.body()):
                require_json(request)
                spec = dict(await request.json())
            with crm.lock:
                answer = self._control(request.method, what, spec)
        except Refused as refused:
            return refused.response()
        except (ValueError, TypeError, KeyError, OSError, SnapshotError) as problem:
            return JSONResponse({"error": str(problem)}, 400)
        if answer is NotImplemented:
            return JSONResponse({"error": f"no such control: {request.method} /_emulator/{'/'.join(what)}"}, 404)
        return Response(dump(answer), media_type="application/json")

    def _control(self, method: str, what: list[str], spec: dict[str, object]) -> object:
        crm = self.crm
        if what == ["faults"]:
            if method == "POST":
                added = crm.faults.from_json(spec)
                return added.describe() if added else {}
            if method == "DELETE":
                crm.faults.clear()
            return [fault.describe() for fault in crm.faults.waiting]
        if what == ["requests"]:
            if method == "DELETE":
                crm.reset_log()
            return [asdict(log) for log in crm.requests]
        if what == ["organization"] and method in ("POST", "PATCH"):
            crm.organization(**spec)
            return {}
        if what == ["crashes"]:
            return crm.crashes
        if what == ["token"] and method == "POST":
            return {"access_token": crm.token_for(spec.get("user"), lifetime=spec.get("lifetime"))}  # type: ignore[arg-type]
        if what == ["save"] and method == "POST":
            crm.save(crm.control.place(str(spec["path"])))
            return {}
        if what[0] == "tables" and len(what) in (2, 3):
            return self._table(method, what[1], what[2] if len(what) == 3 else None, spec)
        return NotImplemented

    def _table(self, method: str, table: str, row_id: str | None, spec: dict[str, object]) -> object:
        crm = self.crm
        if method == "GET":
            return [
                public(row) for row in crm.store.tables[table].in_order() if row_id in (None, row[crm.id_column(table)])
            ]
        if method == "POST" and row_id is None:
            return {"id": crm.insert(table, spec)}
        if row_id is None:
            raise ValueError("the id of the row is missing")
        if method == "PATCH":
            crm.update(table, row_id, spec)
        elif method == "DELETE":
            crm.delete(table, row_id)
        return {}


def _understand(request: Request, path: str, body: bytes) -> Operation | list[Operation | ChangeSet]:
    if path.partition("?")[0].strip("/") == "$batch":
        if request.method != "POST":
            raise CrmError(
                405, "0x80060888", f"The requested resource does not support http method '{request.method}'."
            )
        return parse_batch(body, request.headers.get("content-type", ""))
    headers = dict(request.headers.items())
    return Operation(request.method, path, headers, body)


def _flat(work: Operation | list[Operation | ChangeSet]) -> Iterable[Operation]:
    if isinstance(work, Operation):
        yield work
        return
    for item in work:
        if isinstance(item, ChangeSet):
            yield from item.operations
        else:
            yield item


def _rows_of(operation: Operation) -> int:
    """How many rows an operation writes: a bulk message's targets, a new row and those that are created with it."""
    if operation.method == "GET" or not operation.body:
        return 1
    try:
        return max(1, _rows_in(json.loads(operation.body)))
    except ValueError:
        return 1


def _rows_in(body: object) -> int:
    if not isinstance(body, dict):
        return 0
    if isinstance(body.get("Targets"), list):
        return sum(map(_rows_in, body["Targets"]))
    return 1 + sum(_rows_in(row) for value in body.values() if isinstance(value, list) for row in value)
