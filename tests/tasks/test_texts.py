"""Files of text become documents, and wrong ones give one message that names the place."""

import gzip
import json

import pytest

from closedbook.errors import UserError
from closedbook.tasks import specs, texts
from closedbook.tasks.own_texts import language_model_from_files
from closedbook.tasks.sources import Texts

WIKITEXT = """ 
 = Robert Boulter = 
 
 Robert Boulter is an English film actor . 
 
 = = Career = = 
 
 = = = 2000 – 2005 = = = 
 
 In 2000 he had a role . 
 
 = Du Fu = 
 
 Du Fu was a poet . 
"""  # WikiText's lines begin and end in a blank


def _read(path, content):
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return [(document.text, document.place) for document in texts.read(path)]


def test_blank_lines_end_documents_of_plain_text(tmp_path):
    path = tmp_path / "a.txt"
    found = _read(path, "\ufeff\n\none\ntwo \n \t\n\r\n  three\r\nfour")
    assert found == [("one\ntwo", f"{path}:3"), ("three\r\nfour", f"{path}:7")]


def test_articles_of_wikitext_stay_whole(tmp_path):
    found = [text for text, _ in _read(tmp_path / "wiki.train.raw", WIKITEXT)]
    assert [text.split("\n")[0].strip() for text in found] == ["= Robert Boulter =", "= Du Fu ="]
    assert found[0].endswith("In 2000 he had a role .")
    assert "= = = 2000 – 2005 = = =" in found[0]


def test_an_equals_sign_in_the_middle_begins_no_article(tmp_path):
    assert len(_read(tmp_path / "a.txt", "text\n\n = 2 = \n\nmore\n")) == 3


def test_json_lines_hold_a_document_each_packed_or_not(tmp_path):
    rows = [{"text": " a\n\nb ", "title": "x"}, {"text": "  "}, {"text": "c"}]
    content = "".join(json.dumps(row) + "\n" for row in rows).encode()
    found = _read(tmp_path / "a.jsonl", content)
    assert [text for text, _ in found] == ["a\n\nb", "c"]
    packed = _read(tmp_path / "a.jsonl.gz", gzip.compress(content))
    assert [text for text, _ in packed] == ["a\n\nb", "c"]
    assert [text for text, _ in _read(tmp_path / "b.txt.gz", gzip.compress(b"x\n\ny"))] == [
        "x",
        "y",
    ]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.txt", b"one\ntw\xff\n", r"a\.txt:2: not UTF-8 text .*iconv"),
        ("a.jsonl", b'{"text": "x"}\n{"text": \n', r"a\.jsonl:2: not JSON"),
        ("a.jsonl", b'{"question": "x"}\n', r"a\.jsonl:1: no text under the key 'text'"),
        ("a.jsonl", b'["x"]\n', r"a\.jsonl:1: no text under the key 'text' in \['x'\]"),
        ("a.jsonl", b'{"text": "\\ud800"}\n', r"a\.jsonl:1: half a surrogate pair"),
        ("a.txt.gz", b"plain", r"cannot read .*a\.txt\.gz after line 0"),
        (
            "a.txt.gz",
            gzip.compress(b"x\n" * 9999, mtime=0)[:-20],
            r"cannot read .*a\.txt\.gz after line",
        ),
    ],
)
def test_a_damaged_file_gives_one_message_with_its_place(tmp_path, name, content, message):
    with pytest.raises(UserError, match=message):
        _read(tmp_path / name, content)


def test_a_task_of_files_has_their_splits(tmp_path):
    for name in ("a.txt", "b.txt", "c.txt"):
        (tmp_path / name).write_text(f"text of {name}\n")
    train = [str(tmp_path / "a.txt"), str(tmp_path / "b.txt")]
    language_model_from_files({"lm_two": {"train": train, "validation": tmp_path / "c.txt"}})
    spec = specs.SPECS["lm_two"]
    assert (spec.splits, spec.features, spec.metric) == (
        ("train", "validation"), ("targets",), None
    )  # fmt: skip
    assert list(spec.source.documents("train")) == ["text of a.txt", "text of b.txt"]
    assert list(spec.source.documents("validation")) == ["text of c.txt"]


def test_held_out_documents_are_not_trained_on_and_copies_stay_together(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("\n\n".join(f"document {i % 500}" for i in range(1000)))
    language_model_from_files({"lm_share": {"train": path}}, held_out=0.2)
    source = specs.SPECS["lm_share"].source
    train, held_out = (list(source.documents(split)) for split in ("train", "validation"))
    assert len(train) + len(held_out) == 1000
    assert 140 < len(held_out) < 260
    assert not set(train) & set(held_out)
    assert source.fingerprint("train") != Texts(files=source.files).fingerprint("train")


@pytest.mark.parametrize(
    ("given", "held_out", "message"),
    [
        ({"train": "absent.txt"}, 0, "'lm_bad', split 'train': there is no file absent.txt"),
        ({"train": "."}, 0, "is a folder; name its files in a list"),
        ({"train": []}, 0, "split 'train': no file"),
        ({}, 0, "'lm_bad' has no files"),
        ("a.txt", 0, r"'lm_bad' has no files; give \{\"train\""),
        ({"train": __file__}, 1.5, "held_out is 1.5; use a share"),
        ({"validation": __file__}, 0.1, "has files for validation, so held_out"),
        ({"train": __file__, "validation": __file__}, 0.1, "give one of the two"),
    ],
)
def test_a_wrong_task_is_the_users_error(given, held_out, message):
    with pytest.raises(UserError, match=message):
        language_model_from_files({"lm_bad": given}, held_out=held_out)
    assert "lm_bad" not in specs.SPECS


def test_a_split_without_documents_is_named(tmp_path):
    (tmp_path / "a.txt").write_text("\n\n")
    (tmp_path / "b.txt").write_text("one")
    with pytest.raises(UserError, match=r"there is no text in .*a\.txt"):
        list(Texts(files={"train": (tmp_path / "a.txt",)}).documents("train"))
    shared = Texts(files={"train": (tmp_path / "a.txt",)}, held_out=0.5)
    with pytest.raises(UserError, match=r"there is no text in .*a\.txt; give files that have some"):
        list(shared.documents("train"))
    one = Texts(files={"train": (tmp_path / "b.txt",)}, held_out=0.5)
    empty = "train" if one._is_held_out("one") else "validation"
    with pytest.raises(
        UserError, match=rf"held_out = 0.5 of the .*b\.txt \(1\) leaves none for '{empty}'"
    ):
        list(one.documents(empty))
