#!/usr/bin/env python3
"""Reads a folder that tests/measure.rs wrote, as other programs do: tifffile and Pillow, roifile, and shapely behind a strict reader
of GeoJSON (RFC 7946). All must find the cells of cells.json.

    python3 tests/readers/exports.py FOLDER

Made with tifffile 2026, roifile 2026, shapely 2.2 and Pillow 12.
"""

import json
import pathlib
import sys

import numpy as np
import roifile
import shapely
import tifffile
from PIL import Image


def strict(path):
    """A FeatureCollection with nothing that RFC 7946 does not allow, and no NaN, which JSON does not have."""

    def refuse(constant):
        raise ValueError(f"{constant} is no JSON")

    whole = json.loads(path.read_text(encoding="utf-8"), parse_constant=refuse)
    assert whole["type"] == "FeatureCollection" and isinstance(whole["features"], list)
    for feature in whole["features"]:
        assert feature["type"] == "Feature" and {"geometry", "properties"} <= feature.keys()
        geometry = feature["geometry"]
        assert geometry["type"] in ("Polygon", "MultiPolygon") and set(geometry) == {"type", "coordinates"}
        polygons = [geometry["coordinates"]] if geometry["type"] == "Polygon" else geometry["coordinates"]
        for polygon in polygons:
            for ring in polygon:
                assert len(ring) >= 4 and ring[0] == ring[-1], ring
                assert all(len(position) == 2 for position in ring), ring
        # QuPath's own: detections with a class, a name, and numbers as measurements.
        properties = feature["properties"]
        assert properties["objectType"] == "detection" and isinstance(properties["name"], str)
        assert isinstance(properties["classification"]["name"], str)
        assert all(type(value) in (int, float) for value in properties["measurements"].values())
    return whole["features"]


def covered(geometry, shape):
    """The pixels whose centre lies within."""
    y, x = np.mgrid[: shape[0], : shape[1]] + 0.5
    return shapely.contains_xy(geometry, x, y)


def main():
    folder = pathlib.Path(sys.argv[1])
    cells = json.loads((folder / "cells.json").read_text())
    masks = [np.array([[pixel == "#" for pixel in row] for row in cell["rows"]]) for cell in cells]
    shape = masks[0].shape

    expected = np.zeros(shape, int)
    for number, mask in reversed(list(enumerate(masks, 1))):
        expected[mask] = number
    tiff = tifffile.imread(folder / "a_labels.tif")
    assert tiff.dtype == np.uint16 and (tiff == expected).all(), tiff
    png = np.array(Image.open(folder / "a_labels.png"))
    assert png.dtype == np.uint16 and (png == expected).all(), png
    many = tifffile.imread(folder / "many_labels.tif")
    assert many.dtype == np.uint32 and (many.ravel() == np.arange(1, many.size + 1)).all()

    features = strict(folder / "a.geojson")
    assert len(features) == len(cells)
    for number, (feature, cell, mask) in enumerate(zip(features, cells, masks), 1):
        geometry = shapely.geometry.shape(feature["geometry"])
        assert geometry.is_valid, shapely.is_valid_reason(geometry)
        assert (covered(geometry, shape) == mask).all() and geometry.area == mask.sum()
        properties = feature["properties"]
        assert properties["name"] == str(number) and properties["classification"]["name"] == cell["label"]
        assert properties["measurements"]["area [px²]"] == mask.sum()

    rois = sorted(roifile.roiread(folder / "a_rois.zip"), key=lambda roi: roi.name)
    assert [roi.name for roi in rois] == [f"{n:04} {cell['label']}" for n, cell in enumerate(cells, 1)]
    for roi, mask in zip(rois, masks):
        assert (roi.c_position, roi.z_position, roi.t_position) == (0, 3, 2)
        y, x = np.nonzero(mask)
        assert (roi.left, roi.top, roi.right, roi.bottom) == (x.min(), y.min(), x.max() + 1, y.max() + 1)
    print(f"{len(cells)} cells: tifffile, Pillow, shapely and roifile find the same")


main()
