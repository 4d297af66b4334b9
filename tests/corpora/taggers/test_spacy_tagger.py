"""spaCy's entities: offsets, components, mistakes."""

import shutil

import pytest

from closedbook.corpora.taggers import load
from closedbook.errors import UserError

spacy = pytest.importorskip("spacy", reason="the extra [ssm] is not installed")


@pytest.fixture(scope="module")
def tagger():
    try:
        return load("spacy")
    except UserError as error:
        pytest.skip(str(error))


@pytest.fixture(scope="module")
def rules(tmp_path_factory):
    """A folder of a model with an entity ruler and a component that nothing needs."""
    nlp = spacy.blank("en")
    nlp.add_pipe("sentencizer")
    ruler = nlp.add_pipe("entity_ruler")
    ruler.add_patterns(
        [{"label": "CITY", "pattern": "Łódź"}, {"label": "CARDINAL", "pattern": "two"}]
    )
    folder = tmp_path_factory.mktemp("spacy") / "model"
    nlp.to_disk(folder)
    return folder


def texts(text, spans):
    return [(text[span.start : span.limit], span.label) for span in spans]


def test_entities_with_offsets_in_characters(tagger):
    text = "😀 In May 2007 Angela Merkel paid $5 million in Paris to two men."
    (spans,) = tagger.tag([text])
    found = texts(text, spans)
    assert ("May 2007", "DATE") in found
    assert ("Angela Merkel", "PERSON") in found
    assert ("Paris", "GPE") in found
    assert "CARDINAL" not in {label for _, label in found}


def test_name_and_version_say_the_model(tagger):
    assert tagger.name.startswith("spacy:en_core_web_sm")
    assert tagger.version.startswith(f"spacy {spacy.__version__}, en_")


def test_hostile_text(tagger):
    long = "Paris and " * 3000 + "a" * 30_000
    strange = "\ud800 In Paris\x00 in 2007 \udfff"
    spans = tagger.tag(["", strange, long, "\0"])
    assert spans[0] == []
    assert ("Paris", "GPE") in texts(strange, spans[1]) or ("2007", "DATE") in texts(
        strange, spans[1]
    )
    assert len(spans[2]) > 2000
    assert {word for word, _ in texts(long, spans[2])} >= {"Paris"}


def test_model_in_a_folder_runs_only_what_finds_entities(rules):
    tagger = load(f"spacy:{rules}")
    assert texts("two from Łódź", tagger.tag(["two from Łódź"])[0]) == [("Łódź", "CITY")]
    assert tagger._nlp.pipe_names == ["entity_ruler"]


def test_folder_that_changes_is_another_version(rules, tmp_path):
    folder = shutil.copytree(rules, tmp_path / "copy")
    assert load(f"spacy:{folder}").version == load(f"spacy:{rules}").version
    nlp = spacy.load(folder)
    nlp.get_pipe("entity_ruler").add_patterns([{"label": "CITY", "pattern": "Bath"}])
    nlp.to_disk(folder)
    assert load(f"spacy:{folder}").version != load(f"spacy:{rules}").version


def test_dates_beside_the_model(rules):
    text = "Łódź in 1990"
    assert texts(text, load(f"spacy:{rules}+dates").tag([text])[0]) == [
        ("Łódź", "CITY"),
        ("1990", "DATE"),
    ]


def test_missing_model_says_how_to_get_it():
    with pytest.raises(UserError, match="python -m spacy download xx_none"):
        load("spacy:xx_none")


def test_model_without_entities_is_refused(tmp_path):
    spacy.blank("en").to_disk(tmp_path / "blank")
    with pytest.raises(UserError, match="finds no entities"):
        load(f"spacy:{tmp_path / 'blank'}")
