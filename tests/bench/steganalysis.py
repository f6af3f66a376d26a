"""Two detectors of replaced low bits, for one channel: both estimate the share of values that carry a message.

Sample pairs: Dumitrescu, Wu, Wang, "Detection of LSB steganography via sample pair analysis", IEEE Transactions on
Signal Processing 51(7), 2003. Regular and singular groups: Fridrich, Goljan, Du, "Reliable detection of LSB
steganography in color and grayscale images", ACM Workshop on Multimedia and Security, 2001.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Channel = NDArray[np.uint8]
"""Rows and columns of one colour."""
MASK = np.array([0, 1, 1, 0])
"""Which values of a group of four are flipped."""


def sample_pairs(channel: Channel) -> float:
    """Estimate the embedding rate from neighbouring values: 0 for a clean picture, 1 for a full one.

    Embedding moves pairs between the multisets X and Y, whose sizes are equal in natural pictures; how much larger Y
    became gives the rate, the smaller root of a quadratic equation.
    """
    values = channel.astype(np.int16)
    neighbours = ((values[:, :-1], values[:, 1:]), (values[:-1], values[1:]))
    left = np.concatenate([first.reshape(-1) for first, _ in neighbours])
    right = np.concatenate([second.reshape(-1) for _, second in neighbours])
    odd = (right & 1).astype(bool)
    x = np.count_nonzero(np.where(odd, left > right, left < right))
    y = np.count_nonzero(np.where(odd, left < right, left > right))
    same_pair = np.count_nonzero(left >> 1 == right >> 1)  # the paper's W and Z together
    return _smaller_root(same_pair / 2, 2 * x - len(left), y - x)


def regular_singular(channel: Channel) -> float:
    """Estimate the embedding rate from how flipping low bits changes the smoothness of groups of four.

    Flipping makes a group of a natural picture rougher (regular) more often than smoother (singular), alike for both
    directions of flipping; in a picture with a message the directions differ.
    """
    width = channel.shape[1] // 4 * 4
    groups = channel[:, :width].reshape(-1, 4).astype(np.int16)
    flipped = groups ^ 1
    up, down = _surplus(groups, negative=False), _surplus(groups, negative=True)
    up_flipped, down_flipped = _surplus(flipped, negative=False), _surplus(flipped, negative=True)
    root = _smaller_root(2 * (up_flipped + up), down - down_flipped - up_flipped - 3 * up, up - down)
    return root / (root - 0.5) if root != 0.5 else 1.0


def _surplus(groups: NDArray[np.int16], *, negative: bool) -> float:
    """Return the share of regular less that of singular groups under the mask, or under its negative."""
    moved = ((groups + 1) ^ 1) - 1 if negative else groups ^ 1
    change = _roughness(np.where(MASK, moved, groups)) - _roughness(groups)
    return float(np.count_nonzero(change > 0) - np.count_nonzero(change < 0)) / len(groups)


def _roughness(groups: NDArray[np.int16]) -> NDArray[np.int64]:
    return np.abs(np.diff(groups, axis=1)).sum(axis=1)


def _smaller_root(square: float, linear: float, constant: float) -> float:
    """Return the root of smaller size, the real part where roots are complex."""
    if square == 0:
        return -constant / linear if linear else 0.0
    discriminant = max(linear * linear - 4 * square * constant, 0.0)
    roots = [(-linear + sign * discriminant**0.5) / (2 * square) for sign in (1, -1)]
    return float(min(roots, key=abs))


DETECTORS = {"sample pairs": sample_pairs, "RS": regular_singular}


def detect(name: str, picture: NDArray[np.uint8]) -> float:
    """Return a detector's estimate for a picture: the mean over red, green and blue."""
    return float(np.mean([DETECTORS[name](picture[:, :, channel]) for channel in range(3)]))


def auc(clean: Sequence[float], stego: Sequence[float]) -> float:
    """Return the area under the ROC curve: how often a stego picture scores above a clean one, ties half.

    0.5 is guessing. Scores that tell them apart the other way round count as well, since a watcher can turn them.
    """
    low, high = np.asarray(clean)[:, None], np.asarray(stego)[None, :]
    area = float(np.mean((high > low) + 0.5 * (high == low)))
    return max(area, 1 - area)
