"""The Apache Beam pipeline of a build; importing this file imports Beam, which takes seconds."""

import difflib
import logging
import os
import re
import shlex
import sys
from collections.abc import Sequence
from typing import Any

# Beam warns at its import of Google packages that are not needed here.
_disabled = logging.root.manager.disable
logging.disable(max(_disabled, logging.WARNING))
import apache_beam as beam  # noqa: E402
from apache_beam.options.pipeline_options import (  # noqa: E402
    DirectOptions,
    PipelineOptions,
    StandardOptions,
    _BeamArgumentParser,
)
from apache_beam.runners.portability.fn_api_runner import fn_runner  # noqa: E402
from apache_beam.runners.runner import PipelineRunner  # noqa: E402
from apache_beam.transforms import environments  # noqa: E402

from closedbook.corpora import taggers, work  # noqa: E402
from closedbook.corpora.units import Unit  # noqa: E402
from closedbook.errors import UserError  # noqa: E402

logging.disable(_disabled)

_LOCAL_NAMES = {"", "direct", "directrunner", "fnapirunner"}
_OWN_MESSAGE = re.compile(r"closedbook\.errors\.UserError: (.*)")


def is_local(runner: str) -> bool:
    """Whether a runner works on this machine alone."""
    return runner.lower() in _LOCAL_NAMES


def options(runner: str, workers: int, given: Sequence[str]) -> PipelineOptions:
    """Beam's options out of the command's and those passed through.

    Raises:
        UserError: An option is unknown to Beam, or has a wrong value.
    """
    flags = list(given)
    if is_local(runner):
        flags.append(f"--direct_num_workers={workers}")
    else:
        flags.append(f"--runner={runner}")
    _check(flags)
    return PipelineOptions(flags)


def _local_runner(workers: int) -> PipelineRunner:
    """The runner that "DirectRunner" ends at after it has tried to download another one."""
    if workers == 1:
        return fn_runner.FnApiRunner()
    # -P: no file of the working directory takes the place of a module.
    path = shlex.quote(os.pathsep.join(filter(None, sys.path)))
    python = f"PYTHONPATH={path} {shlex.quote(sys.executable)} -P"
    command = f"{python} -m closedbook.corpora.beam_worker"
    environment = environments.SubprocessSDKEnvironment.from_command_string(command)
    return fn_runner.FnApiRunner(default_environment=environment)


def _check(flags: Sequence[str]) -> None:
    """Beam only warns of options that it does not know; a slip of the pen should stop here."""
    parser = _BeamArgumentParser(allow_abbrev=False, add_help=False, exit_on_error=False)
    for each in _with_subclasses(PipelineOptions):
        if "_add_argparse_args" in vars(each):
            try:
                each._add_argparse_args(parser)
            except Exception:  # two runners may define the same option; the first one's is enough
                continue
    try:
        _, unknown = parser.parse_known_args(list(flags))
    except SystemExit as error:  # argparse has printed the value and what it may be
        raise UserError("an option that was passed on to Beam has a wrong value") from error
    except Exception as error:
        raise UserError(f"an option that was passed on to Beam is wrong: {error}") from error
    if unknown:
        known = [name for action in parser._actions for name in action.option_strings]
        near = difflib.get_close_matches(unknown[0].split("=")[0], known, n=4, cutoff=0.5)
        remedy = f"; nearest of Beam's: {', '.join(near)}" if near else ""
        raise UserError(
            f"{unknown[0]!r} is an option neither of this command (--help lists them) nor of "
            f"Apache Beam{remedy}"
        )


def _with_subclasses(of: Any) -> list[Any]:
    found: list[Any] = []
    for each in of.__subclasses__():
        found += [each, *_with_subclasses(each)]
    return found


def run(
    job: work.Job,
    units: Sequence[Unit],
    hashes: Sequence[tuple[str, Sequence[str]]],
    pipeline_options: PipelineOptions,
) -> None:
    """Does all units, and hashes of input files (note, paths), and waits until they are done.

    Raises:
        UserError: The pipeline failed; the message is the first failure's.
    """
    workers = pipeline_options.view_as(DirectOptions).direct_num_workers
    remote = pipeline_options.view_as(StandardOptions).runner
    # Where all runs here, a failure becomes the command's message and needs no log.
    logging.getLogger("apache_beam").setLevel(logging.ERROR if remote else logging.CRITICAL)
    try:
        pipeline = beam.Pipeline(
            runner=None if remote else _local_runner(workers), options=pipeline_options
        )
        _ = (
            pipeline
            | "Units" >> beam.Create([*units, *hashes])
            # Without it a runner may fuse the two steps and work on all units in one place.
            | "Spread" >> beam.Reshuffle()
            | "Build" >> beam.ParDo(_Build(job))
        )
        result = pipeline.run()
        state = result.wait_until_finish()
    except Exception as error:
        raise UserError(f"the build stopped: {_cause(error)}") from error
    if str(state) not in ("DONE", "None"):
        raise UserError(f"the pipeline ended as {state}; run the same command again to go on")


def _cause(error: Exception) -> str:
    """Our own message, or the last line, of what Beam has wrapped in its own words."""
    text = str(error)
    found = [text] if isinstance(error, UserError) else _OWN_MESSAGE.findall(text)
    lines = [line for line in (found or text.splitlines()[-1:]) if line.strip()]
    return lines[0].partition(" [while running")[0][:1000] if lines else repr(error)


class _Build(beam.DoFn):
    """Builds a shard, or hashes input files."""

    def __init__(self, job: work.Job) -> None:
        self._job = job
        self._tagger: taggers.Tagger | None = None

    def process(self, element: Unit | tuple[str, Sequence[str]]) -> None:
        if not isinstance(element, Unit):
            work.hash_inputs(self._job, *element)
            return
        if self._tagger is None:  # once per worker: models take seconds to load
            self._tagger = taggers.load(self._job.tagger)
        work.build_shard(self._job, element, self._tagger)
