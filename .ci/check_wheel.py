"""Builds sdist and wheel, and proves that the wheel works where there is no checkout.

The sdist is built from the checkout and the wheel from the sdist. Both must hold every tracked
file of the package, real files under `closedbook/` in place of the links. The wheel is installed
with its declared dependencies, at the lock's versions, into a fresh environment; from a folder
outside the checkout the commands run there without a network, where the system can cut it.

    python .ci/check_wheel.py            # a fresh environment, as CI does
    python .ci/check_wheel.py --reuse    # with the packages of this environment: quick
"""

import argparse
import os
import pathlib
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import tempfile
import time
import venv
import zipfile

CHECKOUT = pathlib.Path(__file__).resolve().parent.parent
LINKED = ("tasks", "eval", "gin")  # top-level folders that are links inside closedbook/
COMMANDS = (
    (["closedbook", "ask", "What is the capital of France?"], "Paris"),
    (["t5x", "train", "--gin_file=nq_11b.gin", "--dry_run"], "natural_questions_open"),
    (["closedbook", "analyze", "../inputs/a.jsonl", "--out", "../report"], "phrasing           1"),
    (["closedbook", "compare", "../inputs/a.jsonl", "../inputs/b.csv", "--out", "../pair"], "n 2"),
)
INPUTS = {
    "a.jsonl": (
        '{"question": "when does it end", "answers": ["April 15"], "prediction": "April 15th"}\n'
        '{"question": "who wrote dracula", "answers": ["Bram Stoker"], "prediction": "Dan Brown"}\n'
    ),
    "b.csv": (
        "question,answers,prediction\n"
        "when does it end,\"['April 15']\",April 15\n"
        "who wrote dracula,Bram Stoker,Bram Stoker\n"
    ),
}
MADE = ("report/report.html", "report/figures/errors.pdf", "pair/report.html")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--reuse", action="store_true", help="do not install dependencies afresh")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="closedbook-wheel-") as name:
        folder = pathlib.Path(name)
        wheel = _build(folder / "dist")
        binaries = _install(wheel, folder / "fresh", reuse=arguments.reuse)
        _run_commands(binaries, folder / "outside")
    print("The wheel is whole, and its commands run outside the checkout.")


def _build(folder: pathlib.Path) -> pathlib.Path:
    """Builds both archives and compares them with the tracked files; returns the wheel."""
    with _Timed("built sdist and wheel"):
        _call([sys.executable, "-m", "build", "--no-isolation", "--outdir", str(folder)])
    [wheel], [sdist] = folder.glob("*.whl"), folder.glob("*.tar.gz")
    expected = _package_files()
    with zipfile.ZipFile(wheel) as archive:
        _compare(wheel.name, expected, set(archive.namelist()))
    with tarfile.open(sdist) as archive:
        links = [member.name for member in archive.getmembers() if member.issym()]
        if links:
            sys.exit(f"{sdist.name} holds links where files should be: {', '.join(links)}")
        names = {member.name.partition("/")[2] for member in archive.getmembers()}
    _compare(sdist.name, expected | {"setup.py", "pyproject.toml", "README.md"}, names)
    return wheel


def _package_files() -> set[str]:
    """Paths inside the package of every tracked file of the checkout's package folders."""
    output = subprocess.run(
        ["git", "ls-files", "-z", "closedbook", *LINKED],
        cwd=CHECKOUT,
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    links = {f"closedbook/{folder}" for folder in LINKED}
    paths = {path for path in output.split("\0") if path} - links
    return {path if path.startswith("closedbook/") else f"closedbook/{path}" for path in paths}


def _compare(archive: str, expected: set[str], found: set[str]) -> None:
    missing = sorted(expected - found)
    if missing:
        sys.exit(f"{archive} lacks {len(missing)} files, see setup.py: {', '.join(missing[:20])}")
    stray = [name for name in found if "__pycache__" in name]
    if stray:
        sys.exit(f"{archive} holds caches: {', '.join(stray[:20])}")
    print(f"{archive}: all {len(expected)} files of the package")


def _install(wheel: pathlib.Path, folder: pathlib.Path, *, reuse: bool) -> pathlib.Path:
    """Installs the wheel into a new environment; returns its folder of commands."""
    with _Timed("installed the wheel into a fresh environment"):
        venv.create(folder, with_pip=True)
        python = folder / "bin" / "python"
        pip = [str(python), "-m", "pip", "install", "-qq", "--disable-pip-version-check"]
        if reuse:
            site = sysconfig.get_path("purelib", vars={"base": str(folder)})
            # A folder named in a .pth file is searched last, and its own .pth files, such as the
            # checkout's editable install, are not read.
            locked = sysconfig.get_path("purelib")
            (pathlib.Path(site) / "locked.pth").write_text(f"{locked}\n", encoding="utf-8")
            _call([*pip, "--no-deps", "--force-reinstall", str(wheel)])
        else:
            lock = str(CHECKOUT / "requirements.lock")
            _call([*pip, "--no-compile", "--constraint", lock, str(wheel)])
    return folder / "bin"


def _run_commands(binaries: pathlib.Path, folder: pathlib.Path) -> None:
    folder.mkdir()
    inputs = folder.parent / "inputs"
    inputs.mkdir()
    for name, content in INPUTS.items():
        (inputs / name).write_text(content, encoding="utf-8")
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith("PYTHON")
    }
    for command, expected in COMMANDS:
        shown = " ".join(command)
        with _Timed(f"ran {shown}"):
            result = subprocess.run(
                [*_without_network(), str(binaries / command[0]), *command[1:]],
                cwd=folder,
                env=environment,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=300,
            )
        if result.returncode or expected not in result.stdout:
            sys.exit(
                f"{shown}: exit code {result.returncode}, expected 0 and {expected!r} in\n"
                f"{result.stdout}\n{result.stderr}"
            )
    missing = [name for name in MADE if not (folder.parent / name).is_file()]
    if missing:
        sys.exit(f"the commands did not make {', '.join(missing)}")
    left = [path.name for path in folder.iterdir()]
    if left:
        sys.exit(f"the commands left files behind: {', '.join(left)}")


def _without_network() -> list[str]:
    """What to put before a command so that it has no network; nothing where that is not allowed."""
    words = ["unshare", "--map-root-user", "--net"]
    if (
        shutil.which("unshare")
        and not subprocess.run([*words, "true"], capture_output=True).returncode
    ):
        return words
    print("note: this system cannot cut the network; the commands run with it")
    return []


def _call(command: list[str]) -> None:
    result = subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True)
    if result.returncode:
        sys.exit(f"{' '.join(command)} failed:\n{result.stdout}\n{result.stderr}")


class _Timed:
    """Prints what was done and how long it took."""

    def __init__(self, what: str) -> None:
        self._what = what

    def __enter__(self) -> None:
        self._start = time.monotonic()

    def __exit__(self, *_: object) -> None:
        print(f"{self._what}: {time.monotonic() - self._start:.1f} s", flush=True)


if __name__ == "__main__":
    main()
