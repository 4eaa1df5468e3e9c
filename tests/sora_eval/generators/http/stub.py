"""A video service on this machine: grey clips of the seed's level, and any fault that a test asks for."""

from __future__ import annotations

import json
import re
import tempfile
import threading
from email import message_from_bytes
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np

from sora_eval.records.clip import Clip
from sora_eval.video.codec import write_clip

Answer = tuple[int, dict[str, str], bytes]


def video(width: int, height: int, frames: int, fps: float, level: int) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "clip.mkv"
        write_clip(Clip(np.full((frames, height, width, 3), level, np.uint8), fps), path)
        return path.read_bytes()


def answer(data: Any, status: int = 200, **headers: str) -> Answer:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    if isinstance(data, bytes):
        return status, {"Content-Type": "video/x-matroska", **named}, data
    if isinstance(data, str):
        return status, {"Content-Type": "text/html", **named}, data.encode()
    return status, {"Content-Type": "application/json", **named}, json.dumps(data).encode()


class Stub:
    """The service. `faults` holds, by `METHOD path` (an id is `ID`), the answers that come first; one that is callable is
    called with the stub's handler. `asked` are the requests: method, path, headers, and of a POST its fields and uploads."""

    def __init__(self) -> None:
        self.faults: dict[str, list[Any]] = {}
        self.asked: list[tuple[str, str, dict[str, str], dict[str, Any]]] = []
        self.jobs: dict[str, dict[str, Any]] = {}
        self.models: list[dict[str, Any]] = [{"id": "grey-1", "root": "org/grey-1"}]
        self.polls = 1  # how often a job is still in progress
        self.lock, self.done = threading.Lock(), threading.Event()
        self.most_at_once = self._at_once = 0
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_port}/v1/videos"
        self._thread = threading.Thread(target=self.server.serve_forever, args=(0.02,))

    def __enter__(self) -> Stub:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.done.set()
        self.server.shutdown()
        self._thread.join()
        self.server.server_close()

    def bodies(self) -> list[dict[str, Any]]:
        return [body for method, _, _, body in self.asked if method == "POST"]

    def made(self, body: dict[str, Any]) -> bytes:
        return video(
            int(body["width"]), int(body["height"]), int(body["num_frames"]), float(body["fps"]), int(body["seed"]) % 251
        )

    def respond(self, method: str, path: str, body: dict[str, Any]) -> Answer:
        if path == "/v1/models":
            return answer({"object": "list", "data": self.models})
        if method == "POST":
            return answer(self.made(body)) if path.endswith("/sync") else self.job(body)
        name = path.removeprefix("/v1/videos").strip("/").partition("/")[0]
        if name not in self.jobs:
            return answer({"detail": "Not Found"}, 404)
        if method == "DELETE":
            del self.jobs[name]
            return answer({"deleted": True})
        return self.state(path, name)

    def job(self, body: dict[str, Any]) -> Answer:
        with self.lock:
            name = f"video-{len(self.jobs)}"
            self.jobs[name] = {"body": body, "polls": self.polls}
            self._at_once += 1
            self.most_at_once = max(self.most_at_once, self._at_once)
        return answer({"id": name, "status": "queued"})

    def state(self, path: str, name: str) -> Answer:
        job = self.jobs[name]
        if path.endswith("/content"):
            with self.lock:
                self._at_once -= 1
            return answer(self.made(job["body"]))
        job["polls"] -= 1
        return answer({"id": name, "status": "in_progress" if job["polls"] >= 0 else "completed"})

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        stub = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def _do(self) -> None:
                raw = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                body = parsed(self.headers.get("Content-Type", ""), raw) if raw else {}
                with stub.lock:
                    stub.asked.append((self.command, self.path, dict(self.headers), body))
                    key = f"{self.command} {re.sub('video-[0-9]+', 'ID', self.path)}"
                    fault = stub.faults[key].pop(0) if stub.faults.get(key) else None
                if callable(fault):
                    fault(self)
                    return
                status, headers, content = fault or stub.respond(self.command, self.path, body)
                self.send_response(status)
                for name, value in {"Content-Length": str(len(content)), **headers}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(content)

            do_GET = do_POST = do_DELETE = _do

            def log_message(self, *_: object) -> None:
                pass

        return Handler

    def hang(self, handler: BaseHTTPRequestHandler) -> None:
        self.done.wait(20)
        handler.close_connection = True


def cut(handler: BaseHTTPRequestHandler) -> None:
    """An answer that ends before its length."""
    handler.send_response(200)
    handler.send_header("Content-Length", "1000")
    handler.end_headers()
    handler.wfile.write(b"abc")
    handler.close_connection = True


def parsed(kind: str, raw: bytes) -> dict[str, Any]:
    """The fields of a body: text of a form, values of JSON; an upload is (name, type, content)."""
    if kind.startswith("application/json"):
        return dict(json.loads(raw))
    message = message_from_bytes(f"Content-Type: {kind}\r\n\r\n".encode() + raw)
    fields: dict[str, Any] = {}
    for part in message.get_payload():
        content, name = part.get_payload(decode=True), part.get_param("name", header="content-disposition")
        upload = (part.get_filename(), part.get_content_type(), content)
        fields[name] = upload if part.get_filename() else content.decode()
    return fields
