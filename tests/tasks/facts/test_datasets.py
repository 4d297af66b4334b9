"""Readers of data sets, on made-up files of their forms."""

import pytest

from closedbook.errors import UserError
from closedbook.tasks.facts import Neighbour, read_facts, recognise

TREX = {
    "uuid": "u1",
    "sub_label": "Ada",
    "obj_label": "London",
    "predicate_id": "P19",
    "sub_uri": "Q1",
    "evidences": [{"masked_sentence": "Ada was from [MASK]."}],
}
TEMPLATE = {"relation": "P19", "template": "[X] was born in [Y] .", "label": "birth", "type": "N-1"}
GOOGLE_RE = {
    "pred": "/people/person/date_of_birth",
    "sub_label": "Ada",
    "obj_label": "1815",
    "uuid": "g1",
    "judgments": [{"rater": "1", "judgment": "yes"}, {"rater": "2", "judgment": "skip"}],
    "masked_sentences": ["Ada (born [MASK])."],
}
SQUAD = {"id": "s1", "sub_label": "Squad", "obj_label": "gold", "masked_sentences": ["A [MASK]."]}
CONCEPT_NET = {
    "sub": "alive",
    "obj": "think",
    "pred": "HasSubevent",
    "masked_sentences": ["When you are alive you [MASK]."],
    "masked_negations": ["When you are alive you do not [MASK]."],
    "obj_label": "think",
    "uuid": "c1",
}


def test_lama_trex_takes_template_and_type_from_the_file_above(write):
    write("data/relations.jsonl", {**TEMPLATE, "template_negated": "[X] was not born in [Y] ."})
    path = write("data/TREx/P19.jsonl", TREX, {**TREX, "uuid": "u2", "sub_label": "Bob"})
    for data in (path, path.parent, path.parent.parent):
        facts = read_facts(data)
        assert [fact.id for fact in facts.facts] == ["u1", "u2"]
        fact = facts.facts[0]
        assert fact.asked() == "Ada was born in [Y] ."
        assert fact.negated == "{} was not born in [Y] ."
        assert (fact.type, fact.corpus, fact.meta["evidences"]) == ("N-1", "T-REx", 1)
        assert facts.relations["P19"].label == "birth"


def test_lama_relation_without_template_is_named(write):
    path = write("TREx/P19.jsonl", TREX)
    with pytest.raises(UserError, match=r"P19.jsonl:1: relation P19 has no template; put LAMA's"):
        read_facts(path)


@pytest.mark.parametrize("template", ["born in [Y] .", "[X] was born ."])
def test_lama_template_without_a_place_is_named(write, template):
    write("relations.jsonl", {**TEMPLATE, "template": template})
    path = write("P19.jsonl", TREX)
    with pytest.raises(UserError, match=r"relations.jsonl:1: template .* place"):
        read_facts(path)


def test_lama_corpora_of_one_folder_are_read_together(write, tmp_path):
    write("relations.jsonl", TEMPLATE)
    write("TREx/P19.jsonl", TREX)
    write("Google_RE/date_of_birth_test.jsonl", GOOGLE_RE)
    write("Squad/test.jsonl", SQUAD)
    write("ConceptNet/test.jsonl", CONCEPT_NET)
    assert recognise(tmp_path) == "LAMA"
    facts = read_facts(tmp_path)
    prompts = {fact.corpus: fact.asked() for fact in facts.facts}
    assert prompts == {
        "T-REx": "Ada was born in [Y] .",
        "Google-RE": "Ada (born [Y]).",
        "SQuAD": "A [Y].",
        "ConceptNet": "When you are alive you [Y].",
    }
    concept = facts.of("ConceptNet")[0]
    assert concept.negated == "When you are alive you do not [Y]."
    assert concept.meta == {"predicate": "HasSubevent", "subject": "alive"}
    assert facts.of("date_of_birth")[0].meta["judgments"] == ["yes", "skip"]


def test_lama_google_re_relation_of_another_name_is_refused(write):
    path = write("test.jsonl", {**GOOGLE_RE, "pred": "/people/person/spouse"})
    with pytest.raises(UserError, match="relation spouse has no template; Google-RE's are"):
        read_facts(path)


def test_pararel_gives_the_first_pattern_and_the_others_as_paraphrases(write, tmp_path):
    write(
        "graphs_json/P19.jsonl",
        {"pattern": "[X] was born in [Y].", "lemma": "born"},
        {"pattern": "[X] is from [Y].", "lemma": "from"},
    )
    write("triples/P19.jsonl", {"sub_label": "Ada", "obj_label": "London", "uuid": "1"})
    write("triples/P31.jsonl", {"sub_label": "Ada", "obj_label": "human", "uuid": "2"})
    for data in (tmp_path, tmp_path / "triples"):
        facts = read_facts(data)
        assert facts.facts[0].prompts == ("{} was born in [Y].", "{} is from [Y].")
        assert facts.dropped == {"relation without a pattern": 1}


def test_pararel_without_patterns_says_where_they_belong(write):
    path = write("triples/P19.jsonl", {"sub_label": "Ada", "obj_label": "London", "uuid": "1"})
    with pytest.raises(
        UserError, match=r"needs its ParaRel patterns .* in the folder of the facts"
    ):
        read_facts(path)


def bear(write, row: dict, space=("Bengali", "Hindi")):
    write(
        "BEAR/metadata_relations.json",
        whole={
            "P103": {
                "templates": ["[X] speaks [Y].", "The language of [X] is [Y]."],
                "answer_space_labels": list(space),
            }
        },
    )
    whole = {"sub_label": "Ali", "obj_label": "Hindi", "answer_idx": 1, "sub_id": "Q1", **row}
    return write("BEAR/P103.jsonl", whole)


def test_bear_takes_templates_and_answer_space_from_its_metadata(write):
    facts = read_facts(bear(write, {}).parent)
    assert facts.relations["P103"].candidates == ("Bengali", "Hindi")
    assert facts.facts[0].prompts == ("{} speaks [Y].", "The language of {} is [Y].")
    assert facts.facts[0].object == "Hindi"


@pytest.mark.parametrize("index", [0, 2, None])
def test_bear_answer_that_is_not_in_its_place_is_refused(write, index):
    with pytest.raises(
        UserError, match=r'P103.jsonl:1: "answer_idx" is .* must be that of the same'
    ):
        read_facts(bear(write, {"answer_idx": index}))


POPQA = {
    "id": 4222362,
    "subj": "George Rankin",
    "prop": "occupation",
    "obj": "politician",
    "s_pop": 142,
    "o_pop": 25692,
    "question": "What is George Rankin's occupation?",
    "possible_answers": '["politician", "political leader"]',
}


def test_popqa_json_lines_and_its_own_table_give_the_same(write):
    lines = read_facts(write("popqa.jsonl", POPQA))
    cells = {key: str(value) for key, value in POPQA.items()}
    cells["possible_answers"] = '"' + cells["possible_answers"].replace('"', '""') + '"'
    table = read_facts(write("test.tsv", "\t".join(cells), "\t".join(cells.values())))
    for facts in (lines, table):
        fact = facts.facts[0]
        assert (fact.id, fact.prompt) == ("4222362", "What is {}'s occupation?")
        assert fact.objects == ("politician", "political leader")
        assert (fact.meta["s_pop"], fact.style) == (142, "question")


def test_popqa_question_without_its_subject_is_dropped_and_counted(write):
    facts = read_facts(write("popqa.jsonl", POPQA, {**POPQA, "question": "Who?"}))
    assert (len(facts), facts.dropped) == (1, {"question without its subject": 1})


def test_entity_questions_finds_subjects_by_the_template(write):
    write(
        "relation_query_templates.json",
        whole={"P19": "Where was [X] born?", "P19_similar": "What is the birthplace of [X]?"},
    )
    path = write(
        "dev/P19.dev.json",
        whole=[
            {"question": "Where was Ada born?", "answers": ["London", "Marylebone"]},
            {"question": "What is the birthplace of Bob?", "answers": ["Paris"]},
            {"question": "Who is Bob?", "answers": ["Bob"]},
        ],
    )
    facts = read_facts(path)
    assert [fact.subject for fact in facts.facts] == ["Ada", "Bob"]
    assert facts.facts[0].objects == ("London", "Marylebone")
    assert facts.facts[0].prompts == ("Where was {} born?", "What is the birthplace of {}?")
    assert (facts.facts[0].relation, facts.facts[0].split) == ("P19", "dev")
    assert list(facts.dropped.values()) == [1]


def test_counterfact_in_easy_edits_form(write):
    row = {
        "case_id": 0,
        "prompt": "The mother tongue of Danielle is",
        "target_new": "English",
        "subject": "Danielle",
        "ground_truth": "French",
        "rephrase_prompt": "Danielle speaks",
        "locality_prompt": "Michel speaks",
        "locality_ground_truth": "French",
    }
    fact = read_facts(write("counterfact.json", whole=[row])).facts[0]
    assert (fact.prompt, fact.relation) == ("The mother tongue of {} is",) * 2
    assert (fact.object, fact.target, fact.style) == ("French", "English", "continuation")
    assert fact.paraphrases == ("{} speaks",)
    assert fact.neighbours == (Neighbour(prompt="Michel speaks", object="French"),)


def test_counterfact_as_its_authors_have_it(write):
    row = {
        "case_id": 7,
        "requested_rewrite": {
            "prompt": "The mother tongue of {} is",
            "relation_id": "P103",
            "target_new": {"str": "English"},
            "target_true": {"str": "French"},
            "subject": "Danielle",
        },
        "paraphrase_prompts": ["Long ago. Danielle speaks", "The language of Danielle is"],
        "neighborhood_prompts": ["Michel speaks", "Jean speaks"],
        "generation_prompts": ["Danielle's mother"],
    }
    fact = read_facts(write("counterfact.json", whole=[row])).facts[0]
    assert (fact.relation, fact.object, fact.target) == ("P103", "French", "English")
    assert fact.paraphrases == ("Long ago. {} speaks", "The language of {} is")
    assert [each.object for each in fact.neighbours] == ["French", "French"]
    assert fact.meta["generation_prompts"] == ("Danielle's mother",)


def test_zsre_target_is_the_alternative_answer(write):
    row = {
        "subject": "UniFirst",
        "src": "What is made by UniFirst?",
        "pred": "uniform",
        "rephrase": "What does UniFirst make?",
        "alt": "aircraft",
        "answers": ["uniform", "clothes"],
        "loc": "nq question: who sang",
        "loc_ans": "Nobody",
    }
    facts = read_facts(write("zsre.json", whole=[row, {**row, "alt": ""}]))
    first, second = facts.facts
    assert (first.target, second.target) == ("aircraft", None)
    assert first.objects == ("uniform", "clothes")
    assert first.neighbours == (Neighbour(prompt="nq question: who sang", object="Nobody"),)


def test_qaedit_teaches_the_right_answer_and_keeps_rephrasings_that_name_it_otherwise(write):
    row = {
        "id": 5,
        "source": "NQ",
        "prompt": "who sings over the rainbow",
        "target": "Judy Garland",
        "subject": "over the rainbow",
        "rephrase": "Whose song is Over the Rainbow?",
        "locality": [{"loc": "who is it", "loc_ans": "me"}, {"loc": "when", "loc_ans": "now"}],
    }
    fact = read_facts(write("QAEdit.json", whole=[row])).facts[0]
    assert (fact.prompt, fact.style) == ("who sings {}", "question")
    assert fact.object == fact.target == "Judy Garland"
    assert fact.paraphrases == ("Whose song is Over the Rainbow?",)
    assert len(fact.neighbours) == 2


def test_known_facts_use_the_prompt_and_not_the_shorter_template(write):
    row = {
        "known_id": 0,
        "subject": "Vinson Massif",
        "attribute": "Antarctica",
        "template": "{} is located in the continent",
        "prediction": " of Antarctica.",
        "prompt": "Vinson Massif is located in the continent of",
        "relation_id": "P30",
    }
    fact = read_facts(write("known_1000.json", whole=[row])).facts[0]
    assert fact.prompt == "{} is located in the continent of"
    assert (fact.relation, fact.object) == ("P30", "Antarctica")
    with pytest.raises(UserError, match=r"known.json:1: the prompt .* does not name its subject"):
        read_facts(write("known.json", whole=[{**row, "subject": "Everest"}]))


def test_folder_of_several_data_sets_is_refused_with_their_names(write, tmp_path):
    write("relations.jsonl", TEMPLATE)
    write("TREx/P19.jsonl", TREX)
    write("popqa.jsonl", POPQA)
    with pytest.raises(UserError, match=r"several data sets \(LAMA, PopQA\); name the folder"):
        read_facts(tmp_path)


def test_folder_of_templates_alone_is_refused(write, tmp_path):
    write("relations.jsonl", TEMPLATE)
    with pytest.raises(UserError, match="templates of LAMA and no facts"):
        read_facts(tmp_path)


def test_file_of_no_known_form_is_refused_with_the_forms(write):
    path = write("rows.jsonl", {"text": "hello"})
    assert recognise(path) is None
    with pytest.raises(UserError, match=r"holds no facts in a form that we know; .*LAMA.*PopQA"):
        read_facts(path)


def test_path_that_is_not_there_is_named(tmp_path):
    with pytest.raises(UserError, match=r'there is no .*nowhere; .*"atlas"'):
        read_facts(tmp_path / "nowhere")


def test_no_path_is_no_working_folder():
    with pytest.raises(UserError, match="no data is named"):
        read_facts("")


def test_style_that_the_data_does_not_have_is_refused(write):
    path = write("popqa.jsonl", POPQA)
    with pytest.raises(UserError, match=r"fact 4222362 asks by a question .*, not by a cloze"):
        read_facts(path, style="cloze")
