"""Memory and exchange of every size on TPU slices and GPUs, compiled ahead: a table of `--fit`.

Each cell is a process of its own that looks for the fastest settings with which the train step of a
packaged gin file fits, by the device's own compiler. Cells that are done are kept (a JSON line
each, beside a log each), so a run can be stopped and started again:

    nice python -m benchmarks.ahead run --out cells.jsonl [--cells nq_11b.gin@h200 ...]
    python -m benchmarks.ahead table --out cells.jsonl

Needs the compilers of closedbook[tpu-aot] and closedbook[cuda-aot]. Layers are scanned in all
cells: one layer is compiled, and memory is that of unrolled ones or a little more.
"""

import argparse
import datetime
import json
import pathlib
import subprocess
import sys
import time

SIZES = {
    "nq_base.gin": "T5 base",
    "nq_11b.gin": "T5 11B",
    "nq_3b.gin": "T5 3B",
    "nq_large.gin": "T5 large",
    "nq_1_1_xxl.gin": "T5.1.1 XXL",
    "nq_1_1_xl.gin": "T5.1.1 XL",
    "nq_1_1_large.gin": "T5.1.1 large",
    "nq_1_1_base.gin": "T5.1.1 base",
}
TOPOLOGIES = {
    "h200": "1 H200",
    "h200:8": "8 H200",
    "v5e:2x4": "v5e, 8 chips",
    "v5p:2x2x2": "v5p, 8 chips",
    "v6e:2x4": "v6e, 8 chips",
    "v5e:8x8": "v5e, 64 chips",
    "v5p:4x4x4": "v5p, 64 chips",
    "v6e:8x8": "v6e, 64 chips",
}
BINDINGS = ["network.T5Config.scan_layers = True", "MODEL_DIR = '/not/written'"]
MFU = 0.4
_GIB = 2**30


def cell(gin_file: str, topology: str) -> dict:
    """Looks for what fits; to be called in a process of its own."""
    from closedbook.cli import gin_files
    from closedbook.errors import UserError
    from closedbook.parallel.topologies import topology as devices_of
    from closedbook.training.ahead import table
    from closedbook.training.ahead.fit import fit
    from closedbook.training.ahead.plan import Run

    devices = devices_of(topology)
    run = Run.of(gin_files.resolve("train", [gin_file], BINDINGS, []))
    try:
        found = fit(run, devices, mfu=MFU, train_step_alone=True)
    except UserError as error:
        return {"fits": False, "why": str(error)}
    return table.as_json(found, run)


def run_cells(out: pathlib.Path, wanted: list[str], seconds: float) -> None:
    """Runs the cells that are not in the file yet, the most asked for first."""
    import jax

    for name in wanted or [f"{size}@{slice_}" for size in SIZES for slice_ in TOPOLOGIES]:
        if name in _done(out):
            continue
        began = time.monotonic()
        row: dict = {"cell": name, "date": f"{datetime.date.today()}", "jax": jax.__version__}
        command = [sys.executable, "-m", "benchmarks.ahead", "cell", *name.split("@")]
        told = out.with_suffix(f".{name.replace(':', '_')}.log")
        try:
            with told.open("w", encoding="utf-8") as log:
                made = subprocess.run(
                    command, stdout=subprocess.PIPE, stderr=log, text=True, timeout=seconds
                )
        except subprocess.TimeoutExpired:
            row["error"] = f"not done after {seconds:.0f} s"
        else:
            words = told.read_text(encoding="utf-8")
            row["tried"] = words.count("reckoned to need")
            if made.returncode:
                row["error"] = words.strip().splitlines()[-1]
            else:
                row |= json.loads(made.stdout.splitlines()[-1])
        row["seconds"] = round(time.monotonic() - began, 1)
        with out.open("a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")
        print(name, row.get("error") or row.get("fits"), f"{row['seconds']:.0f} s", flush=True)


def _done(out: pathlib.Path) -> dict[str, dict]:
    """Cells by name; one that failed is run again."""
    lines = out.read_text(encoding="utf-8").splitlines() if out.exists() else []
    rows = map(json.loads, lines)
    return {row["cell"]: row for row in rows if "error" not in row}


def print_table(out: pathlib.Path) -> None:
    """Prints the cells that are done as Markdown, and names the others."""
    done = _done(out)
    print("| model | devices | remat, partitions, microbatches | GiB a device |", end="")
    print(" step at 40% MFU | exchanged, GB a device and step |")
    print("|---|---|---|---|---|---|")
    left = []
    for size, model in SIZES.items():
        for slice_, devices in TOPOLOGIES.items():
            if row := done.get(f"{size}@{slice_}"):
                print("|", " | ".join([model, devices, *_cells(row)]), "|")
            else:
                left.append(f"{model} on {devices}")
    print(f"\nNot compiled: {'; '.join(left) or 'none'}.")


def _cells(row: dict) -> list[str]:
    if not row["fits"]:
        return ["nothing fits", "", "", ""]
    settings, (step,) = row["settings"], row["programs"]
    chosen = (settings["remat_policy"], settings["partitions"], settings["microbatches"])
    kinds: dict[str, int] = {}
    for each in step["exchanged"]:
        kinds[each["kind"]] = kinds.get(each["kind"], 0) + each["bytes"]
    return [
        ", ".join(map(str, chosen)),
        f"{row['needed'] / _GIB:.1f} of {row['device_memory'] / _GIB:.1f}",
        f"{row['step_seconds']:.2g} s",
        ", ".join(f"{kind} {size / 1e9:.1f}" for kind, size in kinds.items()) or "nothing",
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(dest="command", required=True)
    one = commands.add_parser("cell", help="one size on one kind of devices, printed as JSON")
    one.add_argument("gin_file", help="such as nq_11b.gin")
    one.add_argument("topology", help="such as v5p:4x4x4 or h200:8")
    for name, what in (("run", "all that are not done yet"), ("table", "prints what is done")):
        command = commands.add_parser(name, help=what)
        command.add_argument(
            "--out", type=pathlib.Path, required=True, help="JSON lines, a cell each"
        )
        if name == "run":
            command.add_argument(
                "--cells", nargs="*", default=[], help="such as nq_11b.gin@h200; default: all"
            )
            command.add_argument("--seconds", type=float, default=3600, help="for one cell")
    given = parser.parse_args()
    if given.command == "cell":
        import logging

        logging.basicConfig(level=logging.INFO, format="%(message)s")
        print(json.dumps(cell(given.gin_file, given.topology)))
    elif given.command == "run":
        run_cells(given.out, given.cells, given.seconds)
    else:
        print_table(given.out)


if __name__ == "__main__":
    main()
