"""How small a drop a gate can see, and how many questions it would take.

Both follow from one estimate. A drop that loses questions also widens the spread: a question that turns from right to wrong
changes by `change`, so a drop of D adds D * change / n to the variance of the mean. Without that term the power of
30 yes-or-no questions is promised far too high (eval/LOG.md).
"""

from __future__ import annotations

import math
from statistics import NormalDist

from eval.significance import Estimate
from eval.student import t_quantile


def detectable_drop(
    found: Estimate, *, alpha: float, power: float, claims: int = 1, max_drop: float = 0.0
) -> float | None:
    """Return the minimum detectable effect: the least true drop that FAILs with probability `power`.

    It must be told from no drop at level alpha / claims (Holm's first step), and must not look like one within `max_drop` at
    level `alpha` either; where questions are many the second asks for more.

    Returns:
        A drop in (0, 1]; None where the questions cannot show even the largest, or are of one document.
    """
    if not math.isfinite(found.se):
        return None
    k = t_quantile(1 - alpha / claims, found.df) + NormalDist().inv_cdf(power)
    per_loss = found.change / found.questions
    seen = (k * k * per_loss + math.sqrt((k * k * per_loss) ** 2 + 4 * k * k * found.se**2)) / 2
    beyond = NormalDist().inv_cdf(power) - t_quantile(1 - alpha, found.df)
    widened = max_drop * per_loss if beyond > 0 else 0.0  # below max_drop a wider spread would help: not counted on
    outside = max_drop + beyond * math.sqrt(found.se**2 + widened)
    drop = max(seen, outside)
    return drop if drop <= 1 else None


def questions_to_see_loss(share: float, *, alpha: float) -> int:
    """Return how many questions one needs for a fault that ruins `share` of all questions, in (0, 1), to show in at least one.

    (1 - share)^n <= alpha: the "rule of three", n = 3 / share at alpha = .05. With fewer, no loss seen proves nothing.
    Source: Hanley and Lippman-Hand, JAMA 249(13), 1983.
    """
    return math.ceil(math.log(alpha) / math.log1p(-share)) if share < 1 else 1


def questions_needed(found: Estimate, *, alpha: float, alpha_family: float, power: float, max_drop: float) -> int:
    """Return the number of questions that would settle what is inconclusive now, with probability `power`.

    Further questions are taken to change as often and as much as those seen. Unless the drop seen is itself beyond
    `max_drop`, the two releases are taken to be equally good, and so many questions PASS. Where there are so many already,
    or the drop is beyond, the true difference is taken to be the one seen.

    Args:
        alpha: level of the bound that PASS is read from; `alpha_family` that of FAIL, after Holm's first step.
    Source: Julious, Statistics in Medicine 23(12), 2004, for non-inferiority.
    """
    n, inverse = found.questions, NormalDist().inv_cdf
    if not math.isfinite(found.se):
        return max(n + 1, questions_to_see_loss(max_drop, alpha=alpha))
    own = found.change**2  # of the imaginary question, which does not grow with n
    each = max(0.0, (found.se * (n + 1)) ** 2 - own) / n
    k = inverse(1 - alpha) + inverse(power)
    planned = max(questions_to_see_loss(max_drop, alpha=alpha), _solve(k / max_drop, each, own))
    if planned > n and found.mean > -max_drop:
        return planned
    k = max(k, inverse(1 - alpha_family) + inverse(power))
    distance = max(found.mean + max_drop, -found.mean)  # to the nearer verdict; at least half of max_drop
    return max(n + 1, _solve(k / distance, each, own))


def _solve(ratio: float, each: float, own: float) -> int:
    """The least n with ratio * sqrt(n * each + own) <= n + 1."""
    half = ratio**2 * each / 2
    return max(1, math.ceil(half + math.sqrt(max(0.0, half**2 + ratio**2 * own - 2 * half)) - 1))
