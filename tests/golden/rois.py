#!/usr/bin/env python3
"""Checks with roifile that the outlines in rois.json, which tests/measure.rs writes for ImageJ, are those of the cells there.

    python3 tests/golden/rois.py

Each entry is one `.roi` file as hexadecimal digits; `cells` has the same masks as rows of text. Made with roifile 2026 and
numpy.
"""

import json
import pathlib

import numpy as np
from roifile import ROI_TYPE, ImagejRoi


def fill(outlines, shape):
    """The pixels whose centre lies inside, by the even-odd rule along rows."""
    mask = np.zeros(shape, int)
    for outline in outlines:
        for (x1, y1), (x2, y2) in zip(outline, np.roll(outline, -1, axis=0)):
            if x1 == x2:
                # Everything to the right of a vertical edge changes sides.
                mask[int(min(y1, y2)) : int(max(y1, y2)), int(x1) :] += 1
    return mask % 2 == 1


def main():
    golden = json.loads((pathlib.Path(__file__).parent / "rois.json").read_text())
    for (name, digits), cell in zip(sorted(golden["rois"].items()), golden["cells"], strict=True):
        roi = ImagejRoi.frombytes(bytes.fromhex(digits))
        mask = np.array([[pixel == "#" for pixel in row] for row in cell["rows"]])
        # A composite is stored as a rectangle with a path.
        if roi.roitype == ROI_TYPE.RECT:
            outlines = roi.path2coords(roi.multi_coordinates)
        else:
            assert roi.roitype == ROI_TYPE.POLYGON, roi
            outlines = [roi.coordinates()]
        assert (fill(outlines, mask.shape) == mask).all(), (name, outlines)
        assert roi.name == cell["name"], (name, roi.name)
        y, x = np.nonzero(mask)
        bounds = (roi.left, roi.top, roi.right, roi.bottom)
        assert bounds == (x.min(), y.min(), x.max() + 1, y.max() + 1), (name, bounds)
    print(f"rois.json: {len(golden['cells'])} outlines, the same as roifile reads")


main()
