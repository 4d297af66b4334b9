"""Our scores inside other people's evaluators: lm-evaluation-harness and inspect_ai.

`python -m closedbook.tasks.harnesses` prints the folder for lm-evaluation-harness's
`--include_path`. inspect_ai finds `closedbook/closed_book` by itself, once closedbook is installed.
"""

import pathlib

LM_EVAL = pathlib.Path(__file__).parent / "lm_eval"
"""The folder of tasks for `lm_eval run --include_path`."""
