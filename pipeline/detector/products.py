"""Matrix products whose rows do not depend on their company: the last bits of a row are the same in any batch.

BLAS has other kernels for one row and for the edges of a matrix. Without this, what is repeated after a crash would
differ in its last digits from what was sent before. Seen on OpenBLAS and held by a test. Its kernels of single
precision for Haswell and Zen differ from row to row even inside; there, products are made in double precision.
"""

from __future__ import annotations

from functools import cache
from typing import TypeVar

import numpy as np
import numpy.typing as npt

EVEN_ROWS, EVEN_COLUMNS = 8, 16
Real = TypeVar("Real", np.float32, np.float64)


def even(weight: npt.NDArray[Real]) -> npt.NDArray[Real]:
    """A weight (D, M) filled up with columns of zeros to a multiple of 16."""
    filled = np.zeros((len(weight), -(-weight.shape[1] // EVEN_COLUMNS) * EVEN_COLUMNS), weight.dtype)
    filled[:, : weight.shape[1]] = weight
    return filled


def product(rows: tuple[npt.NDArray[Real], ...], weight: npt.NDArray[Real]) -> npt.NDArray[Real]:
    """The rows (n, D), given as blocks of their columns, times a weight (D, M) with M a multiple of 16; (n, M).

    Rows are filled up to a multiple of 8.
    """
    count = len(rows[0])
    kind = weight.dtype if weight.dtype == np.float64 or even_in_single() else np.dtype(np.float64)
    filled = np.zeros((-(-count // EVEN_ROWS) * EVEN_ROWS, len(weight)), kind)
    np.concatenate(rows, axis=1, out=filled[:count])
    products: npt.NDArray[Real] = (filled @ weight.astype(kind, copy=False))[:count].astype(weight.dtype, copy=False)
    return products


@cache
def even_in_single() -> bool:
    """Whether the BLAS of this machine gives a row of single precision the same bits at any place of any matrix."""
    row = np.sin(np.arange(1, 66, dtype=np.float32))
    weight = np.cos(np.arange(65 * 256, dtype=np.float32)).reshape(65, 256)
    seen = np.concatenate([np.tile(row, (count, 1)) @ weight for count in (8, 16, 24, 40, 320)])
    return bool((seen == seen[0]).all())
