"""Where the lines of a page would stand if it had been laid straight under the camera.

The engine reads slanted lines as well as level ones; only their order depends on how askew the page is. So the page
is not turned: the lines' corners are, for as long as it takes to put them in order.
"""

import math
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from alta_ocr.engines.spotted import Quad

_LONG = 3.0
"""Only lines this many times as long as high tell their slope well."""

_FEWEST_FOR_PERSPECTIVE = 8
_STEEPEST_FAN = 0.5
_OUTLIER = math.radians(3)


@dataclass(frozen=True)
class Slant:
    """How a page's lines run: all at one `angle`, and fanned out by `fan` more with each pixel further down.

    The angle is in radians, clockwise from rightwards. A page seen in perspective has a fan: its edges meet somewhere.
    """

    angle: float
    fan: float
    centre: tuple[float, float]

    @classmethod
    def of(cls, quads: list[Quad]) -> Self:
        """Measure the slant of a page from its lines (corners as in `SpottedLine.quad`)."""
        if not quads:
            return cls(0.0, 0.0, (0.0, 0.0))
        corners = np.stack(quads)
        middles = corners.mean(axis=1)
        centre = middles.mean(axis=0)
        along = (corners[:, 1] + corners[:, 2] - corners[:, 0] - corners[:, 3]) / 2
        lengths = np.hypot(*along.T)
        heights = np.linalg.norm(corners[:, 3] - corners[:, 0], axis=1)
        angles = np.arctan2(along[:, 1], along[:, 0])
        telling = (lengths >= _LONG * heights) & (np.abs(angles) < math.pi / 4)
        if not telling.any():
            return cls(0.0, 0.0, (0.0, 0.0))
        angles, lengths = angles[telling], lengths[telling]
        angle = _weighted_median(angles, lengths)
        return cls(angle, _fan(angles - angle, middles[telling] - centre, lengths, angle), (centre[0], centre[1]))

    def levelled(self, corners: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return points, `(…, 2)`, as they would stand on the page laid straight."""
        cosine, sine = math.cos(self.angle), math.sin(self.angle)
        moved = corners - self.centre
        across = moved[..., 0] * cosine + moved[..., 1] * sine
        down = moved[..., 1] * cosine - moved[..., 0] * sine
        # A point slides along its own line back to the middle of the page.
        return np.stack([across, down * (1 - self.fan * across)], axis=-1) + self.centre


def _weighted_median(values: NDArray[np.float64], weights: NDArray[np.float64]) -> float:
    order = np.argsort(values)
    reached = np.cumsum(weights[order])
    return float(values[order[np.searchsorted(reached, reached[-1] / 2)]])


def _fan(
    deviations: NDArray[np.float64], places: NDArray[np.float64], lengths: NDArray[np.float64], angle: float
) -> float:
    """Return by how much lines slope more with each pixel down the levelled page; least squares, lengths weighing."""
    near = np.abs(deviations) < _OUTLIER
    if near.sum() < _FEWEST_FOR_PERSPECTIVE:
        return 0.0
    down = (places[:, 1] * math.cos(angle) - places[:, 0] * math.sin(angle))[near]
    weights, slopes = lengths[near], np.tan(deviations[near])
    middle = float(np.average(down, weights=weights))
    spread = float(np.sum(weights * (down - middle) ** 2))
    if spread == 0:
        return 0.0
    fan = float(np.sum(weights * (down - middle) * slopes) / spread)
    reach = float(np.abs(places).max())
    return fan if abs(fan) * reach < _STEEPEST_FAN else 0.0
