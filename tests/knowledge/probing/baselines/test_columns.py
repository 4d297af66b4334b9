"""RE as columns beside the model: the same measures, under LAMA's conventions."""

import numpy as np
import pytest

from closedbook.errors import UserError
from closedbook.knowledge.probing import baselines
from closedbook.tasks.facts import Fact
from closedbook.tasks.facts.form import gather
from closedbook.tasks.facts.triples import Triple


@pytest.fixture
def facts():
    rows = [("Ada", "London"), ("Bob", "London"), ("Cleo", "Paris"), ("Dan", "Rome")]
    return gather(
        [Fact(id=s, subject=s, relation="born", object=o, prompt="{} is [Y].") for s, o in rows],
        source="here",
    )


def test_triples_are_ranked_by_confidence_and_what_was_not_extracted_is_last(facts):
    said = [
        Triple(subject="Ada", relation="born", object="London", score=0.4),
        Triple(subject="Ada", relation="born", object="Paris", score=0.9),
        Triple(subject="Bob", relation="born", object="London", score=0.1),
        Triple(subject="Robert", relation="born", object="the city", score=0.3, fact="Cleo"),
    ]
    exact, oracle = baselines.of_triples(facts, said, (1, 2), others=True)
    assert (exact.label, oracle.label) == ("RE_n", "RE_o")
    assert exact.values["P@1"].tolist() == [0, 1, 0, 0]
    assert exact.values["P@2"].tolist() == [1, 1, 0, 0]
    np.testing.assert_allclose(exact.values["MRR"], [1 / 2, 1, 1 / 3, 1 / 3])
    assert oracle.values["P@1"].tolist() == [0, 1, 1, 0]
    assert "4 extracted triples" in exact.words


def test_without_ids_of_facts_there_is_no_oracle(facts):
    said = [Triple(subject="Ada", relation="born", object="London")]
    assert [each.name for each in baselines.of_triples(facts, said, (1,), others=True)] == ["re_n"]


def test_triples_of_other_relations_alone_are_a_mistake(facts):
    said = [Triple(subject="Ada", relation="birthplace", object="London")]
    with pytest.raises(UserError, match=r"relation of here \(born\); the triples have birthplace"):
        baselines.of_triples(facts, said, (1,), others=True)
