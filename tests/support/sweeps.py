"""Sweeps over many like cases: `make test` tries a sample of them, `make test-real` every one."""

from __future__ import annotations

import pytest


def sampled(stride: int, whole: int = 1) -> pytest.MarkDecorator:
    """Parametrize a test by `stride`: how far apart the cases are that it tries; 1 for every one.

    Args:
        stride: the distance in the sample. An odd one meets other calls with and without "after".
        whole: the distance in `make test-real`, where every case would take too long.
    """
    every = pytest.param(whole, id="whole", marks=pytest.mark.real)
    return pytest.mark.parametrize("stride", [pytest.param(stride, id="sample"), every])
