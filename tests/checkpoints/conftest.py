"""Random models, and a server of buckets that speaks what we need of Cloud Storage's JSON API."""

import http.server
import json
import threading
import urllib.parse
from collections.abc import Callable, Iterator

import numpy as np
import pytest

from closedbook.checkpoints.architecture import parameter_shapes
from closedbook.checkpoints.places import storage
from closedbook.checkpoints.tensors import Checkpoint, Tensor
from closedbook.models import T5Config

PAGE = 3  # objects in one answer to a listing, so that tests see several pages


@pytest.fixture(scope="session")
def random_model() -> Callable[[T5Config], Checkpoint]:
    """Random parameters of the T5 that a configuration describes, by our names."""

    def made(config: T5Config) -> Checkpoint:
        random = np.random.default_rng(0)
        params = {
            name: Tensor.of(random.normal(size=shape).astype(np.float32), name)
            for name, shape in parameter_shapes(config).items()
        }
        return Checkpoint(format="t5x", path="random", params=params)

    return made


class FakeBuckets:
    """What a server holds, and what it was asked.

    Attributes:
        objects: Contents by "bucket/name".
        closed: Buckets that answer 403.
        broken: Answers 503 to everything.
        requests: Paths asked for, in order.
    """

    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {}
        self.closed: set[str] = set()
        self.broken = False
        self.requests: list[str] = []
        self.url = ""


@pytest.fixture(scope="session")
def _bucket_server() -> Iterator[FakeBuckets]:
    buckets = FakeBuckets()

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            _answer(self, buckets)

        def log_message(self, *args: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    buckets.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield buckets
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def buckets(_bucket_server, monkeypatch, tmp_path) -> FakeBuckets:
    """Empty buckets that gs:// leads to, with no credentials about."""
    _bucket_server.objects.clear()
    _bucket_server.closed.clear()
    _bucket_server.requests.clear()
    _bucket_server.broken = False
    monkeypatch.setenv("TENSORSTORE_GCS_HTTP_URL", _bucket_server.url)
    monkeypatch.setenv("GCE_METADATA_ROOT", _bucket_server.url.removeprefix("http://"))
    monkeypatch.setenv("CLOUDSDK_CONFIG", str(tmp_path / "no-credentials"))
    monkeypatch.delenv("GOOGLE_APPLICATION_CREDENTIALS", raising=False)
    monkeypatch.setattr(storage, "_listings", {})
    monkeypatch.setattr(storage, "_RETRIES", storage._RETRIES | {"initial_delay": "0.01s"})
    return _bucket_server


def _answer(handler: http.server.BaseHTTPRequestHandler, buckets: FakeBuckets) -> None:
    url = urllib.parse.urlsplit(handler.path)
    query = dict(urllib.parse.parse_qsl(url.query))
    buckets.requests.append(url.path)
    parts = url.path.split("/", 6)  # "", storage, v1, b, BUCKET, o, NAME
    if buckets.broken:
        return _send(handler, 503, b"try later")
    if parts[1:4] != ["storage", "v1", "b"]:
        return _send(handler, 404, b"")
    bucket = parts[4]
    if bucket in buckets.closed:
        return _fail(handler, 403, "anonymous caller does not have storage.objects.list access")
    held = {
        k.partition("/")[2]: v for k, v in buckets.objects.items() if k.startswith(f"{bucket}/")
    }
    if not held:
        return _fail(handler, 404, "The specified bucket does not exist.")
    if len(parts) == 5:
        return _fail(handler, 401, "Anonymous caller does not have storage.buckets.get access")
    if len(parts) == 6:
        span = query.get("startOffset", ""), query.get("endOffset", "\U0010ffff")
        names = sorted(name for name in held if span[0] <= name < span[1])
        first = int(query.get("pageToken", "0"))
        items = [
            {"name": name, "size": str(len(held[name])), "generation": "1"}
            for name in names[first : first + PAGE]
        ]
        page: dict[str, object] = {"kind": "storage#objects", "items": items}
        if first + PAGE < len(names):
            page["nextPageToken"] = str(first + PAGE)
        return _send(handler, 200, json.dumps(page).encode())
    content = held.get(urllib.parse.unquote(parts[6]))
    if content is None:
        return _fail(handler, 404, "No such object")
    assert query["alt"] == "media"
    asked = handler.headers.get("Range")
    if not asked:
        return _send(handler, 200, content)
    start, _, end = asked.removeprefix("bytes=").partition("-")
    if int(start) >= len(content):
        return _send(handler, 416, b"")
    part = content[int(start) : int(end) + 1 if end else None]
    span = f"bytes {start}-{int(start) + len(part) - 1}/{len(content)}"
    return _send(handler, 206, part, {"Content-Range": span})


def _fail(handler: http.server.BaseHTTPRequestHandler, status: int, message: str) -> None:
    _send(handler, status, json.dumps({"error": {"code": status, "message": message}}).encode())


def _send(
    handler: http.server.BaseHTTPRequestHandler,
    status: int,
    content: bytes,
    headers: dict[str, str] | None = None,
) -> None:
    handler.send_response(status)
    sent = {"Content-Length": str(len(content)), "x-goog-generation": "1", **(headers or {})}
    for name, value in sent.items():
        handler.send_header(name, value)
    handler.end_headers()
    handler.wfile.write(content)
