"""The closed forms: from keys and wanted changes of values to a change of the value matrix.

All methods look for the smallest harm done to what the matrix already holds. W maps a key k [mlp]
to k W [emb]; its change D [mlp, emb] is to give K^T D = R for the new keys K [mlp, n] and the
wanted changes R [n, emb]. Harm is tr(D^T A D), where A [mlp, mlp] weighs the keys that are to be
left alone: the second moment C of all keys (ROME, MEMIT, EMMET), the keys of earlier edits, those
of other facts about the subject. With a projector P onto directions in which preserved keys do
nearly nothing (AlphaEdit), D is sought as P D. Every solution is then made of

    B X = P (P A P + I - P)^-1 P X

- exactly: D = B K (K^T B K)^-1 R. ROME for one key, EMMET for several (Gupta et al. 2024).
- least squares: D = B K (I + K^T B K)^-1 R. MEMIT with A = lambda C (Meng et al. 2023, equation
  14), AlphaEdit with A = L2 I + keys of earlier edits (Fang et al. 2025, equation 12).

Everything is float64.
"""

import dataclasses

import numpy as np

from closedbook.errors import UserError


@dataclasses.dataclass(frozen=True)
class Change:
    """A change of a value matrix as the product of two factors.

    Attributes:
        left: float64 [mlp, rank].
        right: float64 [rank, emb].
    """

    left: np.ndarray
    right: np.ndarray

    @property
    def matrix(self) -> np.ndarray:
        """The change itself, float64 [mlp, emb]."""
        return self.left @ self.right


@dataclasses.dataclass(frozen=True)
class Weighing:
    """Which directions of keys are to be left alone.

    Attributes:
        matrix: A, float64 [mlp, mlp], symmetric.
        projector: P, float64 [mlp, mlp]; None for all directions.
    """

    matrix: np.ndarray
    projector: np.ndarray | None = None

    def solve(self, keys: np.ndarray) -> np.ndarray:
        """B X for keys X [mlp, n].

        Raises:
            UserError: A is singular there.
        """
        matrix, target = self.matrix, keys
        if self.projector is not None:
            p = self.projector
            matrix = p @ matrix @ p + np.eye(len(p)) - p
            target = p @ keys
        try:
            factor = np.linalg.cholesky((matrix + matrix.T) / 2)
        except np.linalg.LinAlgError as error:
            values = np.linalg.eigvalsh((matrix + matrix.T) / 2)
            need = max(-values[0], values[-1] * 1e-8) / max(values.mean(), 1e-300)
            raise UserError(
                "the second moment of the keys is singular: its smallest eigenvalue is "
                f"{values[0]:.3g}, its largest {values[-1]:.3g}. Read a larger corpus, or add a "
                f"ridge: --ridge {need:.1g} (a share of the mean eigenvalue) is enough"
            ) from error
        half = np.linalg.solve(factor, target)
        solved = np.linalg.solve(factor.T, half)
        return solved if self.projector is None else self.projector @ solved


def exactly(weighing: Weighing, keys: np.ndarray, changes: np.ndarray) -> Change:
    """The least harmful change with K^T D = R exactly.

    Args:
        weighing: A and P.
        keys: K [mlp, n], n at most their rank.
        changes: R [n, emb].

    Raises:
        UserError: The keys depend on each other, or P leaves less of them than their number.
    """
    solved = weighing.solve(keys)
    gram = keys.T @ solved
    values = np.linalg.eigvalsh((gram + gram.T) / 2)
    if values[0] <= 1e-10 * max(values[-1], 1e-300):
        raise UserError(
            f"{keys.shape[1]} edits cannot all hold exactly: their keys span fewer directions. "
            "Make fewer edits at once, or use a method of least squares (memit)"
        )
    return Change(solved, np.linalg.solve(gram, changes))


def least_squares(weighing: Weighing, keys: np.ndarray, changes: np.ndarray) -> Change:
    """The change D that minimises |K^T D - R|^2 + tr(D^T A D).

    Args:
        weighing: A and P.
        keys: K [mlp, n].
        changes: R [n, emb].
    """
    solved = weighing.solve(keys)
    gram = keys.T @ solved
    return Change(solved, np.linalg.solve(np.eye(len(gram)) + gram, changes))


def rank_one(
    weighing: Weighing, key: np.ndarray, change: np.ndarray, divisor: np.ndarray | None = None
) -> Change:
    """ROME's change: (change) (C^-1 k)^T / (C^-1 k . k).

    Args:
        weighing: A and P.
        key: k* [mlp].
        change: v* less the value before [emb].
        divisor: Another key in the divisor. kmeng01/rome divides by that of the bare prompt though
            `key` is a mean over contexts; then the edited matrix gives v* for neither.

    Raises:
        UserError: The divisor's key has no part in the direction of the edit.
    """
    direction = weighing.solve(key[:, None])[:, 0]
    norm = np.linalg.norm(direction)
    direction = direction / max(norm, 1e-300)
    gain = direction @ (key if divisor is None else divisor)
    if not abs(gain) > 1e-12 * np.linalg.norm(key):
        raise UserError(
            "the edit has no direction of keys left to write in: the null space holds none of its "
            "key. Raise --null-threshold, or edit another layer"
        )
    return Change(direction[:, None], change[None] / gain)


def null_space(values: np.ndarray, vectors: np.ndarray, threshold: float) -> tuple[np.ndarray, int]:
    """AlphaEdit's projector onto the directions in which preserved keys do nearly nothing.

    Args:
        values: Eigenvalues of C, ascending [mlp].
        vectors: Its eigenvectors, [mlp, mlp], a column for each.
        threshold: Eigenvalues below this share of the largest count as nothing. AlphaEdit has
            an absolute 2e-2, which means something else in each model.

    Returns:
        P [mlp, mlp] and its rank.

    Raises:
        UserError: There is no such direction.
    """
    small = vectors[:, values < threshold * values[-1]]
    if not small.shape[1]:
        raise UserError(
            f"no eigenvalue of the second moment is below {threshold:g} of the largest, so the "
            "null space is empty; raise --null-threshold"
        )
    return small @ small.T, small.shape[1]
