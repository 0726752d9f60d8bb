"""The array type that vectors travel in; apart from the vocabulary, which is imported without numpy."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Float32Matrix = npt.NDArray[np.float32]
