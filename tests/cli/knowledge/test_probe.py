"""`closedbook probe`: what it prints and writes, and mistakes."""

import json

import numpy as np
import pytest

_HOSTILE = "</script><script>window.pwned=1</script>"


@pytest.fixture
def own_facts(tmp_path):
    """A file of facts, among them hostile text."""
    rows = [
        {"subject": "Peru", "object": "Lima"},
        {"subject": "Cuba", "object": "Havana"},
        {"subject": _HOSTILE, "object": "Paris"},
        {"subject": "\x1b[31m[/] \u202e", "object": "Oslo"},
    ]
    path = tmp_path / "facts.jsonl"
    lines = [
        json.dumps({**row, "relation": "capital", "prompt": "The capital city of {} is [Y]."})
        for row in rows
    ]
    path.write_text("\n".join(lines))
    return path


def test_prints_the_table_and_writes_the_folder(probe, tmp_path):
    out = tmp_path / "deep" / "out"
    words = ("--relations", "state_capital,country_continent", "--limit", 8, "--out", out)
    code, printed, errors = probe(*words)
    assert (code, errors) == (0, "")
    lines = [" ".join(line.split()) for line in printed.splitlines()]
    assert "state capital 8 100.0 [67.6, 100.0] 100.0 [67.6, 100.0] 100.0 [67.6, 100.0]" in lines[3]
    assert "country continent 8 100.0 [67.6, 100.0] – 100.0" in lines[2]
    assert {"asked", "held", "mean"} <= {line.split()[0] for line in lines}
    summary = json.loads((out / "summary.json").read_text())
    assert (summary["facts"], summary["pairs"], summary["style"]) == (16, 8 * 49 + 8 * 6, "bare")
    rows = [json.loads(line) for line in (out / "results.jsonl").read_text().splitlines()]
    assert len(rows) == 16
    assert rows[0]["top"][0]["right"]
    command = json.loads((out / "command.json").read_text())
    assert command["arguments"]["relations"] == "state_capital,country_continent"
    assert len(command["model"]["sha256"]) == 64
    drawn = {path.name: path.read_bytes() for path in (out / "figures").iterdir()}
    assert sorted(drawn) == [
        f"{name}.{end}" for name in ("curve", "parts", "relations") for end in ("png", "svg")
    ]
    assert drawn["curve.png"].startswith(b"\x89PNG")
    page = (out / "report.html").read_text()
    assert "default-src 'none'" in page
    assert "Hidden knowledge" not in page
    assert [path.name for path in out.parent.iterdir()] == ["out"], "nothing is left beside it"

    code, _, errors = probe(*words)
    assert code == 2
    assert "holds a report already" in errors
    (out / "notes.txt").write_text("mine")
    assert probe(*words, "--force", "--k", "1,3")[0] == 0
    assert (out / "notes.txt").read_text() == "mine"
    assert "P@3" in json.loads((out / "summary.json").read_text())["all"]["model"]


def test_own_facts_are_asked_and_their_text_is_harmless(probe, own_facts, tmp_path):
    out = tmp_path / "out"
    code, printed, _ = probe("--data", own_facts, "--generate", "--out", out)
    assert code == 0
    assert "exact match" in printed
    page = (out / "report.html").read_text()
    assert "<script>window.pwned" not in page
    rows = [json.loads(line) for line in (out / "results.jsonl").read_text().splitlines()]
    assert [row["rank"] for row in rows[:2]] == [1, 1]
    assert rows[0]["generated"]["text"] == "Lima"


def test_means_by_type_and_corpus_are_printed_and_shown(probe, tmp_path):
    """Two relations of one corpus and type, one of another; the mean over relations is of three."""
    path = tmp_path / "facts.jsonl"
    rows = [
        {"relation": name, "object": object_, "subject": subject, "corpus": corpus, "type": kind}
        for name, corpus, kind, right in (
            ("a", "old", "1-1", True),
            ("b", "old", "1-1", False),
            ("c", "new", "N-1", True),
        )
        for subject, object_ in zip(
            ("Peru", "Cuba"), ("Lima", "Havana") if right else ("Havana", "Lima"), strict=True
        )
    ]
    prompt = {"prompt": "The capital city of {} is [Y]."}
    path.write_text("\n".join(json.dumps({**row, **prompt}) for row in rows))
    out = tmp_path / "out"
    code, printed, _ = probe("--data", path, "--k", "1", "--out", out)
    assert code == 0
    lines = [line[:2] + " ".join(line.split()) for line in printed.splitlines()]
    for means in ("old 4 50.0 [", "new 2 100.0 [", "old 1-1 4 50.0 [", "new N-1 2 100.0 ["):
        assert any(line.startswith(f"  {means}") for line in lines), means
    summary = json.loads((out / "summary.json").read_text())
    for kind, names in (("corpora", ["old", "new"]), ("types", ["old 1-1", "new N-1"])):
        found = summary[kind]
        assert [each["name"] for each in found] == names
        assert [(each["relations"], each["facts"]) for each in found] == [(2, 4), (1, 2)]
        assert [each["model"]["P@1"]["mean"] for each in found] == [0.5, 1.0]
    page = (out / "report.html").read_text()
    assert "<h3>By type</h3>" in page
    assert "<h3>By corpus</h3>" in page


def test_lamas_ranking_over_a_file_of_single_tokens(probe, own_facts, tmp_path):
    names = tmp_path / "names.txt"
    names.write_text("Lima\nHavana\nOslo\nMadrid\nRio de Janeiro am Meer\n")
    code, printed, _ = probe(
        *("--data", own_facts, "--candidates", names, "--single-token", "--k", 1),
        *("--same-tokens-as", "closedbook://atlas_qa", "--out", tmp_path / "out"),
    )
    assert code == 0
    assert "left out     1 fact: object not in" in printed
    summary = json.loads((tmp_path / "out" / "summary.json").read_text())
    assert summary["relations"][0]["candidates"] == 4
    assert "without an end" in summary["conventions"]["A candidate's score"]


def test_hidden_knowledge_is_printed_and_written(probe, tmp_path):
    out = tmp_path / "out"
    code, printed, errors = probe(
        *("--relations", "state_capital,country_continent", "--limit", 8, "--hidden"),
        *("--hidden-sites", "decoder.1.resid_post, decoder.*norm", "--hidden-wrong", 3),
        *("--out", out),
    )
    assert (code, errors) == (0, "")
    assert "hidden knowledge: 16 facts, 64 pairs" in printed
    found = json.loads((out / "summary.json").read_text())["hidden"]
    assert [each["name"] for each in found["internal"]] == [
        *("decoder.1.resid_post", "decoder.1.resid_post, centred"),
        *("decoder.final_norm", "decoder.final_norm, centred"),
    ]
    assert [each["k"]["mean"] for each in found["external"]] == [1.0, 1.0]
    for each in found["internal"]:
        gap = each["gaps"]["sum"]
        assert gap["value"]["mean"] == pytest.approx(each["k"]["mean"] - 1)
        assert f"{each['name']}  " in printed
    page = (out / "report.html").read_text()
    assert "probe of decoder.final_norm" in page
    assert 'id="hidden"' in page


def test_other_words_denials_and_filters_are_printed_and_written(probe, tmp_path):
    names = tmp_path / "names.jsonl"
    names.write_text('{"relation": "country_capital", "name": "Peru", "objects": ["Lima"]}\n')
    out = tmp_path / "out"
    code, printed, errors = probe(
        *("--relations", "country_capital,demonym_country", "--limit", 6, "--lama-filters"),
        *("--uhn", "--uhn-names", names, "--paraphrases", "--negated", "--out", out),
    )
    assert (code, errors) == (0, "")
    assert "other words  12 facts, 66 prompts: P@1, first wording 100.0" in printed
    assert "denied       6 facts: P@1 100.0" in printed
    lines = printed.splitlines()
    left_out = [line.partition("out")[2].strip() for line in lines if line.startswith("left")]
    # Guinea-Bissau, Tunisia, São Tomé and Príncipe; and 100 peoples named as their countries.
    assert left_out == [
        *("nothing: over 100 words", "nothing: denied by raters", "nothing: said before"),
        *("103 facts: object within the subject's name", "1 fact: object told by a name"),
    ]
    summary = json.loads((out / "summary.json").read_text())
    for part, facts, missing in (("wordings", 12, 0), ("negated", 6, 6)):
        found = summary[part]
        assert (found["facts"], found["left_out"]) == (facts, missing)
        for name in found["metrics"]:
            mean = found["all"][name]
            assert mean["low"] <= mean["mean"] <= mean["high"]
            assert mean["facts"] == facts
    assert summary["correlations"] == [], "all are right"
    assert summary["dropped"]["object told by a name"] == 1
    page = (out / "report.html").read_text()
    for anchor in ("wordings", "negated", "correlations"):
        assert f'<section id="{anchor}"' in page
    rows = [json.loads(line) for line in (out / "results.jsonl").read_text().splitlines()]
    assert rows[0]["wordings"][0]["answer"] == rows[0]["top"][0]["text"]
    table = (out / "tables" / "negated.csv").read_text().splitlines()
    assert table[0].startswith("relation,label,facts,P@1,P@1 low,P@1 high,")
    assert table[1].startswith("country_capital,country capital,6,1.0,")


def test_what_goes_with_being_right_is_printed_and_written(probe, tmp_path):
    out = tmp_path / "out"
    names = "capital_country capital_state country_capital currency_code demonym_country"
    names += " country_currency country_continent state_capital currency_country country_demonym"
    words = ("--relations", ",".join(names.split()), "--limit", 8, "--style", "sentinels")
    code, printed, errors = probe(*words, "--out", out)
    assert (code, errors) == (0, "")
    found = json.loads((out / "summary.json").read_text())["correlations"]
    rows = [json.loads(line) for line in (out / "results.jsonl").read_text().splitlines()]
    [one] = [each for each in found if each["name"] == "log-probability of the object"]
    hits = [float(row["rank"] == 1) for row in rows]
    values = [row["log_prob"] for row in rows]
    assert one["n"] == 80
    assert one["value"] == pytest.approx(np.corrcoef(values, hits)[0, 1])
    relations = np.array([row["relation"] for row in rows])
    centred = [
        np.array(column) - [np.mean(np.array(column)[relations == name]) for name in relations]
        for column in (values, hits)
    ]
    assert one["within"]["value"] == pytest.approx(np.corrcoef(*centred)[0, 1])
    assert "goes with    being right (r): " in printed
    assert "r within relations" in (out / "report.html").read_text()
    assert (out / "tables" / "correlations.csv").read_text().startswith("variable,facts,value,")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--model", "closedbook://nothing"), "unknown packaged model 'nothing'"),
        (("--relations", "country_capitol"), "nearest: country_capital"),
        (("--data", "nowhere"), "there is no nowhere"),
        (("--style", "prose"), "unknown --style 'prose'"),
        (("--normalise", "mean"), "unknown --normalise 'mean'"),
        (("--others", "gone"), "unknown --others 'gone'; nearest: "),
        (("--others", "keep"), "unknown --others 'keep'; nearest: ranked; valid: ranked, removed"),
        (("--limit", "0"), "--limit is 0; give 1 or more"),
        (("--hidden", "--hidden-wrong", "-3"), "--hidden-wrong is -3; give 1 or more"),
        (("--k", "1,x"), "--k is '1,x'"),
        (("--k", "0"), "--k is '0'"),
        (("--k", "1,99999999999999999999"), "from 1 to 999,999,999"),
        (("--relations", " , "), "no relation of atlas is named; it has abbreviation_state"),
        (("--same-tokens-as", "closedbook://atlas_qa"), "goes with --single-token"),
        (("--candidates", "nowhere.txt"), "nowhere.txt"),
        (("--hidden-wrong", "3"), "go with --hidden"),
        (("--uhn-names", "names.jsonl"), "goes with --uhn"),
        (("--uhn", "--uhn-names", "nowhere.jsonl"), "nowhere.jsonl"),
        (("--relations", "demonym_country", "--negated"), "can be denied"),
        (("--hidden", "--hidden-sites", "encoder.*.mlp.out"), "decoder.*.resid_post"),
        (("--hidden", "--hidden-sites", ","), "--hidden-sites is ','"),
        (("--vocabulary", "{vocabulary}", "--extra-ids", "0"), "has no <extra_id_0>"),
    ],
)
def test_mistakes_are_one_message_and_leave_nothing(probe, tmp_path, words, message):
    from closedbook.knowledge import load_model

    path = load_model("closedbook://atlas_ssm").vocabulary.path
    words = [word.format(vocabulary=path) for word in words]
    code, _, errors = probe(*words, "--out", tmp_path / "out")
    assert code == 2
    assert message in errors
    assert len(errors.strip().splitlines()) == 1
    assert list(tmp_path.iterdir()) == []


def test_a_folder_under_a_file_is_refused_before_any_work(probe, tmp_path):
    (tmp_path / "file").write_text("mine")
    code, _, errors = probe("--data", "nowhere", "--out", tmp_path / "file" / "deep" / "out")
    assert code == 2
    assert f"cannot be made: {tmp_path / 'file'} is no folder; give another --out" in errors


def test_one_thing_is_not_called_several(probe, tmp_path):
    path = tmp_path / "facts.jsonl"
    fact = {"subject": "Peru", "relation": "r", "object": "Lima", "prompt": "{} has [Y]."}
    path.write_text(json.dumps(fact))
    code, printed, _ = probe("--data", path, "--out", tmp_path / "out")
    assert code == 0
    assert "1 fact, 1 pair of prompt and candidate" in printed
    (said,) = [line for line in printed.splitlines() if line.startswith("no mean")]
    assert "1 relation with a fact of one candidate alone" in said
    assert said.endswith('; --candidates FILE, or "candidates" of your own relation, gives more')
    page = (tmp_path / "out" / "report.html").read_text()
    for words in ("<b>1</b> fact of", "<b>1</b> relation<", "<b>1</b> pair of"):
        assert words in page


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (
            {"id": "\x1b[2J\u202e", "prompt": "What is {}?"},
            r"facts.jsonl: fact \x1b[2J\u202e asks by",
        ),
        ({"object": " "}, "no object"),
        ({"prompt": "The capital is [Y]."}, "0 places for the subject"),
        ({"prompt": "What is {}?", "style": "question"}, "--style question"),
        ({"object": "Peru of the Andes", "prompt": ""}, "prompt"),
    ],
)
def test_facts_that_cannot_be_asked_are_one_message(probe, tmp_path, row, message):
    path = tmp_path / "facts.jsonl"
    fact = {"subject": "Peru", "relation": "r", "object": "Lima", "prompt": "{} has [Y]."}
    path.write_text(json.dumps({**fact, **row}))
    code, _, errors = probe("--data", path, "--out", tmp_path / "out")
    assert code == 2
    assert message in errors
    assert "Traceback" not in errors
    assert [each.name for each in tmp_path.iterdir()] == ["facts.jsonl"]
