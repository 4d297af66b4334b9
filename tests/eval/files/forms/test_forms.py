"""Files of other tools: each becomes the same three rows."""

import gzip
import io
import json
import zipfile

import pytest

from closedbook.errors import UserError
from closedbook.eval import predictions

QUESTIONS = (
    "which river runs through cologne",
    "who painted guernica",
    "how many legs has a spider",
)
ANSWERS = (["Rhine", "the Rhine"], ["Pablo Picasso"], ["8"])
SAID = ("Rhine", "Dali", "eight")
TRIPLES = list(zip(QUESTIONS, ANSWERS, SAID, strict=True))


def lines(rows):
    return "".join(json.dumps(row) + "\n" for row in rows)


def harness(question, answers, said, **more):
    return {
        "doc_id": QUESTIONS.index(question),
        "doc": {"question": question, "answer": answers},
        "target": answers,
        "resps": [[f" {said}\n"]],
        "filtered_resps": [said],
        "exact_match": 1.0,
        **more,
    }


def inspect_sample(number, question, answers, said, epoch=1):
    chat = [{"role": "system", "content": "be brief"}, {"role": "user", "content": question}]
    return {
        "id": number,
        "epoch": epoch,
        "input": chat if number % 2 else question,
        "target": answers,
        "output": {"completion": said},
    }


def eval_file():
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("header.json", json.dumps({"eval": {"task": "nq"}}))
        for i, (question, answers, said) in enumerate(TRIPLES):
            sample = inspect_sample(i, question, answers, said)
            archive.writestr(f"samples/{i}_epoch_1.json", json.dumps(sample))
    return file.getvalue()


def helm():
    def state(question, answers, said, **more):
        right = [{"output": {"text": answer}, "tags": ["correct"]} for answer in answers]
        wrong = [{"output": {"text": "Elbe"}, "tags": []}]
        return {
            "instance": {"input": {"text": question}, "references": wrong + right, **more},
            "result": {"completions": [{"text": said}]},
        }

    perturbed = state(*TRIPLES[0], perturbation={"name": "typos"})
    return {"request_states": [*(state(*each) for each in TRIPLES), perturbed]}


FORMS = {
    "samples_nq.jsonl": (
        "samples of lm-evaluation-harness",
        lines(harness(*each, filter=name) for name in ("strict", "flexible") for each in TRIPLES),
    ),
    "samples_trivia.jsonl": (
        "samples of lm-evaluation-harness",
        lines(
            {
                "doc_id": i,
                "doc": {"answer": {"value": answers[0], "aliases": answers}},
                "target": repr(answers),
                "arguments": {"gen_args_0": {"arg_0": f"Q: one?\nA: 1\n\nQ: {question}\nA:"}},
                "resps": [[said]],
            }
            for i, (question, answers, said) in enumerate(TRIPLES)
        ),
    ),
    "log.json": (
        "a log of inspect_ai",
        {
            "eval": {"task": "nq"},
            "samples": [inspect_sample(i, *each) for i, each in enumerate(TRIPLES)],
        },
    ),
    "log.eval": ("a log of inspect_ai", eval_file()),
    "dpr.json": (
        "DPR's reader",
        [
            {
                "question": question,
                "gold_answers": answers,
                "predictions": [
                    {"top_k": 50, "prediction": {"text": said, "passage": "..."}},
                    {"top_k": 10, "prediction": {"text": "of fewer passages"}},
                ],
            }
            for question, answers, said in TRIPLES
        ],
    ),
    "scenario_state.json": ("HELM's scenario state", helm()),
    "flashrag.json": (
        "FlashRAG's intermediate data",
        [
            {"id": i, "question": q, "golden_answers": a, "output": {"pred": s, "prompt": "..."}}
            for i, (q, a, s) in enumerate(TRIPLES)
        ],
    ),
    "selfrag.json": (
        "self-RAG's output",
        {
            "preds": list(SAID),
            "golds": list(ANSWERS),
            "prompts": [f"### Instruction:\n{q}\n\n### Response:\n" for q in QUESTIONS],
        },
    ),
    "opencompass.json": (
        "OpenCompass's predictions",
        {
            str(i): {
                "origin_prompt": [{"role": "HUMAN", "prompt": q}],
                "prediction": s,
                "gold": a,
            }
            for i, (q, a, s) in enumerate(TRIPLES)
        },
    ),
    "hf.jsonl": (
        "JSON lines",
        lines(
            {"question": q, "answers": {"text": a, "answer_start": [0]}, "prediction_text": s}
            for q, a, s in TRIPLES
        ),
    ),
    "wandb.table.json": (
        "a table of columns and data (W&B, pandas)",
        {"columns": ["input", "target", "output"], "data": [list(each) for each in TRIPLES]},
    ),
    "frame.json": (
        "a pandas frame by columns",
        {
            "question": dict(enumerate(QUESTIONS)),
            "answers": dict(enumerate(ANSWERS)),
            "prediction": dict(enumerate(SAID)),
        },
    ),
    "index.json": (
        "rows by key",
        {
            str(i): {"question": q, "ground_truth": a, "answer": s}
            for i, (q, a, s) in enumerate(TRIPLES)
        },
    ),
    "table.json": (
        "a pandas table with its schema",
        {
            "schema": {"fields": []},
            "data": [{"query": q, "golds": a, "response": s} for q, a, s in TRIPLES],
        },
    ),
    "nested.json": (
        'rows under "results"',
        {
            "config": {},
            "results": [{"problem": q, "gold": a, "pred": s} for q, a, s in TRIPLES],
        },
    ),
    "simpleqa.csv": (
        "a table",
        "metadata,problem,answer,response\n"
        + "".join(f'{{}},{q},"{a}",{s}\n' for q, a, s in TRIPLES),
    ),
    "semicolons.csv": (
        "a table",
        "Question;Ground Truth;Model Answer\n"
        + "".join(f"{q};{'||'.join(a)};{s}\n" for q, a, s in TRIPLES),
    ),
}


def written(tmp_path, name, content):
    if isinstance(content, dict | list):
        content = json.dumps(content, indent=2)
    if isinstance(content, str):
        content = content.encode()
    path = tmp_path / name
    path.write_bytes(content)
    return path


def triples(read):
    return [(row.question, list(row.answers), row.prediction) for row in read.rows]


@pytest.mark.parametrize("name", FORMS)
def test_rows_are_read_as_they_come(tmp_path, name):
    form, content = FORMS[name]
    read = predictions.read_any(written(tmp_path, name, content))
    assert read.form == form
    assert triples(read) == TRIPLES
    packed = written(tmp_path, f"{name}.gz", gzip.compress((tmp_path / name).read_bytes()))
    if not name.endswith(".eval"):
        assert triples(predictions.read_any(packed)) == TRIPLES


def test_what_is_left_out_is_said(tmp_path):
    read = predictions.read_any(written(tmp_path, "a.json", FORMS["scenario_state.json"][1]))
    assert read.notes == {"a perturbed instance: left out": 1}
    read = predictions.read_any(written(tmp_path, "a.jsonl", FORMS["samples_nq.jsonl"][1]))
    assert read.notes == {"another filter's row of the same question: left out": 3}
    assert read.rows[0].extra == {"exact_match": 1.0}


SQUAD = {
    "data": [
        {
            "paragraphs": [
                {
                    "qas": [
                        {"id": f"q{i}", "question": q, "answers": [{"text": t} for t in a]}
                        for i, (q, a) in enumerate(zip(QUESTIONS, ANSWERS, strict=True))
                    ]
                }
            ]
        }
    ]
}
KILT = lines(
    {"id": f"q{i}", "input": q, "output": [{"answer": each} for each in a] + [{"provenance": []}]}
    for i, (q, a) in enumerate(zip(QUESTIONS, ANSWERS, strict=True))
)
KILT_SAID = lines(
    {"id": f"q{i}", "input": q, "output": [{"answer": s, "provenance": []}]}
    for i, (q, s) in enumerate(zip(QUESTIONS, SAID, strict=True))
)
BY_ID = {f"q{i}": said for i, said in enumerate(SAID)}
FID = "".join(f"q{i}\t{said}\n" for i, said in enumerate(SAID))
GOLD_LINES = lines(
    {"id": f"q{i}", "question": q, "answers": a}
    for i, (q, a) in enumerate(zip(QUESTIONS, ANSWERS, strict=True))
)


@pytest.mark.parametrize(
    ("name", "said", "gold"),
    [
        ("p.json", BY_ID, SQUAD),
        ("p.json", json.dumps(BY_ID), GOLD_LINES),
        ("p.jsonl", KILT_SAID, KILT),
        ("final_output.txt", FID, GOLD_LINES),
    ],
)
def test_gold_answers_may_be_in_another_file(tmp_path, name, said, gold):
    path = written(tmp_path, name, said)
    read = predictions.read_any(path, gold=written(tmp_path, "gold.json", gold))
    assert triples(read) == TRIPLES
    with pytest.raises(UserError, match=r"--gold FILE|question,answers,prediction"):
        predictions.read_any(path)


def test_an_id_that_gold_lacks_is_named(tmp_path):
    path = written(tmp_path, "p.json", {**BY_ID, "q9": "x"})
    with pytest.raises(UserError, match=r'"q9" is not among the questions of --gold'):
        predictions.read_any(path, gold=written(tmp_path, "gold.json", SQUAD))


@pytest.mark.parametrize("kind", ["parquet", "arrow", "folder"])
def test_parquet_and_arrow(tmp_path, kind):
    pa = pytest.importorskip("pyarrow")
    import pyarrow.parquet

    table = pa.table({"question": QUESTIONS, "answers": list(ANSWERS), "prediction": SAID})
    path = tmp_path / "rows.bin"
    if kind == "parquet":
        pyarrow.parquet.write_table(table, path)
    elif kind == "arrow":
        with pa.ipc.new_file(path, table.schema) as file:
            file.write_table(table)
    else:
        path = tmp_path / "saved"
        path.mkdir()
        with pa.ipc.new_stream(path / "data-00000-of-00001.arrow", table.schema) as file:
            file.write_table(table)
        listed = {"_data_files": [{"filename": "data-00000-of-00001.arrow"}]}
        (path / "state.json").write_text(json.dumps(listed))
    read = predictions.read_any(path)
    assert (read.form, triples(read)) == ("Arrow or Parquet", TRIPLES)


def test_parquet_without_its_extra_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "pyarrow", None)
    with pytest.raises(UserError, match=r"pip install 'closedbook\[parquet\]'"):
        predictions.read_any(written(tmp_path, "rows.parquet", b"PAR1...."))


def test_splits_of_a_saved_data_set_are_named(tmp_path):
    for split in ("test", "train"):
        (tmp_path / split).mkdir()
        (tmp_path / split / "state.json").write_text("{}")
    (tmp_path / "dataset_dict.json").write_text("{}")
    with pytest.raises(UserError, match="several splits; give the folder of one: test, train"):
        predictions.read_any(tmp_path)


def test_columns_say_which_key_is_which(tmp_path):
    rows = [{"a": {"b": q}, "c": [a, "x"], "d": {"e": [s]}} for q, a, s in TRIPLES]
    path = written(tmp_path, "rows.jsonl", lines(rows))
    paths = {"question": "a.b", "answers": "c.0", "prediction": "d.e"}
    assert triples(predictions.read_any(path, columns=paths)) == TRIPLES
    with pytest.raises(UserError, match=r"no question .* keys a, c, d; .* --columns question=a,"):
        predictions.read_any(path)
    with pytest.raises(UserError, match=r"--columns names 'z'; the keys are a, c, d"):
        predictions.read_any(
            path, columns={**paths, "answers": "z", "question": "z", "prediction": "z"}
        )


def test_a_table_without_names_says_how_to_name_its_columns(tmp_path):
    text = "".join(f"{q},{a[0]},{s}\n" for q, a, s in TRIPLES)
    path = written(tmp_path, "rows.csv", text)
    with pytest.raises(UserError, match="--columns question=1,answers=2,prediction=3"):
        predictions.read_any(path)
    columns = {"question": "1", "answers": "2", "prediction": "3"}
    rows = predictions.read(path, columns=columns)
    assert [row.prediction for row in rows] == list(SAID)


def test_several_samples_of_a_question_keep_apart(tmp_path):
    rows = [{"qid": 1, "query": "q", "gold": "a", "response": s} for s in SAID]
    read = predictions.read_any(written(tmp_path, "rows.jsonl", lines(rows)))
    assert [row.id for row in read.rows] == [1, "1 (2)", "1 (3)"]


def test_null_numbers_and_lists_are_answers(tmp_path):
    rows = [
        {"question": "q", "answers": [1945, [1.0]], "prediction": None},
        {"question": "q", "answers": "a", "prediction": 1945},
        {"question": "q", "answers": "a", "prediction": ["b", "c"]},
        {"question": "q", "answers": [], "prediction": "b"},
        {"question": "q", "answers": None, "prediction": "b"},
    ]
    read = predictions.read_any(written(tmp_path, "rows.jsonl", lines(rows)))
    assert [row.prediction for row in read.rows] == ["", "1945", "b"]
    assert read.rows[0].answers == ("1945", "1")
    assert [each.text for each in read.rows[2].alternatives] == ["c"]
    assert read.notes == {
        "null prediction, counted as an empty one": 1,
        "more than one prediction: the first counts": 1,
        "no gold answer: left out": 2,
    }


def test_all_faulty_rows_are_listed(tmp_path):
    good = {"question": "q", "answers": "a", "prediction": "b"}
    bad = [{**good, "prediction": True}, {**good, "answers": [{"x": 1}]}, "text"] * 5
    path = written(tmp_path, "rows.jsonl", lines([good, *bad]) + '{"question": \n')
    with pytest.raises(UserError) as caught:
        predictions.read_any(path)
    first, *listed = str(caught.value).splitlines()
    assert first == f"{path}: 16 rows cannot be read:"
    assert listed[0] == f'  {path}:2: "prediction" is true; it must be a string'
    assert listed[2] == f'  {path}:4: "text" is not a JSON object; write one object per line'
    assert (len(listed), listed[-1]) == (11, "  and 6 more")


def test_log_likelihoods_are_no_answers(tmp_path):
    row = {**harness(*TRIPLES[0]), "resps": [[[-1.5, False]]], "filtered_resps": [[-1.5, False]]}
    with pytest.raises(UserError, match="log-likelihoods of choices, and no free answer"):
        predictions.read_any(written(tmp_path, "samples.jsonl", lines([row])))
