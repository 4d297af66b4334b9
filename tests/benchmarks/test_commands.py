"""Benchmarks, most of which no other test starts: names that they import, flags that pages give."""

import ast
import pathlib
import re

import pytest

REPOSITORY = pathlib.Path(__file__).resolve().parent.parent.parent
FILES = sorted((REPOSITORY / "benchmarks").rglob("*.py"))
PAGES = [*sorted((REPOSITORY / "docs").rglob("*.md")), REPOSITORY / "benchmarks" / "README.md"]
# A command, to the end of its span or line.
COMMAND = re.compile(r"python (?:-m benchmarks\.([\w.]+)|benchmarks/([\w/]+)\.py)([^`\n]*)")


def names_of(file: pathlib.Path) -> set[str]:
    """Every name that a module's own code makes, wherever it stands."""
    found = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        match node:
            case ast.FunctionDef(name=name) | ast.ClassDef(name=name):
                found.add(name)
            case ast.Name(id=name, ctx=ast.Store()):
                found.add(name)
            case ast.Import(names=taken) | ast.ImportFrom(names=taken):
                found.update(each.asname or each.name for each in taken)
            case ast.Constant(value=str(name)):  # modules that load their names when asked
                found.add(name)
    return found


def missing(code: str) -> list[str]:
    """What the code imports of this repository's modules and is not there."""
    lacks = []
    for node in ast.walk(ast.parse(code)):
        if not isinstance(node, ast.ImportFrom) or not node.module:
            continue
        parts = node.module.split(".")
        if parts[0] in ("closedbook", "benchmarks"):
            place = REPOSITORY.joinpath(*parts)
            file = place / "__init__.py" if place.is_dir() else place.with_suffix(".py")
            known = names_of(file) if file.exists() else set()
            known |= {path.stem for path in place.iterdir()} if place.is_dir() else set()
            lacks += [f"{node.module}.{each.name}" for each in node.names if each.name not in known]
    return lacks


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(REPOSITORY)))
def test_names_that_a_benchmark_imports_are_there(file):
    assert missing(file.read_text(encoding="utf-8")) == []


def test_a_name_that_has_gone_is_told():
    code = "from closedbook.data.packing import first_fit, Stack\nfrom closedbook.gone import it"
    assert missing(code) == ["closedbook.data.packing.first_fit", "closedbook.gone.it"]


def unknown(text: str) -> list[str]:
    """Benchmarks and flags of commands on a page that are not in the code."""
    lacks = []
    for module, script, words in COMMAND.findall(text.replace("\\\n", " ")):
        place = REPOSITORY / "benchmarks" / (script or module.replace(".", "/"))
        file = place / "__main__.py" if place.is_dir() else place.with_suffix(".py")
        code = file.read_text(encoding="utf-8") if file.exists() else ""
        flags = re.findall(r"(?<!\S)--[\w-]+", words)
        lacks += [f"{place.name} {flag}" for flag in flags if f'"{flag}"' not in code]
        lacks += [] if code else [place.name]
    return lacks


def test_commands_of_benchmarks_on_pages_take_their_flags():
    found = {page.name: unknown(page.read_text(encoding="utf-8")) for page in PAGES}
    assert {page: lacks for page, lacks in found.items() if lacks} == {}


def test_a_flag_and_a_benchmark_that_have_gone_are_told():
    page = "`python -m benchmarks.training --layers 2 --peers`\npython benchmarks/gone.py \\\n  --x"
    assert unknown(page) == ["training --peers", "gone --x", "gone"]
