"""Which means are over fewer relations than those beside them, and where that is said."""

import json

import pytest

from closedbook.cli.knowledge import probe_table
from closedbook.knowledge.probing import groups, results
from closedbook.knowledge.probing.probe import Settings, probe
from closedbook.knowledge.probing.prompts import Prompting
from closedbook.tasks.facts import Fact
from closedbook.tasks.facts.form import gather

_CAPITALS = {
    "Peru": "Lima",
    "Cuba": "Havana",
    "Spain": "Madrid",
    "Japan": "Tokyo",
    "Kenya": "Nairobi",
    "France": "Paris",
}


def _facts(*, many: bool):
    """Six capitals, asked for rightly, and of as many others all but one wrongly."""
    wrong = dict(zip(_CAPITALS, [*list(_CAPITALS.values())[1:], "Lima"], strict=True))
    wrong = wrong if many else {"Peru": "Lima", "Cuba": "Havana"}
    return gather(
        [
            Fact(
                id=f"{name}:{subject}",
                subject=subject,
                relation=name,
                object=object_,
                prompt="The capital city of {} is [Y].",
                type="1-1",
            )
            for name, pairs in (("capital", _CAPITALS), ("other", wrong))
            for subject, object_ in pairs.items()
        ],
        source="mine",
    )


@pytest.fixture
def probed(atlas_ssm):
    def run(*, many: bool):
        facts, prompting, settings = _facts(many=many), Prompting.of(atlas_ssm), Settings()
        rows = probe(atlas_ssm, facts, prompting, settings)
        return results.of(
            *(rows, facts, atlas_ssm, prompting, settings),
            ks=(1, 5),
            model_name="a model",
            arguments={},
        )

    return run


def test_a_mean_over_fewer_relations_has_their_number_everywhere(probed, tmp_path, capsys):
    result = probed(many=False)
    probe_table.show(result, tmp_path)
    lines = capsys.readouterr().out.splitlines()
    (mean,) = [line for line in lines if line.startswith("mean over relations")]
    assert " ".join(mean.split()).startswith(
        "mean over relations 8 100.0 [34.2, 100.0] 100.0 [61.0, 100.0] (1) 100.0 [34.2, 100.0]"
    )
    (note,) = [line for line in lines if line.startswith("(n)")]
    assert "P@k counts those with more than k candidates" in note
    page = results.render(result)
    assert page.count('<span class="ci">(1)</span>') >= 4  # scores, Freq, two normalisations
    assert "<dt>P@5 (1)</dt>" in page
    assert "<dt>P@1</dt>" in page
    assert note.removeprefix("(n)").strip()[:60] in page
    for words in (
        "always first makes 100",
        "bare: a sentence with &lt;extra_id_0&gt;",
        "below ten",
    ):
        assert words in page
    results.write(result, tmp_path / "out")
    rows = json.loads((tmp_path / "out" / "tables" / "means.json").read_text())
    assert [row["kind"] for row in rows] == ["over relations", "over facts"]
    assert [(r["relations"], r["P@1 relations"], r["P@5 relations"]) for r in rows] == [
        (2, 2, 1)
    ] * 2
    assert [row["P@5"] for row in rows] == [1.0, 1.0]


def test_nothing_is_marked_where_all_means_are_over_all_relations(probed, tmp_path, capsys):
    result = probed(many=True)
    assert not groups.any_fewer(result.summary)
    probe_table.show(result, tmp_path)
    printed = capsys.readouterr().out
    assert "(n)" not in printed
    assert "(2)" not in printed
    assert groups.FEWER[:40] not in results.render(result)
