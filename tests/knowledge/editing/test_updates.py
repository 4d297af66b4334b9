"""The closed forms against solutions that are written down in another way."""

import numpy as np
import pytest

from closedbook.errors import UserError
from closedbook.knowledge.editing import updates
from closedbook.knowledge.editing.moments import Moment
from closedbook.knowledge.editing.updates import Weighing

_MLP, _EMB, _EDITS = 12, 5, 3


@pytest.fixture
def problem():
    rng = np.random.default_rng(0)
    samples = rng.normal(size=(200, _MLP)) * np.linspace(0.01, 2, _MLP)
    moment = samples.T @ samples / len(samples)
    return moment, rng.normal(size=(_MLP, _EDITS)), rng.normal(size=(_EDITS, _EMB))


def test_memit_is_the_normal_equation_of_its_sum_of_squares(problem):
    moment, keys, wanted = problem
    found = updates.least_squares(Weighing(15.0 * moment), keys, wanted).matrix
    # Meng et al. 2023, equation 14: R K^T (lambda C + K K^T)^-1, transposed.
    direct = np.linalg.inv(15.0 * moment + keys @ keys.T) @ keys @ wanted
    np.testing.assert_allclose(found, direct, rtol=1e-9, atol=1e-12)


def test_emmet_is_the_constrained_minimum_by_lagrange_multipliers(problem):
    moment, keys, wanted = problem
    found = updates.exactly(Weighing(moment), keys, wanted).matrix
    # Stationarity C D = K L and the constraint K^T D = R as one linear system.
    system = np.block([[moment, keys], [keys.T, np.zeros((_EDITS, _EDITS))]])
    direct = np.linalg.solve(system, np.vstack([np.zeros((_MLP, _EMB)), wanted]))[:_MLP]
    np.testing.assert_allclose(found, direct, rtol=1e-8, atol=1e-10)
    np.testing.assert_allclose(keys.T @ found, wanted, atol=1e-9)


def test_rome_is_emmet_with_one_edit(problem):
    moment, keys, wanted = problem
    one = updates.rank_one(Weighing(moment), keys[:, 0], wanted[0]).matrix
    batch = updates.exactly(Weighing(moment), keys[:, :1], wanted[:1]).matrix
    np.testing.assert_allclose(one, batch, rtol=1e-9)
    assert np.linalg.matrix_rank(one) == 1


def test_alphaedit_is_its_published_solution_and_leaves_preserved_keys_alone(problem):
    moment, keys, wanted = problem
    projector, rank = updates.null_space(*Moment(moment, 1).spectrum, 0.05)
    assert rank == int((np.linalg.eigvalsh(moment) < 0.05 * np.linalg.eigvalsh(moment)[-1]).sum())
    earlier = np.random.default_rng(1).normal(size=(_MLP, 2))
    weighing = Weighing(0.3 * np.eye(_MLP) + earlier @ earlier.T, projector)
    found = updates.least_squares(weighing, keys, wanted).matrix
    # As in its code: solve(P (K K^T + K_p K_p^T) + L2 I, P K R^T).
    inside = projector @ (keys @ keys.T + earlier @ earlier.T) + 0.3 * np.eye(_MLP)
    direct = np.linalg.solve(inside, projector @ keys @ wanted)
    np.testing.assert_allclose(found, direct, rtol=1e-9, atol=1e-12)
    _, vectors = np.linalg.eigh(moment)
    assert np.abs(vectors[:, -1] @ found).max() < 1e-12


@pytest.mark.parametrize("solve", [updates.exactly, updates.least_squares])
def test_with_a_null_space_a_change_lies_in_it(problem, solve):
    moment, keys, wanted = problem
    projector, _ = updates.null_space(*Moment(moment, 1).spectrum, 0.2)
    found = solve(Weighing(moment, projector), keys, wanted).matrix
    np.testing.assert_allclose(projector @ found, found, atol=1e-10)


def test_a_key_that_is_weighed_more_is_disturbed_less(problem):
    moment, keys, wanted = problem
    other = keys[:, 1]
    plain = updates.rank_one(Weighing(moment), keys[:, 0], wanted[0]).matrix
    heavy = moment + 100 * np.outer(other, other)
    spared = updates.rank_one(Weighing(heavy), keys[:, 0], wanted[0]).matrix
    assert np.linalg.norm(other @ spared) < 0.05 * np.linalg.norm(other @ plain)
    np.testing.assert_allclose(keys[:, 0] @ spared, wanted[0], atol=1e-9)


def test_a_singular_second_moment_says_how_much_ridge_it_needs(problem):
    _, keys, wanted = problem
    few = np.random.default_rng(2).normal(size=(4, _MLP))
    with pytest.raises(UserError, match=r"singular.*--ridge"):
        updates.rank_one(Weighing(few.T @ few), keys[:, 0], wanted[0])


def test_more_edits_than_the_null_space_has_dimensions_do_not_fit_in_exactly(problem):
    moment, keys, wanted = problem
    _, vectors = np.linalg.eigh(moment)
    projector = vectors[:, :2] @ vectors[:, :2].T
    with pytest.raises(UserError, match="3 edits cannot all hold exactly"):
        updates.exactly(Weighing(moment, projector), keys, wanted)


def test_an_empty_null_space_is_refused(problem):
    with pytest.raises(UserError, match="null space is empty"):
        updates.null_space(*Moment(np.eye(4), 1).spectrum, 1e-3)
