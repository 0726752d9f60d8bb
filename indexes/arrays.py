"""The array types that vectors and tokens travel in; apart from the vocabulary, which is imported without numpy."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

BoolMatrix = npt.NDArray[np.bool_]
Float32Matrix = npt.NDArray[np.float32]
Int32Matrix = npt.NDArray[np.int32]
Int32Vector = npt.NDArray[np.int32]
Int64Matrix = npt.NDArray[np.int64]
Int64Vector = npt.NDArray[np.int64]
