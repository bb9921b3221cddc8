"""A server whose answers do not end: ``hostile_server.py PORT PATH HOW``.

``PATH`` is answered as ``HOW`` says: ``dribbles`` (a byte every fifth of a second), ``floods`` (for ever),
``announces`` (a terabyte). Every other path is answered with an empty 200. Plain Python, quick to start."""

from __future__ import annotations

import socket
import sys
import threading
import time

PORT, PATH, HOW = int(sys.argv[1]), sys.argv[2], sys.argv[3]
HEADS = {"dribbles": "Content-Length: 99999", "floods": "Connection: close", "announces": f"Content-Length: {10**12}"}


def serve(connection: socket.socket) -> None:
    """Answer one request, and the next ones where that ends."""
    with connection, connection.makefile("rb") as read:
        try:
            while line := read.readline():
                while read.readline().strip():
                    pass
                if line.split()[1].decode() != PATH:
                    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
                    continue
                connection.sendall(f"HTTP/1.1 200 OK\r\n{HEADS[HOW]}\r\n\r\n".encode())
                while True:
                    connection.sendall(b"x" if HOW == "dribbles" else b"x" * 65536)
                    time.sleep(0.2 if HOW == "dribbles" else 0)
        except OSError:
            return  # the client went away


with socket.create_server(("127.0.0.1", PORT)) as listener:
    while True:
        threading.Thread(target=serve, args=(listener.accept()[0],), daemon=True).start()
