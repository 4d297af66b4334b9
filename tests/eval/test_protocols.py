"""The protocols beyond a normaliser, against the code that defines them and against plain `re`."""

import json
import random
import re
import tarfile
import time
import unicodedata

import pytest

from closedbook.errors import UserError
from closedbook.eval import metrics, predictions, protocols, regexes, summary

# Exact match that the papers report on NQ-open's development set (test set of the papers).
PUBLISHED = {"DPR": 40.91, "FiD": 46.48, "FiD-KD": 49.56, "EMDR2": 51.47, "R2D2": 52.35}


@pytest.fixture(scope="session")
def outputs(shared, tmp_path_factory):
    folder = tmp_path_factory.mktemp("judged")
    with tarfile.open(shared / "data" / "judged.tar.xz") as archive:
        archive.extractall(folder, filter="data")
    return next(folder.rglob("model_outputs"))


@pytest.fixture(scope="session")
def patterns(shared, tmp_path_factory):
    folder = tmp_path_factory.mktemp("qa")
    with tarfile.open(shared / "data" / "qa.tar.xz") as archive:
        wanted = [m for m in archive.getmembers() if "large2470" in m.name]
        archive.extractall(folder, wanted, filter="data")
    lines = [f.read_text(encoding="utf-8") for f in sorted(folder.rglob("large2470-*.tsv"))]
    return [line.split("\t")[-1] for line in "".join(lines).split("\n") if line]


def test_systems_on_nq_have_their_published_exact_match(outputs):
    rows = {system: predictions.read(outputs / f"NQ_{system}.jsonl") for system in PUBLISHED}
    found = {system: round(summary.score_all(each, "squad").em, 2) for system, each in rows.items()}
    assert found == PUBLISHED


def test_best_model_under_the_harness_reaches_914_on_nq(outputs):
    rows = predictions.read(outputs / "NQ_DPR.jsonl")
    reached = [
        any(metrics.is_right(a, row.answers, "lm_eval") for a in row.answers) for row in rows
    ]
    assert round(100 * sum(reached) / len(rows), 1) == 91.4


@pytest.mark.parametrize("protocol", protocols.PROTOCOLS)
def test_score_and_is_right_agree_and_only_normalisers_have_f1(protocol):
    pairs = [("Paris", "paris"), ("Paris, France", "Paris"), ("", "a"), ("1 ft", "1 f(oo|ee)?t")]
    for prediction, answer in pairs:
        score = metrics.score(prediction, answer, protocol)
        assert (score.em == 100) == metrics.is_right(prediction, [answer], protocol)
        assert (score.f1 is not None) == protocols.PROTOCOLS[protocol].has_f1
    with pytest.raises(UserError, match="no acceptable answers"):
        metrics.score("x" * 10**6, [], protocol)


class TestHasAnswer:
    @pytest.mark.parametrize(
        ("text", "answer", "expected"),
        [
            ("in New York City", "new york", True),
            ("in New York City", "york new", False),
            ("Yorkshire", "York", False),
            ("U.S. Army", "US", False),
            ("U.S. Army", "u.s.", True),
            ("St. Paul’s", "St. Paul's", False),
            ("Beyoncé Knowles", "BEYONCE\u0301", True),
            ("Beyoncé", "Beyonce", False),
            ("北京市", "北京", False),  # letters without spaces are one token
            ("a\u00a0b", "a b", True),  # \p{Z} parts tokens
            ("the Beatles", "The Beatles", True),
            ("Beatles", "The Beatles", False),
            ("anything", "", True),  # as there: no tokens stand everywhere
        ],
    )
    def test_tokens_stand_in_order_and_adjacent(self, text, answer, expected):
        assert protocols.has_answer(text, [answer]) is expected

    def test_tokens_equal_drqas_pattern_on_every_character(self):
        regex = pytest.importorskip("regex")
        drqa = regex.compile(r"([\p{L}\p{N}\p{M}]+)|([^\p{Z}\p{C}])")
        # Characters that Unicode's versions of both tables know alike.
        text = "".join(
            f"{chr(code)}x" for code in range(0x2000) if unicodedata.category(chr(code)) != "Cn"
        )
        text = unicodedata.normalize("NFD", text)
        expected = [match.group().lower() for match in drqa.finditer(text)]
        assert protocols.tokens(text) == expected

    def test_long_text_takes_linear_time(self):
        start = time.process_time()
        protocols.has_answer("a " * 500_000, ["a " * 250_000 + "b"])
        assert time.process_time() - start < 5


class TestHarness:
    @pytest.mark.parametrize(
        ("prediction", "answer", "expected"),
        [
            ("Paris. It lies", "paris", True),
            ("10,000", "10,000", False),  # cut to 10
            ("10", "1,0", True),  # answers are not cut
            ("The Beatles", "Beatles", True),
            ("THE Beatles", "Beatles", False),  # the articles' pattern has three spellings
            ("Hepatitis A", "Hepatitis", False),  # no space follows
            ("New  York", "New York", False),  # white space is not collapsed
            (" Paris\nQ: next", "Paris", True),
            (".", "!", True),  # both are empty
        ],
    )
    def test_rule_of_nq_open(self, prediction, answer, expected):
        assert protocols.harness(prediction, [answer]) is expected

    def test_triviaqa_keeps_articles(self):
        assert not protocols.harness("The Beatles", ["Beatles"], articles=False)


class TestAnswerSets:
    @pytest.mark.parametrize(
        ("prediction", "annotators", "expected"),
        [
            ("answer: B answer: a", ["answer: A answer: B", "answer: A"], True),
            ("answer: B", ["answer: A answer: B"], False),
            ("B", ["answer: B"], False),  # no prefix, no answer: as upstream
            ("answer: B", ["B"], True),
            ("the B", ["B", "C"], True),
            (("B", "A"), [("A", "B")], True),
        ],
    )
    def test_whole_set_of_one_annotator(self, prediction, annotators, expected):
        assert protocols.same_set(prediction, annotators) is expected


class TestRegexes:
    def test_every_pattern_of_curated_trec_matches_as_re_does(self, patterns):
        assert len(patterns) == 2470
        shown = random.Random(0)
        parts = [re.sub(r"[\\()?*+\[\]{}|^$]", "", p) for q in patterns for p in q.split("|")]
        wrong = []
        right = 0
        for pattern in patterns:
            own = [re.sub(r"[\\()?*+\[\]{}^$]", "", part) for part in pattern.split("|")]
            for text in own + shown.sample(parts, 5):
                expected = re.compile(pattern, regexes.FLAGS).match(text) is not None
                right += expected
                if regexes.match(pattern, text) != expected:
                    wrong.append((pattern, text))
        assert wrong == []
        assert right > 2000

    @pytest.mark.parametrize(
        ("pattern", "text"),
        [
            (r"a{2,3}?b", "aaab"),
            (r"[^a-c\d]x", "dx"),
            (r"(?i:A)b", "aB"),
            (r"\bfoo\b.", "foo bar"),
            (r"a$\n^b", "a\nb"),
            (r"\Aab\Z", "ab\n"),
            (r"(|a)+b", "aab"),
            (r"[K]", "\u212a"),  # the Kelvin sign is a k without its case
            ("K", "\u212a"),
            (r"()*x", "x"),
            (r"[\W_]+é", "__É"),
            (r"(?x) a  b", "ab"),
            ("a.c", "a\nc"),
        ],
    )
    def test_syntax_matches_as_re_does(self, pattern, text):
        expected = re.compile(pattern, regexes.FLAGS).match(text) is not None
        assert regexes.match(pattern, text) is expected

    @pytest.mark.parametrize(
        ("pattern", "text"),
        [
            ("(a+)+$", "a" * 5000 + "b"),
            ("(a|a)*b", "a" * 10**6),
            ("(?:a?){50}a{50}", "a" * 49),
            (".*.*.*.*.*x", "a" * 10**6),
            ("(a|a)" * 40 + "b", "a" * 40),
            ("((a{1000}){1000}){1000}", "a" * 10_000),
            ("(?:(?:){60000}){60000}", "a"),
            ("(" * 2000 + "a" + ")" * 2000, "b"),
            ("(?:" * 20 + "a" + "{0,9}){0,9}" * 20, "b"),
            (r"(.*)\1\1x", "a" * 9000),
            ("(?=(a+))*b", "a" * 9000),
            ("[" + "a" * 10**6, "a"),
            ("(unclosed", "(unclosed"),
        ],
    )
    def test_hostile_pattern_ends_soon_and_matches_nothing(self, pattern, text):
        start = time.process_time()
        assert not regexes.match(pattern, text)
        assert time.process_time() - start < 2

    def test_protocol_is_anchored_at_the_start_alone(self):
        row = {"question": "q", "answers": ["12\\d+ f(oo|ee)t"], "prediction": "1234 FEET high"}
        parsed = predictions.parse(json.loads(json.dumps(row)))
        assert metrics.score(parsed.prediction, parsed.answers, "curated_trec").em == 100
        assert metrics.score("about 1234 feet", parsed.answers, "curated_trec").em == 0


def test_protocols_apply_where_files_have_what_they_read():
    plain = [("Paris", ["Paris", "the city (of light)"])] * 19
    pattern = ("12 feet", [r"1[23]+\s?f(ee|oo)t"])
    assert protocols.applying([*plain, pattern])[-2:] == ["curated_trec", "lm_eval"]
    # One in forty rows may be an accident.
    assert "curated_trec" not in protocols.applying([*plain, *plain, *plain, pattern])
    sets = [("answer: Ann answer: Bob", ["answer: Ann"])] * 2
    assert "natural_questions" in protocols.applying([*plain, *sets])
    assert protocols.applying([]) == []
