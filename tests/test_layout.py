"""The layout that lets wheels, editable installs, mypy and pytest see one module each."""

import os
import pathlib
import subprocess
import sys

import pytest

REPOSITORY = pathlib.Path(__file__).resolve().parent.parent


@pytest.mark.parametrize("room", ["tasks", "eval", "gin"])
def test_room_inside_the_package_is_a_relative_link_to_the_top_level_folder(room):
    link = REPOSITORY / "closedbook" / room
    assert link.is_symlink()
    assert os.readlink(link) == f"../{room}"
    assert link.resolve() == REPOSITORY / room
    assert (REPOSITORY / room).is_dir()


@pytest.mark.parametrize("room", ["tasks", "eval"])
def test_room_refuses_to_be_imported_under_its_bare_name(room):
    result = subprocess.run(
        [sys.executable, "-c", f"import {room}"], cwd=REPOSITORY, capture_output=True, text=True
    )
    assert result.returncode == 1
    assert f"ImportError: import closedbook.{room}, not {room}" in result.stderr


def test_gin_folder_does_not_shadow_gin_config():
    assert not list((REPOSITORY / "gin").rglob("__init__.py"))
    program = "import gin; gin.parse_config"
    subprocess.run([sys.executable, "-c", program], cwd=REPOSITORY, check=True)


def test_tests_have_no_packages_that_could_shadow_the_code():
    assert not list((REPOSITORY / "tests").rglob("__init__.py"))


def test_lock_names_packages_and_versions_alone():
    lines = (REPOSITORY / "requirements.lock").read_text(encoding="utf-8").splitlines()
    pins = [line for line in lines if line and not line.lstrip().startswith("#")]
    assert len(pins) > 100
    assert [line for line in pins if "==" not in line] == []
    assert [line for line in lines if "://" in line or line.startswith("-")] == []
