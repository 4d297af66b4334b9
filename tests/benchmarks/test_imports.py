"""Benchmarks, which take too long for tests, ask for nothing that has moved."""

import ast
import functools
import pathlib

ROOT = pathlib.Path(__file__).parents[2]


@functools.cache
def _names(module: str) -> frozenset[str]:
    """What a module of this repository holds, its modules included."""
    place = ROOT.joinpath(*module.split("."))
    found = {each.stem for each in place.glob("*")}
    path = place / "__init__.py" if place.is_dir() else place.with_suffix(".py")
    if not path.is_file():  # a folder without code of its own, or nothing at all
        return frozenset(found)
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            found.add(node.name)
        elif isinstance(node, ast.alias):
            found.add(node.asname or node.name)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            found.add(node.id)
    return frozenset(found)


def _missing(source: str) -> list[str]:
    return [
        f"{node.module}.{each.name}"
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.ImportFrom)
        and (node.module or "").startswith(("closedbook.", "benchmarks."))
        for each in node.names
        if each.name not in (_names(str(node.module)))
    ]


def test_names_that_benchmarks_import_are_there():
    files = list((ROOT / "benchmarks").rglob("*.py"))
    missing = {str(f): _missing(f.read_text(encoding="utf-8")) for f in files}
    assert {name: each for name, each in missing.items() if each} == {}
    assert len(files) > 30
    old = "from closedbook.data.packing import Stack, first_fit"
    assert _missing(old) == ["closedbook.data.packing.first_fit"]
