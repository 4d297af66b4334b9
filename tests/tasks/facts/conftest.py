"""Made-up fact files, and the real ones unpacked once."""

import json
import pathlib
import tarfile

import pytest


@pytest.fixture
def write(tmp_path):
    """Writes rows as JSON lines (or any value as one JSON file) and gives the path."""

    def make(name: str, *rows: object, whole: object = None) -> pathlib.Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        lines = [row if isinstance(row, str) else json.dumps(row) for row in rows]
        text = json.dumps(whole, indent=1) if whole is not None else "\n".join(lines) + "\n"
        path.write_text(text, encoding="utf-8")
        return path

    return make


@pytest.fixture(scope="session")
def unpacked(shared, tmp_path_factory):
    """Unpacks a part of an archive of shared data: `unpacked("probe", "probe/lama")`."""
    root = tmp_path_factory.mktemp("facts")
    done: set[str] = set()

    def get(archive: str, under: str) -> pathlib.Path:
        packed = shared / "data" / f"{archive}.tar.xz"
        if not packed.is_file():
            pytest.skip(f"no {packed}")
        if under not in done:
            done.add(under)
            with tarfile.open(packed) as tar:
                members = [
                    member
                    for member in tar.getmembers()
                    if member.name.removeprefix("./").startswith(f"{under}/")
                ]
                tar.extractall(root, members, filter="data")
        return root / under

    return get
