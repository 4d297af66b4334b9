"""A packed model is the part of a run that answers need, put in the place of an older one."""

from closedbook.checkpoints import packaged_models
from closedbook.cli import quickstart


def test_packing_takes_what_answers_need_and_replaces_the_older_model(tmp_path):
    source = packaged_models()["atlas_qa"]
    target = tmp_path / "atlas_qa"
    target.mkdir()
    (target / "checkpoint_1").mkdir()
    assert quickstart.pack(source, target) == target
    (step,) = (path.name for path in source.glob("checkpoint_*"))
    assert {path.name for path in target.iterdir()} == {"model.json", "vocabulary.model", step}
    assert {path.name for path in (target / step).iterdir()} == {"digests.json", "params"}
    assert (target / "model.json").read_bytes() == (source / "model.json").read_bytes()
    assert [path.name for path in tmp_path.iterdir()] == ["atlas_qa"]
