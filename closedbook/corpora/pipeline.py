"""The Apache Beam pipeline of a build; importing this file imports Beam, which takes seconds."""

import difflib
import logging
import re
from collections.abc import Sequence
from typing import Any

# Beam warns at its import of Google packages that are not needed here.
logging.disable(logging.WARNING)
import apache_beam as beam  # noqa: E402
from apache_beam.options.pipeline_options import (  # noqa: E402
    PipelineOptions,
    _BeamArgumentParser,
)

from closedbook.corpora import taggers, work  # noqa: E402
from closedbook.corpora.units import Unit  # noqa: E402
from closedbook.errors import UserError  # noqa: E402

logging.disable(logging.NOTSET)

# Beam's "DirectRunner" may download another runner first; this is the one in it that runs here.
_LOCAL_RUNNER = "apache_beam.runners.portability.fn_api_runner.FnApiRunner"
_LOCAL_NAMES = {"", "direct", "directrunner", "fnapirunner"}
_OWN_MESSAGE = re.compile(r"closedbook\.errors\.UserError: (.*?)(?: \[while running|\n|$)")


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
        flags.append(f"--runner={_LOCAL_RUNNER}")
        mode = "in_memory" if workers == 1 else "multi_processing"
        flags += [f"--direct_num_workers={workers}", f"--direct_running_mode={mode}"]
    else:
        flags.append(f"--runner={runner}")
    if not any(flag.startswith("--default_sdk_harness_log_level") for flag in flags):
        flags.append("--default_sdk_harness_log_level=ERROR")
    _check(flags)
    return PipelineOptions(flags)


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


def _with_subclasses(of: type) -> list[type]:
    found = []
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
    logging.getLogger("apache_beam").setLevel(logging.ERROR)
    try:
        pipeline = beam.Pipeline(options=pipeline_options)
        _ = (
            pipeline
            | "Units" >> beam.Create([*units, *hashes])
            # Without it a runner may fuse the two steps and work on all units in one place.
            | "Spread" >> beam.Reshuffle()
            | "Build" >> beam.ParDo(_Build(job))
        )
        result = pipeline.run()
        state = result.wait_until_finish()
    except UserError:
        raise
    except Exception as error:
        found = _OWN_MESSAGE.findall(str(error)) or [_first_words(error)]
        raise UserError(f"the build stopped: {found[0]}") from error
    if str(state) not in ("DONE", "None"):
        raise UserError(f"the pipeline ended as {state}; run the same command again to go on")


def _first_words(error: Exception) -> str:
    lines = [line for line in str(error).splitlines() if line.strip()]
    return lines[-1][:400] if lines else repr(error)


class _Build(beam.DoFn):
    """Builds a shard, or hashes input files."""

    def __init__(self, job: work.Job) -> None:
        self._job = job
        self._tagger: Any = None

    def process(self, element: Any) -> None:
        if not isinstance(element, Unit):
            work.hash_inputs(self._job, *element)
            return
        if self._tagger is None:  # once a worker: models take seconds to load
            self._tagger = taggers.load(self._job.tagger)
        work.build_shard(self._job, element, self._tagger)
