"""A line to a server that is far away: whatever is sent arrives so many seconds later, in both directions.

`far.py HOST:PORT SECONDS` prints the address at which it listens, and ends when its standard input does.

It knows nothing of HTTP: bytes are held back and passed on in order. So an exchange of a request and its answer takes
twice those seconds longer, however large the two are, and whatever a client says between them ("may I send the
body?") takes its time, too, as on a real line.  Opening a connection does not.
"""

from __future__ import annotations

import queue
import socket
import sys
import threading
import time
from contextlib import suppress

HOST = "127.0.0.1"
PIECE = 256 * 1024
HELD = 256
"""Pieces that one direction of a connection holds, at most: what 64 MiB in that time are, no line is faster."""


def serve(listening: socket.socket, upstream: tuple[str, int], seconds: float) -> None:
    """Accepts connections for ever, each with one of its own to the server."""
    while True:
        client, _ = listening.accept()
        try:
            server = socket.create_connection(upstream)
        except OSError:
            client.close()
            continue
        for one in (client, server):
            one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for source, target in ((client, server), (server, client)):
            pieces: queue.Queue[tuple[float, bytes]] = queue.Queue(HELD)
            for work, end in ((take, source), (give, target)):
                threading.Thread(target=work, args=(end, pieces, seconds), daemon=True).start()


def take(source: socket.socket, pieces: queue.Queue[tuple[float, bytes]], seconds: float) -> None:
    """Notes what comes, and when it is due at the other end. The last piece is empty."""
    piece = b"first"
    while piece:
        try:
            piece = source.recv(PIECE)
        except OSError:
            piece = b""
        pieces.put((time.monotonic() + seconds, piece))


def give(target: socket.socket, pieces: queue.Queue[tuple[float, bytes]], _seconds: float) -> None:
    """Sends each piece when it is due; at the end, says so. What nobody takes any more is dropped."""
    while True:
        due, piece = pieces.get()
        time.sleep(max(0.0, due - time.monotonic()))
        with suppress(OSError):
            target.sendall(piece) if piece else target.shutdown(socket.SHUT_WR)
        if not piece:
            return


def main() -> None:
    host, _, port = sys.argv[1].rpartition(":")
    with socket.create_server((HOST, 0)) as listening:
        arguments = (listening, (host, int(port)), float(sys.argv[2]))
        threading.Thread(target=serve, args=arguments, daemon=True).start()
        print(f"{HOST}:{listening.getsockname()[1]}", flush=True)
        sys.stdin.read()


if __name__ == "__main__":
    main()
