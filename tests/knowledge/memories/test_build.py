"""Indexes of triggers against the largest coefficients that NumPy finds."""

import dataclasses
import pathlib
import shutil

import jax
import numpy as np
import pytest

from closedbook.errors import UserError
from closedbook.knowledge import LoadedModel
from closedbook.knowledge.memories import build
from closedbook.knowledge.memories import top as tops
from closedbook.knowledge.memories.cells import SITE, Cell, cells_of
from closedbook.knowledge.memories.examples import Example
from closedbook.models.taps import Taps

T = 5
SETTINGS = build.Settings(t=T, tokens=100)
NAMES = ("t5_1_0", "t5_1_1_scanned", "decoder_only", "decoder_only_scanned_relu")


@pytest.fixture(scope="module", params=NAMES)
def case(request, tiny, random_texts, corpus, tmp_path_factory):
    """A model, texts, and the index of them."""
    model = tiny(request.param)
    texts = random_texts(model)
    out = tmp_path_factory.mktemp("index") / "index"
    named = {"name": "tiny"}
    return model, texts, build.build(model, corpus(texts), out, SETTINGS, named=named)


def of_each_text(model: LoadedModel, texts: list[Example]) -> list[dict[str, np.ndarray]]:
    """Stack -> [layers, length, cells] of each text, by one forward pass with taps."""
    module = model.module

    def rows(sides: list[tuple[int, ...]]) -> np.ndarray:
        width = max(map(len, sides))
        return np.array([[*side, *[0] * (width - len(side))] for side in sides], np.int32)

    read = [text.targets for text in texts]
    given = [rows(read)]
    lengths = {"decoder": list(map(len, read))}
    if not model.config.continues_prompt:
        inputs = [text.inputs for text in texts]
        lengths["encoder"] = list(map(len, inputs))
        given = [rows(inputs), rows([(module.pad_id, *each[:-1]) for each in read])]
    taps = Taps(record=(f"*.{SITE}",))
    _, records = jax.jit(module.apply)({"params": model.params}, *given, taps=taps)
    return [
        {
            stack: np.stack(
                [
                    records[f"{stack}.{layer}.{SITE}"][n, : lengths[stack][n]]
                    for layer in range(spec.layers)
                ]
            )
            for stack, spec in model.config.stacks.items()
        }
        for n in range(len(texts))
    ]


def test_triggers_are_the_largest_coefficients_of_all_texts(case) -> None:
    model, texts, index = case
    alone = of_each_text(model, texts)
    for stack, cells in cells_of(model.config).items():
        for sign in cells.signs:
            turn = -1 if sign == "negative" else 1
            best = np.stack([(turn * each[stack]).max(1) for each in alone], -1)
            place = np.stack([(turn * each[stack]).argmax(1) for each in alone], -1)
            for cell in index.each_cell(stack):
                of_texts = best[cell.layer, cell.number]
                order = [n for n in np.argsort(-of_texts) if of_texts[n] > 0][:T]
                found = index.triggers(cell, sign)
                assert [trigger.example for trigger in found] == [texts[n] for n in order]
                assert [t.position for t in found] == place[cell.layer, cell.number][order].tolist()
                np.testing.assert_allclose(
                    [t.coefficient for t in found], turn * of_texts[order], rtol=1e-4, atol=1e-6
                )
            active = sum((turn * each[stack] > 0).sum(1) for each in alone)
            np.testing.assert_array_equal(index.active(stack, sign), active)
        assert index.positions(stack) == sum(each[stack].shape[1] for each in alone)


def test_an_index_of_another_model_is_refused(case) -> None:
    model, _, index = case
    index.check_model(model)
    other = dataclasses.replace(model, params=jax.tree.map(lambda x: x + 1, model.params))
    with pytest.raises(UserError, match="index of another model, tiny"):
        index.check_model(other)


def test_a_damaged_byte_of_an_index_is_found(case, tmp_path) -> None:
    *_, index = case
    text = max((index.path / "texts").iterdir(), key=lambda path: path.stat().st_size)
    for file in ("decoder/positive.coefficient.npy", f"texts/{text.name}", "manifest.json"):
        copy = shutil.copytree(index.path, tmp_path / file.replace("/", "_"))
        content = bytearray((copy / file).read_bytes())
        content[len(content) // 2] ^= 1
        (copy / file).write_bytes(content)
        with pytest.raises(UserError, match=r"is damaged \(.*; make the index again"):
            type(index).open(copy)


def test_a_corpus_shorter_than_t_is_refused_before_anything_is_written(
    case, corpus, tmp_path: pathlib.Path
) -> None:
    model, texts, _ = case
    out = tmp_path / "index"
    with pytest.raises(UserError, match="has 3 texts, fewer than t = 5"):
        build.build(model, corpus(texts[:3]), out, build.Settings(t=5))
    assert not list(tmp_path.iterdir())


def test_cells_that_are_not_there_are_named(case) -> None:
    _, _, index = case
    for name, message in {
        "decoder.9.1": "there is no layer 9",
        "decoder.1.12": "there is no cell 12",
        "decodr.1.1": "unknown stack",
        "decoder.1": "names no cell",
    }.items():
        with pytest.raises(UserError, match=message):
            index.triggers(Cell.parse(name))


def test_every_position_stands_for_itself_if_asked(tiny, random_texts, corpus, tmp_path) -> None:
    model = tiny("t5_1_0")
    texts = random_texts(model)
    settings = dataclasses.replace(SETTINGS, convention="position", stacks=("encoder",))
    index = build.build(model, corpus(texts), tmp_path / "index", settings)
    assert list(index.cells) == ["encoder"]
    every = np.concatenate([each["encoder"] for each in of_each_text(model, texts)], 1)
    best = -np.sort(-np.maximum(every, 0), 1)[:, :T].swapaxes(1, 2)
    np.testing.assert_allclose(index.arrays("encoder")["coefficient"], best, rtol=1e-4, atol=1e-6)


class Killed(Exception):
    """Stands for a kill of the process."""


def files(folder: pathlib.Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def begun(model: LoadedModel, corpus, out: pathlib.Path, after: int, settings=SETTINGS) -> None:
    """Indexes until some batches are done and saved, and is killed then."""
    left = iter(range(after))

    def progress(step: str, done: int, total: int) -> None:
        if next(left, None) is None:
            raise Killed

    with pytest.raises(Killed):
        build.build(model, corpus, out, settings, save_after=0, progress=progress)
    assert not out.exists()


@pytest.mark.parametrize("kills", [(1,), (2, 1, 3)])
def test_a_killed_run_goes_on_to_the_same_bits(
    tiny, random_texts, corpus, tmp_path, kills: tuple[int, ...]
) -> None:
    model = tiny("t5_1_1_scanned")
    made = corpus(random_texts(model))
    whole, out = tmp_path / "whole", tmp_path / "killed"
    build.build(model, made, whole, SETTINGS)
    for after in kills:
        begun(model, made, out, after)
    seen: list[int] = []
    build.build(model, made, out, SETTINGS, progress=lambda step, done, total: seen.append(done))
    assert files(out) == files(whole)
    assert {path.name for path in tmp_path.iterdir()} == {"whole", "killed"}
    counts: list[int] = []
    again = tmp_path / "again"
    build.build(model, made, again, SETTINGS, progress=lambda step, n, total: counts.append(n))
    assert len(seen) == len(counts) - sum(kills)  # what was saved is not done again


def test_what_was_begun_with_other_settings_or_texts_is_not_gone_on_with(
    tiny, random_texts, corpus, tmp_path
) -> None:
    model, out = tiny("decoder_only"), tmp_path / "index"
    texts = random_texts(model)
    begun(model, corpus(texts), out, 2)
    with pytest.raises(UserError, match="another index: its t is 5, now it is 6"):
        build.build(model, corpus(texts), out, dataclasses.replace(SETTINGS, t=6))
    with pytest.raises(UserError, match="the corpus made has changed since"):
        build.build(model, corpus(texts[::-1]), out, SETTINGS)
    with pytest.raises(UserError, match="the corpus made has changed since"):  # fewer than are done
        build.build(model, corpus(texts[: T + 1]), out, SETTINGS)
    assert not out.exists()
    state = out.with_name("index.unfinished") / "state.npz"
    state.write_bytes(state.read_bytes()[:100])
    with pytest.raises(UserError, match=r"state.npz is damaged .* remove"):
        build.build(model, corpus(texts), out, SETTINGS)


def test_coefficients_that_are_no_numbers_leave_nothing_behind(
    tiny, random_texts, corpus, tmp_path
) -> None:
    model = tiny("decoder_only")
    params = jax.tree.map(lambda x: x * np.nan, model.params)
    broken = dataclasses.replace(model, params=params)
    with pytest.raises(UserError, match="no numbers"):
        build.build(broken, corpus(random_texts(model)), tmp_path / "index", SETTINGS)
    assert not list(tmp_path.iterdir())


def test_other_folders_are_not_written_over(case, corpus, tmp_path: pathlib.Path) -> None:
    model, texts, index = case
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(UserError, match="is no index of memories, so it stays"):
        build.build(model, corpus(texts), tmp_path, SETTINGS, force=True)
    with pytest.raises(UserError, match="holds an index already"):
        build.build(model, corpus(texts), index.path, SETTINGS)


def test_a_trigger_takes_ten_bytes(case) -> None:
    _, _, index = case
    for stack, cells in index.cells.items():
        for sign in cells.signs:
            found = index.arrays(stack, sign)
            assert all(array.shape == (cells.layers, cells.width, T) for array in found.values())
            assert sum(array.dtype.itemsize for array in found.values()) == 10
            assert all(isinstance(array, np.memmap) for array in found.values())


def test_an_earlier_text_stays_among_equals_and_silence_is_no_trigger() -> None:
    top = tops.Top(
        size=np.array([[[[2.0, 0.0, 0.0]]]], np.float32),
        text=np.array([[[[7, -1, -1]]]], np.int32),
        position=np.zeros((1, 1, 1, 3), np.int32),
        active=np.zeros((1, 1, 1), np.int32),
    )
    layer = np.array([[[0.0], [2.0], [9.0]], [[-1.0], [0.0], [0.0]]], np.float32)
    found = tops.merge(top, [layer], np.array([8, 9]), np.array([2, 3]), "text")
    np.testing.assert_array_equal(found.size[0, 0, 0], [2, 2, 0])
    np.testing.assert_array_equal(found.text[0, 0, 0], [7, 8, -1])
    assert found.position[0, 0, 0, 1] == 1
    assert found.active.tolist() == [[[1]]]


@pytest.mark.parametrize("signs", [1, 2])
def test_both_ways_to_the_best_of_a_text_agree(signs: int) -> None:
    layer = np.random.default_rng(0).normal(size=(5, 7, 11)).astype(np.float32)
    layer[1, :, 3], layer[2] = -2.0, 0.0
    lengths = np.array([7, 3, 7, 1, 0], np.int32)
    for row, length in enumerate(lengths):
        layer[row, length:] = np.nan
    found = [tops.best_of_texts(layer, lengths, signs, one_by_one=way) for way in (True, False)]
    for one, other in zip(*found, strict=True):
        np.testing.assert_array_equal(one, other)
    assert found[0][1][0, 4, 0] == layer[0, :, 4].argmax()
