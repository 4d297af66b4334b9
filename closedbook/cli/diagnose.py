"""`closedbook analyze --diagnose`: says why a score is what it is."""

import pathlib
from collections.abc import Mapping


def diagnose(
    paths: list[pathlib.Path],
    out: pathlib.Path | None,
    *,
    columns: Mapping[str, str] | None,
    gold: pathlib.Path | None,
    protocol: str,
    other_gold: pathlib.Path | None,
    force: bool,
) -> None:
    """Prints the diagnosis of one file or two, and writes it where a folder is given."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from closedbook.errors import UserError, unknown_name
    from closedbook.eval import diagnosis, predictions, protocols
    from closedbook.eval.files import gold as gold_files
    from closedbook.eval.report import diagnosis as report
    from closedbook.eval.report import outputs
    from closedbook.eval.report.text import inline

    if protocol not in protocols.PROTOCOLS:
        raise unknown_name("protocol", protocol, protocols.PROTOCOLS)
    if len(paths) > 2:
        raise UserError(f"--diagnose has {len(paths)} files; give one, or two: mine and theirs")
    if other_gold is not None and len(paths) == 2:
        raise UserError("--other-gold goes with one file; leave it out, or diagnose one file")
    if out is not None:
        outputs.check_target(out, force=force)
    read = [predictions.read_any(path, columns=columns, gold=gold).rows for path in paths]
    names = _names(paths)
    if len(paths) == 2:
        found = diagnosis.gap(read[0], read[1], names=(names[0], names[1]), protocol=protocol)
    else:
        found = diagnosis.choices(
            read[0],
            name=names[0],
            protocol=protocol,
            other_gold=None if other_gold is None else gold_files.read(other_gold),
        )
    screen = Console(highlight=False, soft_wrap=True, markup=False)
    heads = report.heads(found)
    width = max(len(name) for name, _ in heads)
    for name, said in heads:
        screen.print(f"{name:{width}}  {said}")
    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column(justify="right", no_wrap=True)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for cause in found.causes:
        points, kind, text = report.cells(found, cause)
        table.add_row(points, kind, Text(inline(text)))
    screen.print(table if found.causes else report.nothing(found))
    for note in found.notes:
        screen.print(f"note: {inline(note)}")
    if out is not None:
        report.write(found, out, force=force)
        screen.print(f"report       {out / 'report.md'}")


def _names(paths: list[pathlib.Path]) -> list[str]:
    """File names, or whole paths where they are alike."""
    names = [path.name for path in paths]
    return names if len(set(names)) == len(names) else [str(path) for path in paths]
