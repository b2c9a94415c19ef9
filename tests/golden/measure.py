#!/usr/bin/env python3
"""Writes measure.json: what scikit-image's regionprops says of the cells of synthetic images.

    python3 tests/golden/measure.py --write

Without `--write` the values are only compared. Made with scikit-image 0.26, SciPy and numpy. x is the column and y
the row. What is undefined is null; an orientation counts as such where both axes are equal, since what is written then
depends on rounding.
"""

import json
import math
import sys

# Nothing is to lie beside the scripts afterwards.
sys.dont_write_bytecode = True

from committed import settle

import numpy as np
from scipy import ndimage
from skimage import draw, measure

WIDTH, HEIGHT = 72, 56
random = np.random.default_rng(20)


def empty():
    return np.zeros((HEIGHT, WIDTH), bool)


def rows(x, y, *lines):
    mask = empty()
    for dy, line in enumerate(lines):
        for dx, pixel in enumerate(line):
            mask[y + dy, x + dx] = pixel == "#"
    return mask


def ellipse(x, y, a, b, angle=0.0):
    mask = empty()
    mask[draw.ellipse(y, x, b, a, mask.shape, rotation=angle)] = True
    return mask


def shapes():
    """One of each kind that a mask may be."""
    line = empty()
    line[draw.line(30, 45, 41, 70)] = True
    hole = ellipse(12, 40, 10, 8) & ~ellipse(14, 41, 4, 3)
    dented = ellipse(35, 44, 9, 10) & ~ellipse(40, 40, 6, 4)
    return [
        rows(5, 3, "#"),
        rows(10, 3, "##"),
        rows(15, 3, "#", "#"),
        rows(20, 3, "#######"),
        rows(30, 2, "#", "#", "#", "#", "#"),
        rows(34, 2, "#....", ".#...", "..#..", "...#.", "....#"),
        rows(42, 2, "....#", "..##.", "##..."),
        rows(50, 2, "###", "#.#", "###"),
        rows(56, 2, "#.#", ".#.", "#.#"),
        rows(62, 2, "####", "#...", "#...", "####"),
        rows(5, 11, "##", "##"),
        rows(10, 11, "###", "###", "###"),
        rows(16, 11, "#.....#", ".......", "#.....#"),
        rows(27, 11, "##........##", "##........##", "..........##"),
        rows(44, 12, "#............", ".............", ".............", "............#"),
        rows(0, 20, "####", "####", "##.."),
        rows(71, 26, "#", "#", "#"),
        rows(60, 55, "#####"),
        rows(20, 20, "#.#.#.#", ".#.#.#.", "#.#.#.#", ".#.#.#."),
        hole,
        dented,
        line,
        ellipse(58, 50, 7, 3, 0.5),
        ellipse(52, 24, 9, 5, -0.9),
        rows(69, 0, "###", "###"),
    ]


def blobs(count, smooth, level):
    """Pieces of smooth noise of any form; some reach over the edge."""
    field = ndimage.gaussian_filter(random.standard_normal((HEIGHT, WIDTH)), smooth)
    found = measure.label(field > level * field.std(), connectivity=2)
    return [found == value for value in range(1, found.max() + 1)][:count]


def noise():
    """Pixels of a rectangle at random, in many pieces."""
    masks = []
    for _ in range(12):
        mask = empty()
        width, height = random.integers(3, 30, 2)
        x, y = random.integers(0, WIDTH - width), random.integers(0, HEIGHT - height)
        mask[y : y + height, x : x + width] = random.random((height, width)) < random.choice([0.05, 0.3, 0.8])
        if mask.any():
            masks.append(mask)
    return masks


def runs(mask):
    """COCO's run lengths, column by column, background first."""
    flat = np.concatenate([[False], mask.T.ravel()])
    changes = np.flatnonzero(flat[1:] != flat[:-1])
    return np.diff(np.concatenate([[0], changes, [mask.size]])).tolist()


def sample(value):
    """JSON has no word for what is not a number."""
    return value if math.isfinite(value) else str(value)


def number(value):
    value = float(value)
    return value if math.isfinite(value) else None


def statistics(values):
    if values.size == 0:
        return dict.fromkeys(["mean", "median", "sd", "min", "max", "integrated"])
    values = values.astype(np.float64)
    found = [values.mean(), np.median(values), values.std(), values.min(), values.max(), values.sum()]
    return dict(zip(["mean", "median", "sd", "min", "max", "integrated"], map(number, found)))


def cell(mask, image, ring):
    [props] = measure.regionprops(mask.astype(np.uint8), intensity_image=image)
    y1, x1, y2, x2 = props.bbox
    largest, smallest = props.inertia_tensor_eigvals
    values = image[mask].astype(np.float64)
    inside = {
        "mean": number(props.intensity_mean),
        "median": number(props.intensity_median),
        "sd": number(props.intensity_std),
        "min": number(props.intensity_min),
        "max": number(props.intensity_max),
        "integrated": number(values.sum()),
    }
    # The sum has to be away from zero for a quotient to be compared.
    weighted = [number(c) for c in props.centroid_weighted[::-1]] if values.sum() != 0 else [None, None]
    return {
        "size": list(mask.shape),
        "counts": runs(mask),
        "area": number(props.area),
        "perimeter": number(props.perimeter),
        "equivalent_diameter": number(props.equivalent_diameter_area),
        "major_axis": number(props.axis_major_length),
        "minor_axis": number(props.axis_minor_length),
        "feret_max": number(props.feret_diameter_max),
        "orientation": number(props.orientation) if largest - smallest > 1e-9 * largest else None,
        "eccentricity": number(props.eccentricity),
        "solidity": number(props.solidity),
        "extent": number(props.extent),
        "centroid": [number(c) for c in props.centroid[::-1]],
        "bbox": [x1, y1, x2, y2],
        "touches_border": bool(x1 == 0 or y1 == 0 or x2 == mask.shape[1] or y2 == mask.shape[0]),
        "inside": inside,
        "weighted_centroid": weighted,
        "ring_area": int(ring.sum()),
        "ring": statistics(image[ring]),
    }


def case(image, masks, inner, outer):
    occupied = np.any(masks, axis=0)
    cells = []
    for mask in masks:
        distance = ndimage.distance_transform_edt(~mask)
        cells.append(cell(mask, image, (distance > inner) & (distance <= outer) & ~occupied))
    return {
        "width": WIDTH,
        "height": HEIGHT,
        "depth": image.dtype.name,
        "samples": [sample(value) for value in image.ravel().tolist()],
        "ring": [inner, outer],
        "cells": cells,
    }


def main():
    ramp = np.add.outer(3 * np.arange(HEIGHT), np.arange(WIDTH))
    bits8 = random.integers(0, 60, ramp.shape) + ramp % 190
    # A cell that is black has no weighted centroid.
    bits8[3, 5] = 0
    bits16 = random.integers(0, 9000, ramp.shape) + 200 * ramp
    # Quarters are exact in every float, and so are their sums.
    floats = (random.integers(-900, 4000, ramp.shape) + 8 * ramp) / 4
    # A cell with either has no mean; with infinity alone it has a median.
    odd = floats.astype(np.float32)
    odd[12, 12] = np.nan
    odd[44, 33] = np.inf
    odd[22, 22] = -np.inf
    cases = [
        case(bits8.astype(np.uint8), shapes(), 2, 5),
        case(bits16.astype(np.uint16), blobs(40, 2.5, 0.6), 2, 5),
        case(floats.astype(np.float32), blobs(10, 4.0, 1.0) + noise(), 0, 3),
        case(bits16.astype(np.uint16), [ellipse(30, 20, 12, 9, 0.4), ellipse(44, 24, 9, 12)], 10, 80),
        case(odd, shapes(), 2, 5),
    ]
    settle("measure.json", json.dumps(cases, separators=(",", ":")).encode(), 1e-6)


main()
