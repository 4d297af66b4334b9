"""A server of buckets that speaks what we need of Cloud Storage's JSON API, writing included."""

import http.server
import itertools
import json
import threading
import urllib.parse
from collections.abc import Iterator

import pytest

from closedbook.buckets import client


class Objects(dict[str, bytes]):
    """Contents by "bucket/name"; each write of one gives it a new generation."""

    def __init__(self) -> None:
        super().__init__()
        self._numbers = itertools.count(1)
        self.generations: dict[str, int] = {}

    def __setitem__(self, name: str, content: bytes) -> None:
        self.generations[name] = next(self._numbers)
        super().__setitem__(name, content)


class FakeBuckets:
    """What a server holds, and what it was asked.

    Attributes:
        objects: Contents by "bucket/name".
        made: Buckets that are there though they hold nothing.
        closed: Buckets that answer 403.
        read_only: Buckets that answer 403 to who writes or removes.
        broken: Answers 503 to everything.
        failing: How many of the next requests are answered with 503.
        closing: A part of a name; who writes an object with it finds the bucket read-only.
        busy: Statuses with which the next writes are refused, such as 429.
        lost: How many of the next writes are made without their answer coming back.
        requests: Paths asked for, in order.
        writes: Names written or removed, in order.
        states: Where a list, all objects after each write are added to it.
        page: Objects in one answer to a listing; few, so that tests see several answers.
    """

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.url = ""
        self.reset()

    def reset(self) -> None:
        """Forgets everything."""
        self.objects = Objects()
        self.made: set[str] = set()
        self.closed: set[str] = set()
        self.read_only: set[str] = set()
        self.broken = False
        self.failing = 0
        self.closing = ""
        self.busy: list[int] = []
        self.lost = 0
        self.requests: list[str] = []
        self.writes: list[str] = []
        self.states: list[dict[str, bytes]] | None = None
        self.page = 3

    def environment(self) -> dict[str, str]:
        """What a process needs so that gs:// leads here, with no credentials about."""
        return {
            "TENSORSTORE_GCS_HTTP_URL": self.url,
            "GCE_METADATA_ROOT": self.url.removeprefix("http://"),
            "CLOUDSDK_CONFIG": "/no/credentials",
        }

    def under(self, prefix: str) -> dict[str, bytes]:
        """The objects whose names begin so, by the rest of the name."""
        with self.lock:
            return {
                name.removeprefix(prefix): content
                for name, content in sorted(self.objects.items())
                if name.startswith(prefix)
            }


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # a head and a body are two packets
    buckets: FakeBuckets

    def do_GET(self) -> None:
        self._answer("GET")

    def do_POST(self) -> None:
        self._answer("POST")

    def do_DELETE(self) -> None:
        self._answer("DELETE")

    def log_message(self, *args: object) -> None:
        pass

    def _answer(self, method: str) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        url = urllib.parse.urlsplit(self.path)
        query = dict(urllib.parse.parse_qsl(url.query))
        buckets = self.buckets
        with buckets.lock:
            buckets.requests.append(url.path)
            path = url.path.removeprefix("/upload")
            parts = path.split("/", 6)  # "", storage, v1, b, BUCKET, o, NAME
            if buckets.broken or buckets.failing:
                buckets.failing = max(buckets.failing - 1, 0)
                return self._send(503, b"try later")
            if parts[1:4] != ["storage", "v1", "b"]:
                return self._send(404, b"")
            bucket = parts[4]
            if bucket in buckets.closed:
                return self._fail(403, "anonymous caller does not have storage.objects.list access")
            held = buckets.under(f"{bucket}/")
            if not held and bucket not in buckets.made:
                return self._fail(404, "The specified bucket does not exist.")
            if len(parts) == 5:
                return self._fail(401, "Anonymous caller does not have storage.buckets.get access")
            name = urllib.parse.unquote(parts[6]) if len(parts) > 6 else query.get("name", "")
            if method != "GET":
                return self._write(method, bucket, name, query, body)
            return self._list(held, query) if len(parts) == 6 else self._read(bucket, name, query)

    def _list(self, held: dict[str, bytes], query: dict[str, str]) -> None:
        span = query.get("startOffset", ""), query.get("endOffset", "\U0010ffff")
        names = sorted(name for name in held if span[0] <= name < span[1])
        page, first = self.buckets.page, int(query.get("pageToken", "0"))
        items = [
            {"name": name, "size": str(len(held[name])), "generation": "1"}
            for name in names[first : first + page]
        ]
        told: dict[str, object] = {"kind": "storage#objects", "items": items}
        if first + page < len(names):
            told["nextPageToken"] = str(first + page)
        self._send(200, json.dumps(told).encode())

    def _read(self, bucket: str, name: str, query: dict[str, str]) -> None:
        content = self.buckets.objects.get(f"{bucket}/{name}")
        if content is None:
            return self._fail(404, "No such object")
        assert query["alt"] == "media"
        generation = self.buckets.objects.generations[f"{bucket}/{name}"]
        if query.get("ifGenerationNotMatch") == str(generation):
            return self._send(304, b"")
        if query.get("ifGenerationMatch") not in (None, str(generation)):
            return self._fail(412, "another generation")
        sent = {"x-goog-generation": str(generation)}
        asked = self.headers.get("Range")
        if not asked:
            return self._send(200, content, sent)
        start, _, end = asked.removeprefix("bytes=").partition("-")
        if int(start) >= len(content):
            return self._send(416, b"", sent)
        part = content[int(start) : int(end) + 1 if end else None]
        span = f"bytes {start}-{int(start) + len(part) - 1}/{len(content)}"
        return self._send(206, part, {"Content-Range": span, **sent})

    def _write(
        self, method: str, bucket: str, name: str, query: dict[str, str], body: bytes
    ) -> None:
        buckets, key = self.buckets, f"{bucket}/{name}"
        if buckets.closing and buckets.closing in name:
            buckets.read_only.add(bucket)
        if bucket in buckets.read_only:
            return self._fail(403, "caller does not have storage.objects.create access")
        if buckets.busy:
            return self._fail(buckets.busy.pop(0), "The rate of changes to the object is exceeded.")
        generation = buckets.objects.generations.get(key, 0) if key in buckets.objects else 0
        if query.get("ifGenerationMatch") not in (None, str(generation)):
            return self._fail(412, "At least one of the pre-conditions you specified did not hold.")
        buckets.writes.append(name)
        if method == "DELETE":
            if buckets.objects.pop(key, None) is None:
                return self._fail(404, "No such object")
            status, answer = 204, b""
        else:
            assert query["uploadType"] == "media"
            buckets.objects[key] = body
            generation = buckets.objects.generations[key]
            told = {"name": name, "size": str(len(body)), "generation": str(generation)}
            status, answer = 200, json.dumps(told).encode()
        if buckets.states is not None:
            buckets.states.append(dict(buckets.objects))
        if buckets.lost:
            buckets.lost -= 1
            return self._fail(503, "the answer is lost")
        return self._send(status, answer)

    def _fail(self, status: int, message: str) -> None:
        self._send(status, json.dumps({"error": {"code": status, "message": message}}).encode())

    def _send(self, status: int, content: bytes, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        sent = {"Content-Length": str(len(content)), "x-goog-generation": "1", **(headers or {})}
        for name, value in sent.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:
        """Says nothing of a client that was killed."""


def handler(buckets: FakeBuckets) -> type[_Handler]:
    """What answers for buckets."""
    return type("Handler", (_Handler,), {"buckets": buckets})


@pytest.fixture(scope="session")
def _bucket_server() -> Iterator[FakeBuckets]:
    buckets = FakeBuckets()
    server = Server(("127.0.0.1", 0), handler(buckets))
    buckets.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield buckets
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def buckets(_bucket_server, monkeypatch) -> FakeBuckets:
    """Empty buckets that gs:// leads to, with no credentials about."""
    _bucket_server.reset()
    for name, value in _bucket_server.environment().items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("GOOGLE_APPLICATION_CREDENTIALS", raising=False)
    for retries in ("LOOKING", "WRITING"):
        quick = getattr(client, retries) | {"initial_delay": "0.01s", "max_retries": 4}
        monkeypatch.setattr(client, retries, quick)
    client.forget()
    return _bucket_server
