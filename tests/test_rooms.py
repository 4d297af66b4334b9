"""What may import what, as the architecture says (docs/architecture.md); lazy imports included."""

import ast
import collections
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
COMMON = {"__init__", "appended_files", "buckets", "cache_folders", "compiled_programs", "digests"}
COMMON |= {"errors", "file_faults", "folder_locks", "lock_stores", "memory", "on_import"}
COMMON |= {"this_machine", "whole_files"}
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
ROOMS = {path.name for path in PACKAGE.iterdir() if path.is_dir()} - {"__pycache__"}
# gin holds no Python that could be imported: the command line reads its files.
OWNER_OF_GIN = pathlib.Path("closedbook/cli/gin_files/packaged.py")
FOLDERS = ("closedbook", "tasks", "eval", "gin", "tests", "benchmarks", ".ci")


def room_of(module: pathlib.Path) -> str:
    """The room of a file of the package; files beside the rooms are rooms of their own."""
    return module.with_suffix("").parts[1]


def imports(module: pathlib.Path, *, when: str = "ever") -> Iterator[str]:
    """Full names of what a file imports, wherever in the file the import stands.

    Args:
        module: The file.
        when: "ever"; "running", which leaves out what only the type checker reads; or "loading",
            which leaves out what functions import too.
    """
    tree = ast.parse((REPOSITORY / module).read_text(encoding="utf-8"))
    for node in ast.walk(tree) if when == "ever" else _executed(tree, when):
        match node:
            case ast.Import(names=names):
                yield from (name.name for name in names)
            case ast.ImportFrom(module=str(origin), names=names):
                yield from (f"{origin}.{name.name}" for name in names)
            case ast.Call(
                func=ast.Attribute(attr="import_module"), args=[ast.Constant(value=str(name)), *_]
            ):
                yield name


def _executed(node: ast.AST, when: str) -> Iterator[ast.AST]:
    for child in ast.iter_child_nodes(node):
        if when == "loading" and isinstance(
            child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda
        ):
            continue
        if isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test):
            continue
        yield child
        yield from _executed(child, when)


def dotted(module: pathlib.Path) -> str:
    """The name under which a file is imported."""
    return ".".join(module.with_suffix("").parts).removesuffix(".__init__")


NAMES = {dotted(module): module for module in MODULES}


def resolved(name: str) -> str:
    """The module of the package that an imported name is or lies in; "" for other packages."""
    while name and name not in NAMES:
        name = name.rpartition(".")[0]
    return name


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
    bare = set(re.findall(r"`(\w+\.py)`", page)) - {"__init__.py"}
    assert bare <= {module.name for module in MODULES}, "a file without its folder"


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
        found = {name.split(".")[0] for name in imports(module, when="loading")}
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
    names = [dotted(module) for module in MODULES if room_of(module) not in {"tasks", "__main__"}]
    program = (
        f"import importlib, sys\nfor name in {names!r}:\n"
        "    importlib.import_module(name)\n"
        "    assert 'tensorflow' not in sys.modules, name"
    )
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr


def test_no_python_file_is_longer_than_400_lines():
    long = {
        str(path.relative_to(REPOSITORY)): lines
        for folder in FOLDERS
        for path in (REPOSITORY / folder).rglob("*.py")
        if (lines := len(path.read_text(encoding="utf-8").splitlines())) > 400
    }
    assert long == {}, "a file over 400 lines wants to be two"


def test_no_folder_has_more_than_20_python_files():
    files = {path for folder in FOLDERS for path in (REPOSITORY / folder).rglob("*.py")}
    counts = collections.Counter(str(path.parent.relative_to(REPOSITORY)) for path in files)
    crowded = {folder: count for folder, count in counts.items() if count > 20}
    assert crowded == {}, "a folder of more than 20 files wants rooms"


def test_modules_import_each_other_without_circles():
    graph = {
        name: {resolved(each) for each in imports(module, when="running")} - {"", name}
        for name, module in NAMES.items()
    }
    try:
        list(graphlib.TopologicalSorter(graph).static_order())
    except graphlib.CycleError as error:
        pytest.fail(f"a circle of imports: {' <- '.join(error.args[1])}")


def test_places_and_file_formats_know_no_model():
    lower = {PACKAGE / "checkpoints" / folder for folder in ("places", "files")}
    found = {
        str(module): name
        for module in MODULES
        if (REPOSITORY / module).parent in lower
        for name in map(resolved, imports(module))
        if re.match(r"closedbook\.(models|checkpoints\.(card|architecture|huggingface|t5x))", name)
    }
    assert found == {}


def test_of_tasks_checkpoints_knows_the_packaged_models_alone():
    for module in MODULES:
        if room_of(module) == "checkpoints":
            found = {resolved(name) for name in imports(module)}
            assert {name for name in found if name.startswith("closedbook.tasks")} <= {
                "closedbook.tasks.atlas"
            }, module


@pytest.mark.parametrize("module", MODULES, ids=str)
def test_a_room_reaches_another_by_import_and_not_by_its_path(module):
    found = [*paths_out_of(module, (REPOSITORY / module).read_text(encoding="utf-8"))]
    assert found == []


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("pathlib.Path(__file__).resolve().parent.parent / 'x'", "climbs out"),
        ("pathlib.Path(__file__).parents[1]", "climbs out"),
        ("HERE = pathlib.Path(__file__).parent\nHERE.parent.joinpath('tasks')", "climbs out"),
        ("os.path.dirname(os.path.dirname(__file__))", "climbs out"),
        ("from closedbook.tasks import atlas\natlas.__file__", "of closedbook.tasks.atlas"),
        ("import closedbook.tasks\nclosedbook.tasks.__file__", "of closedbook.tasks"),
        ("import closedbook\nclosedbook.__path__[0] + '/x'", "of closedbook"),
        ("importlib.resources.files('closedbook.tasks.atlas')", "of closedbook.tasks.atlas"),
        ("importlib.resources.files('closedbook')", "of closedbook"),
        ("from closedbook.cli.gin_files import PACKAGED\nPACKAGED.parent / 'tasks'", "tasks"),
        ("root.parent.joinpath('tasks', 'atlas')", "tasks"),
        ("os.path.join(root.parent, 'tasks/atlas')", "tasks"),
    ],
)
def test_a_path_to_another_room_is_seen(line, message):
    module = pathlib.Path("closedbook/models/made_up.py")
    assert message in " ".join(paths_out_of(module, line))


@pytest.mark.parametrize(
    "line",
    [
        "pathlib.Path(__file__).resolve().parent / 'weights'",
        "folder.parent.parent / 'checkpoint_1'",
        "pathlib.Path(out) / 'eval' / 'x'",
        "from closedbook.models import sizes\nsizes.__file__",
        "importlib.resources.files('closedbook.models')",
        "import numpy\nnumpy.__file__",
    ],
)
def test_a_path_inside_the_own_room_is_free(line):
    assert [*paths_out_of(pathlib.Path("closedbook/models/made_up.py"), line)] == []


def paths_out_of(module: pathlib.Path, text: str) -> Iterator[str]:
    """Where a file goes to another room by a path: each place and what is wrong there."""
    if module == OWNER_OF_GIN:
        return
    tree = ast.parse(text)
    own = f"closedbook.{room_of(module)}"
    names: dict[str, str] = {}  # of imported things
    climbed: dict[str, int] = {}  # variables that hold a folder: how far above the file it lies
    for node in ast.walk(tree):
        match node:
            case ast.Import(names=found):
                for each in found:
                    whole = each.asname or each.name.partition(".")[0]
                    names[whole] = each.name if each.asname else whole
            case ast.ImportFrom(module=str(origin), names=found):
                names |= {each.asname or each.name: f"{origin}.{each.name}" for each in found}
            case ast.Assign(targets=[ast.Name(id=name)], value=value) if (
                height := _height(value, climbed)
            ) is not None:
                climbed[name] = height
    most = len(module.parts) - 2  # from closedbook/room/file.py one step to the room
    for node in ast.walk(tree):
        place = f"{module}:{getattr(node, 'lineno', 0)}: "
        if isinstance(node, ast.expr) and (_height(node, climbed) or 0) > most:
            yield f"{place}{ast.unparse(node)} climbs out of the room"
        target = ""
        match node:
            case ast.Attribute(value=value, attr="__file__" | "__path__"):
                first, _, rest = ast.unparse(value).partition(".")
                target = ".".join(filter(None, (names.get(first, ""), rest)))
            case ast.Call(
                func=ast.Attribute(attr="files") | ast.Name(id="files"),
                args=[ast.Constant(value=str(target))],
            ):
                pass
        if f"{target}.".startswith("closedbook.") and not f"{target}.".startswith(f"{own}."):
            yield f"{place}the path of {target}"
        base, part = _step(node)
        room = part.partition("/")[0]
        if room in ROOMS - {room_of(module)} and _goes_up(base) and _height(base, climbed) is None:
            yield f"{place}a path to {room}"


def _height(node: ast.AST, climbed: dict[str, int]) -> int | None:
    """How many folders above the own file a path goes; None for other values."""
    match node:
        case ast.Name(id="__file__"):
            return 0
        case ast.Name(id=name):
            return climbed.get(name)
        case ast.Attribute(value=value, attr="parent"):
            below = _height(value, climbed)
            return None if below is None else below + 1
        case ast.Subscript(
            value=ast.Attribute(value=value, attr="parents"), slice=ast.Constant(value=int(number))
        ):
            below = _height(value, climbed)
            return None if below is None else below + 1 + number
        case ast.Call(func=ast.Attribute(attr="dirname"), args=[value]):
            below = _height(value, climbed)
            return None if below is None else below + 1
        case ast.Call(func=ast.Attribute(value=ast.Name(), attr="Path" | "abspath"), args=[value]):
            return _height(value, climbed)
        case ast.Call(func=ast.Attribute(value=value, attr="resolve" | "absolute"), args=[]):
            return _height(value, climbed)
    return None


def _step(node: ast.AST) -> tuple[ast.AST, str]:
    """A path and the literal part that is put behind it; "" for other expressions."""
    match node:
        case ast.BinOp(left=base, op=ast.Div(), right=ast.Constant(value=str(part))):
            return base, part
        case ast.Call(
            func=ast.Attribute(value=base, attr="joinpath"),
            args=[ast.Constant(value=str(part)), *_],
        ):
            return base, part
        case ast.Call(
            func=ast.Attribute(attr="join"), args=[base, ast.Constant(value=str(part)), *_]
        ):
            return base, part
    return node, ""


def _goes_up(base: ast.AST) -> bool:
    match base:
        case ast.Attribute(attr="parent") | ast.Subscript(value=ast.Attribute(attr="parents")):
            return True
    return False
