"""A proxy between a client and an HTTP server that harms the requests of your choice, always the same ones.

    with FaultProxy(server.endpoint, lambda request: LOSE if request.number == 3 else None) as proxy:
        backend = MinioRegistryBackend(endpoint=proxy.endpoint, …)

It reads HTTP/1.1 well enough to know where a request and an answer end, so that it can do what no lost packet does
on demand: **let the server act, and lose exactly this answer**.  The plan is asked once a request, in the order of
their arrival, in one thread; what it sees is kept in `requests`.

Plain HTTP on the loopback; bodies of requests with a `Content-Length`, answers of any kind.  Requests are held whole
in memory.
"""

from __future__ import annotations

import asyncio
import socket
import struct
import threading
from contextlib import suppress
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Final, Self

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Mapping
    from types import TracebackType

_HOST: Final = "127.0.0.1"
_PIECE: Final = 256 * 1024
_LONGEST_HEAD: Final = 256 * 1024
_PATIENCE_SECONDS: Final = 10.0


class Harm(Enum):
    """What happens to a request."""

    NONE = "none"
    """It passes (perhaps late)."""
    DROP = "drop"
    """The server never sees it, and the connection breaks."""
    CUT = "cut"
    """The server sees half of its body (of a request without one: half of its head), and both connections break."""
    REFUSE = "refuse"
    """The server never sees it; the proxy answers with an error."""
    STALL = "stall"
    """The server never sees it, and no answer ever comes."""
    LOSE = "lose"
    """The server has acted and answered, and the connection breaks before the client hears of it."""
    FAIL = "fail"
    """The server has acted and answered; the client gets an error instead."""
    TRUNCATE = "truncate"
    """The server has acted; the client gets the head of the answer and half of its body, then it breaks."""
    HANG = "hang"
    """The server has acted; the client gets half of the answer, and then nothing, for ever."""


@dataclass(frozen=True, slots=True)
class Fault:
    """What the proxy does to one request.

    Attributes:
        harm: What.
        status: The HTTP status of the answer of `REFUSE` and `FAIL`.
        body: Its body.
        content_type: The type of that.
        delay: Seconds that pass before anything happens.
    """

    harm: Harm = Harm.NONE
    status: int = 503
    body: bytes = b""
    content_type: str = "application/xml"
    delay: float = 0.0


DROP: Final = Fault(Harm.DROP)
CUT: Final = Fault(Harm.CUT)
STALL: Final = Fault(Harm.STALL)
LOSE: Final = Fault(Harm.LOSE)
TRUNCATE: Final = Fault(Harm.TRUNCATE)
HANG: Final = Fault(Harm.HANG)


def refusal(status: int, code: str = "", *, after: bool = False) -> Fault:
    """An error as S3 words it (Google's clients look at the status alone), before or after the server has acted."""
    code = code or {409: "ConditionalRequestConflict", 429: "TooManyRequests", 503: "SlowDown"}.get(
        status, "InternalError"
    )
    body = f"<?xml version='1.0' encoding='UTF-8'?><Error><Code>{code}</Code><Message>on purpose</Message></Error>"
    return Fault(Harm.FAIL if after else Harm.REFUSE, status, body.encode())


@dataclass(frozen=True, slots=True)
class Request:
    """One request as the plan sees it.

    Attributes:
        number: From 1, in the order of arrival.
        method: `GET`, `PUT`, …
        target: Path and query, as sent.
        headers: By lower-case name; of repeated ones the last.
        size: Bytes of the body.
    """

    number: int
    method: str
    target: str
    headers: Mapping[str, str]
    size: int


@dataclass(frozen=True, slots=True)
class _Head:
    """The lines before a body. `lines` are those bytes, with the empty line."""

    first: str
    headers: Mapping[str, str]
    lines: bytes


class FaultProxy:
    """The proxy, listening while the `with` block lasts.

    Args:
        upstream: `host:port` of the server.
        plan: Says what happens to a request; None for nothing.
    """

    def __init__(
        self, upstream: str, plan: Callable[[Request], Fault | None] = lambda _request: None
    ) -> None:
        host, _, port = upstream.rpartition(":")
        self._upstream = (host, int(port))
        self.plan = plan
        self.requests: list[Request] = []
        self.faults = 0
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="fault-proxy", daemon=True)
        self._server: asyncio.Server | None = None
        self._clients: set[asyncio.Task[None]] = set()
        self._waiting: dict[asyncio.StreamWriter, Request] = {}
        self.endpoint = ""

    @property
    def url(self) -> str:
        """`http://host:port` of the proxy."""
        return f"http://{self.endpoint}"

    @property
    def unanswered(self) -> list[Request]:
        """What the server was sent and has not begun to answer: what would be interrupted if it died now."""
        return list(self._waiting.values())

    def reset(self, plan: Callable[[Request], Fault | None] = lambda _request: None) -> None:
        """Follow another plan from now on, and count anew."""
        self.plan, self.faults = plan, 0
        self.requests = []

    def __enter__(self) -> Self:
        self._thread.start()
        self._call(self._listen())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._call(self._close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(_PATIENCE_SECONDS)
        self._loop.close()

    def _call(self, work: Coroutine[object, object, None]) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result(_PATIENCE_SECONDS)

    async def _listen(self) -> None:
        self._server = await asyncio.start_server(self._accept, _HOST, 0, limit=_LONGEST_HEAD)
        self.endpoint = f"{_HOST}:{self._server.sockets[0].getsockname()[1]}"

    async def _close(self) -> None:
        if self._server is not None:
            self._server.close()
        for task in self._clients:
            task.cancel()
        await asyncio.gather(*self._clients, return_exceptions=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._clients.add(task)
        task.add_done_callback(self._clients.discard)
        upstream = _Upstream(self._upstream)
        try:
            while await self._one(reader, writer, upstream):
                pass
        except (OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            _break(writer)  # either side has left, or the proxy ends
        finally:
            upstream.end()
            writer.close()

    async def _one(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, upstream: _Upstream
    ) -> bool:
        """Serve one request. Whether the connection goes on."""
        try:
            head = await _read_head(reader)
        except asyncio.IncompleteReadError:
            return False
        body = await reader.readexactly(int(head.headers.get("content-length", "0")))
        method, target, _version = head.first.split(" ", 2)
        request = Request(len(self.requests) + 1, method, target, head.headers, len(body))
        self.requests.append(request)
        fault = self.plan(request) or Fault()
        self.faults += fault.harm is not Harm.NONE
        if fault.delay:
            await asyncio.sleep(fault.delay)
        if fault.harm in _UNSEEN:
            return await self._keep_back(fault, head, body, writer, upstream)
        self._waiting[writer] = request  # a connection has one request at a time
        try:
            await upstream.send(head.lines + body)
            answer = await _read_head(upstream.reader)
        finally:
            del self._waiting[writer]
        if fault.harm is Harm.NONE:
            writer.write(answer.lines)
            await _pass_body(method, answer, upstream.reader, writer)
            await writer.drain()
            return "close" not in (answer.headers.get("connection"), head.headers.get("connection"))
        content = await _read_body(method, answer, upstream.reader)
        return await self._spoil(fault, answer, content, writer)

    async def _keep_back(
        self, fault: Fault, head: _Head, body: bytes, writer: asyncio.StreamWriter, upstream: _Upstream
    ) -> bool:
        if fault.harm is Harm.STALL:
            await asyncio.Event().wait()
        if fault.harm is Harm.REFUSE:
            writer.write(_error(fault))
            await writer.drain()
            return True
        if fault.harm is Harm.CUT:
            await upstream.send(
                head.lines + body[: len(body) // 2] if body else head.lines[: len(head.lines) // 2]
            )
        _break(writer)
        return False

    async def _spoil(self, fault: Fault, answer: _Head, content: bytes, writer: asyncio.StreamWriter) -> bool:
        if fault.harm is Harm.FAIL:
            writer.write(_error(fault))
            await writer.drain()
            return True
        if fault.harm in (Harm.TRUNCATE, Harm.HANG):
            # Of an answer without a body, half of the head: there is nothing else to cut.
            cut = (
                answer.lines + content[: len(content) // 2]
                if content
                else answer.lines[: len(answer.lines) // 2]
            )
            writer.write(cut)
            await writer.drain()
        if fault.harm is Harm.HANG:
            await asyncio.Event().wait()
        if fault.harm is Harm.TRUNCATE:
            return False  # in order: the client gets all that was sent, and then the end
        _break(writer)
        return False


_UNSEEN: Final = frozenset({Harm.DROP, Harm.CUT, Harm.REFUSE, Harm.STALL})


class _Upstream:
    """The connection to the server that belongs to one connection of a client."""

    def __init__(self, address: tuple[str, int]) -> None:
        self._address = address
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    @property
    def reader(self) -> asyncio.StreamReader:
        assert self._streams is not None
        return self._streams[0]

    async def send(self, data: bytes) -> None:
        if self._streams is None or self._streams[0].at_eof():
            self.end()
            self._streams = await asyncio.open_connection(*self._address, limit=_LONGEST_HEAD)
        writer = self._streams[1]
        writer.write(data)
        await writer.drain()

    def end(self) -> None:
        if self._streams is not None:
            self._streams[1].close()


async def _read_head(reader: asyncio.StreamReader) -> _Head:
    lines = await reader.readuntil(b"\r\n\r\n")
    first, *rest = lines.decode("latin-1").split("\r\n")
    pairs = (line.partition(":") for line in rest if line)
    return _Head(first, {name.strip().lower(): value.strip() for name, _, value in pairs}, lines)


def _has_body(method: str, answer: _Head) -> bool:
    status = answer.first.split(" ")[1]
    return method != "HEAD" and status not in ("204", "304") and not status.startswith("1")


async def _read_body(method: str, answer: _Head, reader: asyncio.StreamReader) -> bytes:
    """The bytes of a body as they are on the wire, chunks and all."""
    if not _has_body(method, answer):
        return b""
    if "content-length" in answer.headers:
        return await reader.readexactly(int(answer.headers["content-length"]))
    if answer.headers.get("transfer-encoding", "").lower() == "chunked":
        pieces: list[bytes] = []
        while True:
            line = await reader.readuntil(b"\r\n")
            size = int(line.split(b";")[0], 16)
            pieces += (line, await reader.readexactly(size + 2))
            if size == 0:
                return b"".join(pieces)
    return await reader.read()


async def _pass_body(
    method: str, answer: _Head, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> None:
    if not _has_body(method, answer) or "content-length" not in answer.headers:
        writer.write(await _read_body(method, answer, reader))
        return
    left = int(answer.headers["content-length"])
    while left:
        piece = await reader.read(min(left, _PIECE))
        if not piece:
            raise asyncio.IncompleteReadError(piece, left)
        writer.write(piece)
        await writer.drain()
        left -= len(piece)


def _error(fault: Fault) -> bytes:
    head = (
        f"HTTP/1.1 {fault.status} On Purpose\r\nContent-Type: {fault.content_type}\r\n"
        f"Content-Length: {len(fault.body)}\r\n\r\n"
    )
    return head.encode() + fault.body


def _break(writer: asyncio.StreamWriter) -> None:
    """End the connection with a reset, as a machine does that has lost it."""
    with suppress(OSError):
        raw = writer.get_extra_info("socket")
        if raw is not None:
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()
