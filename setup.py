"""Packaging. Metadata and tool settings are in pyproject.toml; here is what depends on the layout.

The customer fixed `tasks/`, `eval/` and `gin/` at the top level. `closedbook/tasks`,
`closedbook/eval` and `closedbook/gin` are relative links to them, so wheels and sdists hold
real files under `closedbook/` and every tool sees one module each.
"""

from setuptools import find_namespace_packages, setup

setup(
    packages=find_namespace_packages(include=["closedbook", "closedbook.*"]),
    package_data={
        "closedbook": ["py.typed"],
        "closedbook.eval.adjusted": ["weights/*"],
        "closedbook.eval.answerability": ["weights/*"],
        "closedbook.eval.equivalence": ["weights/*"],
        "closedbook.eval.report": ["templates/*"],
        "closedbook.gin": ["**/*.gin"],
        "closedbook.parallel": ["gpus/*.txtpb"],
        "closedbook.knowledge": ["**/templates/*"],
        "closedbook.tasks.atlas": ["data/*", "models/**", "models/**/.zarray"],
        "closedbook.tasks.harnesses.lm_eval": ["*.yaml", "_shared_yaml"],
    },
)
