"""Prefetching, leakage and SeqIO's stream."""

import itertools
import json
import threading

import numpy as np
import pytest

from closedbook.data import cache_lookup
from closedbook.data.leakage import leakage, repeated, training_keys
from closedbook.data.prefetch import Prefetch
from closedbook.tasks import own_files


class Counted:
    """Counts to a limit, and tells its position."""

    def __init__(self, limit, error=StopIteration):
        self.count, self.limit, self.error = 0, limit, error

    def __iter__(self):
        return self

    def __next__(self):
        if self.count == self.limit:
            raise self.error
        self.count += 1
        return self.count

    def state(self):
        return {"index": self.count}


def test_prefetching_keeps_order_and_the_position_of_what_was_taken():
    with Prefetch(Counted(50), depth=4) as items:
        assert items.state() == {"index": 0}
        for expected, item in enumerate(items, start=1):
            assert item == expected
            assert items.state() == {"index": expected}
        assert expected == 50
        with pytest.raises(StopIteration):
            next(items)


def test_an_error_reaches_the_consumer_in_its_place():
    with Prefetch(Counted(3, ZeroDivisionError("broken row"))) as items:
        assert list(itertools.islice(items, 3)) == [1, 2, 3]
        for _ in range(2):
            with pytest.raises(ZeroDivisionError, match="broken row"):
                next(items)


def test_closing_ends_the_thread_of_an_endless_source():
    before = threading.active_count()
    items = Prefetch(itertools.count())
    assert next(items) == 0
    items.close()
    assert threading.active_count() == before
    with pytest.raises(RuntimeError, match="closed"):
        next(items)


@pytest.fixture
def own(tmp_path, vocabulary):
    """A cache of one's own questions: `own(name, questions)`."""

    def make(name, questions):
        path = tmp_path / f"{name}.jsonl"
        path.write_text(
            "".join(json.dumps({"question": q, "answer": "a"}) + "\n" for q in questions)
        )
        own_files.qa_from_files({name: {"train": path}})
        return cache_lookup.token_cache(
            name, "train", vocabulary=vocabulary, cache_dir=tmp_path / "c"
        )

    return make


def test_questions_seen_in_training_are_counted(own):
    training = [own("leak_a", ["Who wrote it?", "when"]), own("leak_b", ["What is the Moon"])]
    found = leakage(
        training_keys(training),
        own("leak_eval", ["who  wrote it", "what is moon?", "where", "Who?"]),
    )
    assert (found.count, found.questions, found.share) == (2, 4, 0.5)
    assert found.examples == ("who  wrote it", "what is moon?")
    assert found.warning().startswith("2 of 4 evaluation questions (50.0%) of leak_eval train")


def test_questions_that_stand_in_training_twice_are_counted(own):
    training = [
        own("twice_a", ["Who wrote it?", "when", "who wrote it", "Where?"]),
        own("twice_b", ["When?", "what", "who wrote the it"]),
    ]
    found = repeated(training, training_keys(training), shown=2)
    assert (found.questions, found.count) == (7, 3)
    assert found.examples == ("who wrote it", "When?")
    assert found.note().startswith("3 of 7 training questions repeat an earlier one")
    once = training[1:]
    assert repeated(once, training_keys(once)).note() is None


def test_no_leak_no_warning(own):
    assert (
        leakage(training_keys([own("leak_c", ["a b"])]), own("leak_d", ["c d"])).warning() is None
    )


def test_the_stream_has_the_caches_examples(own, vocabulary, tmp_path):
    from closedbook.data.stream import Stream

    tokens = own("streamed", [f"question number {i}" for i in range(40)])
    arguments = {"vocabulary": vocabulary}
    lengths = {"inputs": 64, "targets": 16}
    stream = Stream("streamed", 2, lengths, True, 0, **arguments)
    batches = [next(stream) for _ in range(6)]
    assert stream.state() == {"epoch": 0, "index": 6}
    known = {tuple(tokens.inputs(i).tolist()) for i in range(40)}
    for batch in batches:
        for row, ids in zip(
            batch["encoder_input_tokens"], batch["encoder_segment_ids"], strict=True
        ):
            for segment in range(1, ids.max() + 1):
                assert tuple(row[ids == segment].tolist()) in known
    resumed = Stream("streamed", 2, lengths, True, 0, **arguments)
    resumed.restore({"epoch": 0, "index": 4})
    for expected in batches[4:]:
        again = next(resumed)
        for name in expected:
            np.testing.assert_array_equal(again[name], expected[name])


def test_a_mixture_streams_from_local_files(tmp_path, vocabulary):
    from closedbook.data.stream import Stream

    for name in ("NQ-open.train.jsonl", "webq-train.jsonl", "trivia-train.csv"):
        line = (
            "q{0}\t['a']\n" if name.endswith("csv") else '{{"question": "q{0}", "answer": "a"}}\n'
        )
        (tmp_path / name).write_text("".join(line.format(i) for i in range(20)))
    stream = Stream(
        "closed_book_qa",
        4,
        {"inputs": 16, "targets": 8},
        False,
        0,
        vocabulary=vocabulary,
        data_dir=str(tmp_path),
    )
    assert next(stream)["encoder_input_tokens"].shape == (4, 16)
