"""Start files for clusters: what they say is well formed, and `train.sh` says what comes next."""

import os
import pathlib
import re
import signal
import string
import subprocess
import time

import pytest
import typer

from closedbook.cli import gin_files, t5x

FILES = pathlib.Path(__file__).resolve().parents[1] / "docs" / "clusters"
TRAIN = FILES / "train.sh"
ROOMS = {
    "NAME": "nq-11b",
    "HOSTS": "16",
    "TOPOLOGY": "4x4x4",
    "IMAGE": "gcr.io/p/closedbook",
    "GIN_FILE": "nq_11b.gin",
    "FLAGS": "--gin.MODEL_DIR=\\\"'gs://b/nq'\\\"",
}


@pytest.mark.parametrize("script", sorted(FILES.glob("*.sh")), ids=lambda path: path.name)
def test_scripts_are_well_formed(script):
    subprocess.run(["bash", "-n", script], check=True)
    assert script.stat().st_mode & 0o111


@pytest.mark.parametrize("name", ["gke_tpu.yaml", "gke_gpu.yaml"])
def test_manifests_start_every_host_with_words_that_t5x_takes(name, tmp_path):
    yaml = pytest.importorskip("yaml")
    jobset = yaml.safe_load(string.Template((FILES / name).read_text()).substitute(ROOMS))
    assert (jobset["kind"], jobset["metadata"]["name"]) == ("JobSet", "nq-11b")
    job = jobset["spec"]["replicatedJobs"][0]["template"]["spec"]
    assert job["parallelism"] == job["completions"] == 16
    pod = job["template"]["spec"]
    (container,) = pod["containers"]
    assert pod["terminationGracePeriodSeconds"] >= 120
    # An error of the run is not tried again, and a stop is.
    (rule,) = job["podFailurePolicy"]["rules"]
    assert rule["onExitCodes"]["values"] == [1, 2]
    assert rule["onExitCodes"]["containerName"] == container["name"]
    words = _words(tmp_path, container["command"], {"JOB_COMPLETION_INDEX": "3"})
    arguments = _parsed(words)
    assert arguments["gin_file"] == ["nq_11b.gin"]
    assert arguments["multiprocess_gpu"]
    assert "--gin.MODEL_DIR='gs://b/nq'" in words
    if name == "gke_gpu.yaml":
        assert arguments["coordinator_address"] == "nq-11b-workers-0-0.nq-11b:9876"
        assert (arguments["process_count"], arguments["process_index"]) == (16, 3)


def test_gin_files_that_the_scripts_name_are_there():
    text = "".join(path.read_text() for path in (*FILES.glob("*.sh"), FILES.with_suffix(".md")))
    for name in set(re.findall(r"\b\w+\.gin\b", text)):
        assert (gin_files.PACKAGED / name).exists(), name


def _fake(folder: pathlib.Path, program: str) -> dict[str, str]:
    """An environment whose `t5x` is this program."""
    path = folder / "t5x"
    path.write_text(f"#!/bin/bash\n{program}\n")
    path.chmod(0o755)
    return os.environ | {"PATH": f"{folder}:{os.environ['PATH']}"}


def _words(folder, command, variables) -> list[str]:
    """The words that `t5x` is given by a container's command."""
    environment = _fake(folder, 'printf "%s\\n" "$@"') | variables
    found = subprocess.run(
        command, cwd=FILES.parents[1], env=environment, capture_output=True, text=True, check=True
    )
    return found.stdout.splitlines()


def _parsed(words):
    command = typer.main.get_command(t5x.app).commands[words[0]]
    flags = [word for word in words[1:] if not word.startswith("--gin.")]
    return command.make_context(words[0], flags).params


@pytest.mark.parametrize(
    ("program", "code"),
    [
        ("echo finished at step 9", 0),
        ("kill -6 $$", 2),
        ("exit 127", 2),
        ("echo stopped at step 3", 75),
        ("exit 75", 75),
        ("exit 143", 75),
        ("kill -9 $$", 2),
        ("exit 2", 2),
        ("exit 1", 1),
    ],
)
def test_the_exit_code_says_what_comes_next(program, code, tmp_path):
    environment = _fake(tmp_path, program) | {"CODE_FILE": str(tmp_path / "code")}
    ended = subprocess.run(["bash", TRAIN, "nq_tiny.gin"], env=environment, capture_output=True)
    assert ended.returncode == code
    assert (tmp_path / "code").read_text() == f"{code}\n"


def test_a_crash_after_a_while_may_be_a_machine_s_and_is_tried_again(tmp_path):
    environment = _fake(tmp_path, "kill -9 $$") | {"CRASH_SECONDS": "0"}
    ended = subprocess.run(["bash", TRAIN, "nq_tiny.gin"], env=environment, capture_output=True)
    assert ended.returncode == 75


def test_a_stop_is_passed_on_and_waited_for(tmp_path):
    program = """trap 'sleep 0.5; echo stopped at step 7; exit 0' TERM
touch "$CODE_FILE.begun"; while :; do sleep 0.05; done"""
    environment = _fake(tmp_path, program) | {"CODE_FILE": str(tmp_path / "code")}
    process = subprocess.Popen(
        ["bash", TRAIN, "nq_tiny.gin"], env=environment, stdout=subprocess.PIPE, text=True
    )
    while not (tmp_path / "code.begun").exists():
        assert process.poll() is None
        time.sleep(0.02)
    process.send_signal(signal.SIGTERM)
    said, _ = process.communicate(timeout=20)
    assert (process.returncode, said) == (75, "stopped at step 7\n")
