"""Writes a large TIFF of synthetic cells, a band at a time, to measure detection on images that memory does not take.

    cytobox synth --out field --images 1 --width 1024 --height 1024 --seed 5
    python3 tests/peer/large_tiff.py field/synthetic-5-0 large.tif 30000 tiles
    cytobox convert models/cells.safetensors quarter.safetensors --detector '{"scale":{"fixed":0.25},"cell_diameter":90}'
    /usr/bin/time -v cytobox detect large.tif --model quarter.safetensors --out results --score 0.5

The field is enlarged four times and repeated; `tiles` are 512 pixels wide and deflated, `strips` of 64 rows are stored as they are.
"""

import sys

import numpy as np
import tifffile
from PIL import Image

ENLARGED = 4
TILE = 512
ROWS = 64


def field(stem):
    """The merged field, as the Atlas's channels are merged."""
    channels = [Image.open(f"{stem}_{name}.png") for name in ("red", "green", "blue", "yellow")]
    side = channels[0].width * ENLARGED
    red, green, blue, yellow = (np.asarray(c.resize((side, side), Image.BILINEAR), np.uint16) for c in channels)
    merged = [np.minimum(red + yellow // 2, 255), np.minimum(green + yellow // 2, 255), blue]
    return np.stack(merged, -1).astype(np.uint8)


def bands(pattern, side, height):
    """Bands of rows of the pattern, repeated over a square of that side."""
    copies = -(-side // pattern.shape[1])
    for y in range(0, side, height):
        rows = np.arange(y, min(y + height, side)) % pattern.shape[0]
        yield np.tile(pattern[rows], (1, copies, 1))[:, :side]


def tiles(pattern, side):
    for band in bands(pattern, side, TILE):
        for x in range(0, side, TILE):
            tile = np.zeros((TILE, TILE, 3), np.uint8)
            part = band[:, x : x + TILE]
            tile[: part.shape[0], : part.shape[1]] = part
            yield tile


def main(stem, path, side, kind):
    pattern, side = field(stem), int(side)
    common = {"shape": (side, side, 3), "dtype": np.uint8, "photometric": "rgb"}
    with tifffile.TiffWriter(path, bigtiff=True) as file:
        if kind == "tiles":
            deflate = {"compression": "zlib", "compressionargs": {"level": 1}}
            file.write(tiles(pattern, side), tile=(TILE, TILE), **deflate, **common)
        else:
            file.write(bands(pattern, side, ROWS), rowsperstrip=ROWS, **common)


main(*sys.argv[1:])
