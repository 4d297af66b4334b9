"""What may import what, as the architecture says (docs/architecture.md); lazy imports included."""

import ast
import graphlib
import pathlib
import re
import subprocess
import sys
from collections.abc import Iterator

import pytest

REPOSITORY = pathlib.Path(__file__).resolve().parent.parent
PACKAGE = REPOSITORY / "closedbook"

# The rooms that each room may import, beside itself and closedbook.errors. Only cli may all.
# Training decodes and scores in its loop; data asks tasks for examples, and normalises questions
# as eval does when it looks for test questions in the training set. The packaged models, which
# checkpoints finds by name, are the atlas's.
ALLOWED: dict[str, set[str]] = {
    "checkpoints": {"models", "vocabulary", "tasks"},
    "corpora": {"tasks"},
    "data": {"tasks", "eval", "vocabulary"},
    "eval": set(),
    "inference": {"models"},
    "knowledge": {"inference", "models", "checkpoints", "vocabulary", "eval", "tasks", "corpora"},
    "models": {"vocabulary"},
    "parallel": set(),
    "tasks": {"eval", "vocabulary"},
    "telemetry": set(),
    "training": {
        *("models", "data", "parallel", "checkpoints", "telemetry"),
        *("inference", "vocabulary", "eval"),
    },
    "vocabulary": set(),
}
COMMON = {"errors", "whole_files", "on_import", "__init__"}
# Take seconds to import, reserve GPU memory, or are not there on a machine with GPUs.
TENSORFLOW = {
    "tensorflow",
    "tensorflow_datasets",
    "tensorflow_text",
    "seqio",
    "t5",
    "mesh_tensorflow",
}
JAX = {"jax", "jaxlib", "flax", "optax", "orbax", "chex"}

MODULES = sorted(
    path.relative_to(REPOSITORY)
    for folder in [PACKAGE, *(path for path in PACKAGE.iterdir() if path.is_symlink())]
    for path in folder.rglob("*.py")
)


def room_of(module: pathlib.Path) -> str:
    """The room of a file of the package; files beside the rooms are rooms of their own."""
    return module.with_suffix("").parts[1]


def imports(module: pathlib.Path, *, top_level_only: bool = False) -> Iterator[str]:
    """Full names of what a file imports, wherever in the file the import stands."""
    tree = ast.parse((REPOSITORY / module).read_text(encoding="utf-8"))
    nodes = _at_import_time(tree) if top_level_only else ast.walk(tree)
    for node in nodes:
        match node:
            case ast.Import(names=names):
                yield from (name.name for name in names)
            case ast.ImportFrom(module=str(origin), names=names):
                yield from (f"{origin}.{name.name}" for name in names)
            case ast.Call(
                func=ast.Attribute(attr="import_module"), args=[ast.Constant(value=str(name)), *_]
            ):
                yield name


def _at_import_time(node: ast.AST) -> Iterator[ast.AST]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            continue
        if isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test):
            continue
        yield child
        yield from _at_import_time(child)


def rooms_imported(module: pathlib.Path) -> set[str]:
    return (
        {name.split(".")[1] for name in imports(module) if name.startswith("closedbook.")}
        - COMMON
        - {"__version__"}
    )


def test_rules_are_those_of_the_architecture_page():
    page = (REPOSITORY / "docs" / "architecture.md").read_text(encoding="utf-8")
    table = page.split("| room | may import |\n|---|---|\n")[1].split("\n\n")[0]
    rules = {}
    for row in table.splitlines():
        rooms, allowed = (set(re.findall(r"`(\w+)`", cell)) for cell in row.strip("|").split("|"))
        rules.update(dict.fromkeys(rooms, allowed))
    # A room that is planned and not yet there has a rule and no line on the page.
    assert rules == {room: ALLOWED[room] for room in ALLOWED if (PACKAGE / room).exists()}


def test_files_named_by_the_architecture_page_exist():
    page = (REPOSITORY / "docs" / "architecture.md").read_text(encoding="utf-8")
    named = re.findall(r"`((?:closedbook|tasks|eval|gin|tests)/[\w/.]*)`", page)
    assert len(named) > 10
    assert [path for path in named if not (REPOSITORY / path).exists()] == []


def test_every_room_has_a_rule():
    assert {room_of(module) for module in MODULES} - COMMON - {"cli", "__main__"} <= set(ALLOWED)


@pytest.mark.parametrize("module", MODULES, ids=str)
def test_module_imports_only_rooms_it_may(module):
    room = room_of(module)
    if room in {"cli", "__main__"}:
        return
    allowed = ALLOWED.get(room, set()) | {room}
    assert rooms_imported(module) <= allowed, f"{room} may import {sorted(allowed)}"


def test_rooms_import_each_other_without_cycles():
    graph: dict[str, set[str]] = {}
    for module in MODULES:
        room = room_of(module)
        graph.setdefault(room, set()).update(rooms_imported(module) - {room})
    list(graphlib.TopologicalSorter(graph).static_order())


@pytest.mark.parametrize("module", MODULES, ids=str)
def test_only_data_tasks_and_the_mesh_tf_converter_import_tensorflow(module):
    if room_of(module) in {"data", "tasks"} or module.stem == "mesh_tf":
        found = {name.split(".")[0] for name in imports(module, top_level_only=True)}
        assert room_of(module) == "tasks" or not found & TENSORFLOW, "import it inside a function"
    else:
        assert not {name.split(".")[0] for name in imports(module)} & TENSORFLOW


@pytest.mark.parametrize("module", [m for m in MODULES if room_of(m) == "eval"], ids=str)
def test_eval_imports_neither_jax_nor_tensorflow(module):
    assert not {name.split(".")[0] for name in imports(module)} & (TENSORFLOW | JAX)


@pytest.mark.parametrize("module", sorted((PACKAGE / "models").glob("*.py")), ids=lambda m: m.name)
def test_what_families_of_models_share_names_no_family(module):
    if module.stem in {"__init__", "families"}:  # the face, and the one list of families
        return
    families = [p.name for p in module.parent.iterdir() if (p / "__init__.py").exists()]
    assert families
    for family in families:
        found = [name for name in imports(module) if name.startswith(f"closedbook.models.{family}")]
        assert not found
    assert "T5Config" not in module.read_text(encoding="utf-8")


def test_one_place_asks_whether_layers_are_scanned():
    asking = {
        str(module)
        for module in MODULES
        for node in ast.walk(ast.parse((REPOSITORY / module).read_text(encoding="utf-8")))
        if isinstance(node, ast.Attribute) and node.attr == "scan_layers"
    }
    assert asking == {"closedbook/models/stack.py"}


def test_whole_package_but_tasks_starts_without_tensorflow():
    names = [
        ".".join(module.with_suffix("").parts).removesuffix(".__init__")
        for module in MODULES
        if room_of(module) not in {"tasks", "__main__"}
    ]
    program = (
        f"import importlib, sys\nfor name in {names!r}:\n"
        "    importlib.import_module(name)\n"
        "    assert 'tensorflow' not in sys.modules, name"
    )
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr


def test_no_python_file_is_longer_than_400_lines():
    folders = ["closedbook", "tasks", "eval", "gin", "tests", "benchmarks", ".ci"]
    long = {
        str(path.relative_to(REPOSITORY)): lines
        for folder in folders
        for path in (REPOSITORY / folder).rglob("*.py")
        if (lines := len(path.read_text(encoding="utf-8").splitlines())) > 400
    }
    assert long == {}, "a file over 400 lines wants to be two"
