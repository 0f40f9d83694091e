"""A server that replaces the hub: it serves repositories from a folder over HTTP to the hub's client library."""

from __future__ import annotations

import hashlib
import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

LARGE = 1000  # bytes; larger files count as stored with a recorded SHA-256


def _lfs(data: bytes, key: str) -> dict[str, object]:
    return {"size": len(data), key: hashlib.sha256(data).hexdigest(), "pointerSize": 1}


def _handler(root: Path, commits: dict[str, str], log: list[str], damaged: set[str]) -> type[BaseHTTPRequestHandler]:
    """`root/<kind>/<owner>/<name>/<file>`; `commits` maps `<kind>/<owner>/<name>` to its one commit."""

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

        def _send(self, status: int, body: bytes, headers: dict[str, str]) -> None:
            self.send_response(status)
            for name, value in {"Content-Length": str(len(body)), **headers}.items():
                self.send_header(name, value)
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(body)

        def _info(self, kind: str, repo: str, revision: str) -> None:
            commit = commits.get(f"{kind}/{repo}")
            if commit is None or revision not in ("main", commit):
                self._send(404, b"{}", {"X-Error-Code": "RevisionNotFound" if commit else "RepoNotFound"})
                return
            siblings = [
                {"rfilename": name, "size": len(data), **({"lfs": _lfs(data, "sha256")} if len(data) > LARGE else {})}
                for name, data in self._files(kind, repo)
            ]
            body = {"id": repo, "_id": "0", "sha": commit, "siblings": siblings, "private": False}
            self._send(200, json.dumps(body).encode(), {"Content-Type": "application/json"})

        def _tree(self, kind: str, repo: str) -> None:
            entries = [
                {
                    "type": "file",
                    "path": name,
                    "size": len(data),
                    "oid": hashlib.sha1(data).hexdigest(),
                    **({"lfs": _lfs(data, "oid")} if len(data) > LARGE else {}),
                }
                for name, data in self._files(kind, repo)
            ]
            self._send(200, json.dumps(entries).encode(), {"Content-Type": "application/json"})

        def _files(self, kind: str, repo: str) -> list[tuple[str, bytes]]:
            folder = root / kind / repo
            paths = sorted(path for path in folder.rglob("*") if path.is_file())
            return [(str(path.relative_to(folder)), path.read_bytes()) for path in paths]

        def _file(self, kind: str, repo: str, name: str) -> None:
            path = root / kind / repo / name
            if not path.is_file():
                self._send(404, b"", {"X-Error-Code": "EntryNotFound"})
                return
            data = path.read_bytes()
            etag = hashlib.sha256(data).hexdigest() if len(data) > LARGE else hashlib.sha1(data).hexdigest()
            if name in damaged:
                data = data[:-1] + bytes([data[-1] ^ 1])
            headers = {"ETag": f'"{etag}"', "X-Repo-Commit": commits[f"{kind}/{repo}"], "Accept-Ranges": "bytes"}
            asked = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
            if self.command == "GET":
                log.append(f"{name} {self.headers.get('Range', 'whole')}")
            if asked:
                start = int(asked[1])
                headers["Content-Range"] = f"bytes {start}-{len(data) - 1}/{len(data)}"
                self._send(206, data[start:], headers)
            else:
                self._send(200, data, headers)

        def do_GET(self) -> None:
            path = self.path.split("?")[0].lstrip("/")
            if found := re.fullmatch(r"api/(models|datasets)/([^/]+/[^/]+|[^/]+)/revision/(\w+)", path):
                self._info(found[1][:-1], found[2], found[3])
            elif found := re.fullmatch(r"(datasets/)?([^/]+/[^/]+|[^/]+)/resolve/\w+/(.+)", path):
                self._file("dataset" if found[1] else "model", found[2], found[3])
            elif found := re.fullmatch(r"api/(models|datasets)/([^/]+/[^/]+|[^/]+)/tree/\w+", path):
                self._tree(found[1][:-1], found[2])
            else:
                self._send(404, b"", {})

        do_HEAD = do_GET  # noqa: N815

    return Handler


@contextmanager
def serve(root: Path, commits: dict[str, str], log: list[str], damaged: set[str]) -> Iterator[str]:
    """The address of a running stand-in; `log` gets a line for each file that is sent, `damaged` ones arrive wrong."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(root, commits, log, damaged))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
