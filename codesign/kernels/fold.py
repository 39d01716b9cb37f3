# numpy's reshape, view and copy are partially unknown to pyright.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
"""A convolution on an input packed as patches (`layout.PatchFold`): same outputs, full lanes."""

from __future__ import annotations

from dataclasses import replace
from itertools import product
from math import ceil

import numpy as np
from numpy.typing import NDArray

from codesign.kernels.layout import PatchFold
from codesign.kernels.workload import ConvWorkload


def patch_folds(workload: ConvWorkload) -> tuple[PatchFold, ...]:
    """Folds worth measuring, few lanes first; none where the workload cannot be folded.

    Along each axis: as it is, space-to-depth by the stride, or whole windows.
    """
    w = workload
    if w.groups > 1 or w.up != (1, 1):
        return ()
    choices = [
        sorted({(1, 1), (stride, stride), (stride, reach)})
        for stride, reach in zip(w.stride, w.reach, strict=True)
    ]
    folds = [
        PatchFold((y[0], x[0]), (y[1], x[1]), w.padding[:2])
        for y, x in product(*choices)
        if (y, x) != ((1, 1), (1, 1)) and _taps(w, (y[0], x[0]), (y[1], x[1])) is not None
    ]
    return tuple(sorted(folds, key=lambda f: f.patch[0] * f.patch[1]))


def fold_convolution(
    workload: ConvWorkload, weight: NDArray[np.int8], fold: PatchFold
) -> tuple[ConvWorkload, NDArray[np.int8]]:
    """The convolution over `layout.fold_input` of the input that equals ``workload``.

    The folded workload has no padding and no border of its own, and keeps the real layer's
    multiply-accumulates. ``weight`` is int8 [out_channels, in_channels, kh, kw].

    Raises
    ------
    ValueError
        Steps that do not divide the strides, patches that miss a tap, padding other than the
        fold's, groups, or a transposed convolution.
    """
    w = workload
    taps = _taps(w, fold.step, fold.patch)
    if taps is None or fold.before != w.padding[:2] or w.groups > 1 or w.up != (1, 1):
        raise ValueError(
            f"{fold} does not serve {w}: steps must divide the stride, patches cover the kernel, "
            "before be the padding, groups 1; see patch_folds"
        )
    (ys, high), (xs, wide) = taps
    lanes = (w.out_channels, *fold.patch, w.in_channels, high, wide)
    folded = np.zeros(lanes, np.int8)
    for (ky, (jy, dy)), (kx, (jx, dx)) in product(enumerate(ys), enumerate(xs)):
        folded[:, dy, dx, :, jy, jx] = weight[:, :, ky, kx]
    stride = (w.stride[0] // fold.step[0], w.stride[1] // fold.step[1])
    small = replace(
        w,
        in_channels=fold.patch[0] * fold.patch[1] * w.in_channels,
        height=(w.out_height - 1) * stride[0] + high,
        width=(w.out_width - 1) * stride[1] + wide,
        kernel=(high, wide),
        stride=stride,
        padding=(0, 0, 0, 0),
        dilation=(1, 1),
        in_border=0,
        graph_macs=w.macs,
    )
    return small, folded.reshape(w.out_channels, -1, high, wide)


_AxisTaps = tuple[list[tuple[int, int]], int]


def _taps(
    w: ConvWorkload, step: tuple[int, int], patch: tuple[int, int]
) -> tuple[_AxisTaps, _AxisTaps] | None:
    """(packed tap, offset in the patch) of each tap and the packed taps, per axis."""
    rows = _axis_taps(w.kernel[0], w.dilation[0], w.stride[0], step[0], patch[0])
    cols = _axis_taps(w.kernel[1], w.dilation[1], w.stride[1], step[1], patch[1])
    return None if rows is None or cols is None else (rows, cols)


def _axis_taps(kernel: int, dilation: int, stride: int, step: int, patch: int) -> _AxisTaps | None:
    reach = (kernel - 1) * dilation + 1
    packed = ceil(max(0, reach - patch) / step) + 1
    places: list[tuple[int, int]] = []
    for tap in range(kernel):
        number = min(tap * dilation // step, packed - 1)
        places.append((number, tap * dilation - number * step))
    if stride % step or any(offset >= patch for _, offset in places):
        return None
    return places, packed
