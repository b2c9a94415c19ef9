#!/usr/bin/env python3
"""Writes tiff_files.safetensors: TIFF files of every kind that tifffile writes, each with the samples that tifffile reads from it.

    python3 tests/golden/tiff_files.py --write

Without `--write` tifffile reads the committed files again and must find the samples beside them; files whose compression needs
imagecodecs are left aside where that is not installed. Made with tifffile 2026, imagecodecs 2026 and numpy.

`file/NAME` are the bytes of a file, `samples/NAME` what is in it as time points × slices × channels × rows × columns; a file
without samples is one that tifffile reads and this project refuses with a sentence.
"""

import io
import json
import pathlib
import struct
import sys

# Nothing is to lie beside the scripts afterwards.
sys.dont_write_bytecode = True

import numpy as np
import tifffile
from safetensors.numpy import load

PLACE = pathlib.Path(__file__).parent / "tiff_files.safetensors"
WIDTH, HEIGHT = 37, 21
random = np.random.default_rng(13)

made, samples = {}, {}


def field(*shape, top=255.0):
    """Smooth enough for compression and rough enough to tell one sample from its neighbour."""
    y, x = np.mgrid[: shape[-2], : shape[-1]]
    steps = np.arange(np.prod(shape[:-2], dtype=int)).reshape(*shape[:-2], 1, 1)
    wave = 0.5 + 0.4 * np.sin(x / 5.0 + steps) * np.cos(y / 4.0 - 0.7 * steps)
    return top * np.clip(wave + 0.04 * random.standard_normal(shape), 0, 1)


def add(name, image, axes, refused=False, subifds=(), **options):
    """One file; `axes` are those of the image."""
    out = io.BytesIO()
    imagej = options.pop("imagej", False)
    ome = options.pop("ome", False)
    big = options.pop("bigtiff", False)
    order = options.pop("byteorder", "<")
    contiguous = options.pop("contiguous", True)
    with tifffile.TiffWriter(out, bigtiff=big, byteorder=order, imagej=imagej, ome=ome) as tif:
        metadata = options.pop("metadata", {"axes": axes})
        if not contiguous:
            options["contiguous"] = False
        tif.write(image, metadata=metadata, subifds=len(subifds) or None, **options)
        for smaller in subifds:
            tif.write(smaller, subfiletype=1, **{k: v for k, v in options.items() if k != "resolution"})
    made[name] = np.frombuffer(out.getvalue(), np.uint8)
    if not refused:
        samples[name] = as_planes(image, axes)


def as_planes(image, axes):
    """Time points × slices × channels × rows × columns; the samples of a pixel are channels."""
    axes = axes.replace("S", "C") if "C" not in axes else axes
    present = [axis for axis in "TZCYX" if axis in axes]
    moved = np.transpose(image, [axes.index(axis) for axis in present])
    return np.ascontiguousarray(moved.reshape([image.shape[axes.index(a)] if a in axes else 1 for a in "TZCYX"]))


def main():
    grey8 = field(HEIGHT, WIDTH).astype(np.uint8)
    grey16 = field(HEIGHT, WIDTH, top=4095).astype(np.uint16)
    rgb8 = np.moveaxis(field(3, HEIGHT, WIDTH).astype(np.uint8), 0, 2)
    rgb16 = np.moveaxis(field(3, HEIGHT, WIDTH, top=60_000).astype(np.uint16), 0, 2)
    channels = field(3, HEIGHT, WIDTH, top=16_000).astype(np.uint16)
    real = (field(HEIGHT, WIDTH, top=3.0) - 1.0).astype(np.float32)
    tiles = {"tile": (16, 32)}

    for order, name in (("<", "little"), (">", "big")):
        add(f"{name}-endian", grey16, "YX", byteorder=order)
        add(f"BigTIFF {name}-endian", grey16, "YX", bigtiff=True, byteorder=order)
    add("strips", grey16, "YX", rowsperstrip=5)
    add("tiles", grey16, "YX", **tiles)
    add("BigTIFF tiles", rgb8, "YXS", bigtiff=True, photometric="rgb", **tiles)
    for compression in ("lzw", "zlib", "adobe_deflate", "packbits"):
        for predictor in (None, 2):
            if compression == "packbits" and predictor:
                continue
            what = f"{compression} predictor {predictor or 1}"
            add(f"{what} grey8", grey8, "YX", compression=compression, predictor=predictor)
            add(f"{what} grey16", grey16, "YX", compression=compression, predictor=predictor, rowsperstrip=4)
            add(f"{what} rgb16", rgb16, "YXS", photometric="rgb", compression=compression, predictor=predictor, **tiles)
            add(f"{what} big-endian", grey16, "YX", compression=compression, predictor=predictor, byteorder=">")
    for kind in (np.float16, np.float32, np.float64):
        name = np.dtype(kind).name
        add(name, real.astype(kind), "YX")
        add(f"{name} big-endian tiles", real.astype(kind), "YX", byteorder=">", **tiles)
        add(f"{name} predictor 3", real.astype(kind), "YX", compression="zlib", predictor=3)
        add(f"{name} predictor 3 tiles", real.astype(kind), "YX", compression="lzw", predictor=3, byteorder=">", **tiles)
    for kind in (np.int8, np.int16, np.int32, np.uint32, np.int64, np.uint64):
        whole = (field(HEIGHT, WIDTH, top=200) - (0 if np.dtype(kind).kind == "u" else 100)).astype(kind)
        add(np.dtype(kind).name, whole, "YX")
        add(f"{np.dtype(kind).name} predictor 2", whole, "YX", compression="zlib", predictor=2)
    for bits in (10, 12, 14):
        add(f"{bits} bits packed", grey16 >> (0 if bits >= 12 else 2), "YX", bitspersample=bits, photometric="minisblack")

    planar = {"photometric": "rgb", "planarconfig": "separate"}
    stored = np.moveaxis(rgb16, 2, 0)
    add("planar", stored, "SYX", **planar)
    add("planar tiles LZW", stored, "SYX", compression="lzw", predictor=2, **planar, **tiles)
    add("planar float", stored.astype(np.float32) / 7, "SYX", **planar)
    add("chunky channels", np.moveaxis(channels, 0, 2), "YXS", photometric="minisblack", planarconfig="contig")

    add("OME channels", channels, "CYX", ome=True, photometric="minisblack")
    add("OME channels tiles deflate", channels, "CYX", ome=True, photometric="minisblack", compression="zlib", **tiles)
    add("OME float", real, "YX", ome=True)
    add("OME RGB", rgb8, "YXS", ome=True, photometric="rgb")
    add("ImageJ channels", channels, "CYX", imagej=True)
    add("ImageJ big-endian float", real, "YX", imagej=True, byteorder=">")
    add("tifffile channels", channels, "CYX", photometric="minisblack")
    add("one image without a description", grey16, "YX", metadata=None)

    large = field(48, 64, top=4095).astype(np.uint16)
    levels = [large[::2, ::2], large[::4, ::4]]
    pyramid = {"tile": (16, 16), "compression": "zlib", "predictor": 2}
    add("pyramid in SubIFDs", large, "YX", subifds=levels, **pyramid)
    add("OME pyramid", large, "YX", ome=True, subifds=levels, **pyramid)
    both = np.stack([large, large[::-1]])
    add("OME pyramid of channels", both, "CYX", ome=True, subifds=[both[:, ::2, ::2]], photometric="minisblack", **pyramid)

    for order in ("TZCYX", "TCZYX", "CTZYX", "ZTCYX", "CZTYX", "ZCTYX"):
        sizes = {"T": 2, "Z": 3, "C": 2}
        stack = field(*[sizes[axis] for axis in order[:3]], 9, 12, top=4095).astype(np.uint16)
        add(f"OME stack {order}", stack, order, ome=True, photometric="minisblack")
    stack = field(2, 3, 2, 9, 12, top=4095).astype(np.uint16)
    add("ImageJ hyperstack", stack, "TZCYX", imagej=True)
    add("ImageJ hyperstack float", stack.astype(np.float32) / 9, "TZCYX", imagej=True)
    add("ImageJ slices", stack[0, :, 0], "ZYX", imagej=True)
    add("ImageJ frames deflate", stack[:, 0, 0], "TYX", imagej=True, compression="zlib")
    add("tifffile stack", stack[:, :, 0], "TZYX", photometric="minisblack")
    add("pages without a description", stack[0, :, 0], "ZYX", photometric="minisblack", metadata=None)

    add("colour stack", np.stack([rgb8, rgb8[::-1]]), "TYXS", photometric="rgb")

    for compression in ("zstd", "jpeg", "jpeg2000", "webp", "lzma", "jpegxl", "lerc"):
        image = rgb8 if compression in ("jpeg", "webp", "jpeg2000", "jpegxl") else grey8
        axes, photometric = ("YXS", "rgb") if image is rgb8 else ("YX", "minisblack")
        add(f"refused {compression}", image, axes, refused=True, compression=compression, photometric=photometric)
    add("refused complex", real.astype(np.complex64), "YX", refused=True)


def check(tensors):
    """What tifffile reads now."""
    checked = left = 0
    for name, file in tensors.items():
        if not name.startswith("file/") or "refused" in name:
            continue
        name = name.removeprefix("file/")
        with tifffile.TiffFile(io.BytesIO(file.tobytes())) as tif:
            series = tif.series[0]
            axes = series.axes.replace("I", "Z").replace("Q", "Z")
            try:
                image = series.asarray()
            except (ValueError, RuntimeError, KeyError) as error:
                if "imagecodecs" not in str(error):
                    raise
                left += 1
                continue
        found, expected = as_planes(image, axes), tensors[f"samples/{name}"]
        assert found.shape == expected.shape, (name, axes, found.shape, expected.shape)
        assert found.dtype.newbyteorder("=") == expected.dtype and (found == expected).all(), name
        checked += 1
    print(f"{PLACE}: tifffile reads the same samples from {checked} files; {left} need imagecodecs")


if "--write" in sys.argv[1:]:
    main()
    tensors = {f"file/{name}": data for name, data in made.items()}
    tensors |= {f"samples/{name}": data for name, data in samples.items()}
    header, blobs, at = {}, [], 0
    for key in sorted(tensors):
        kind = {"float16": "F16", "bool": "BOOL"}.get(tensors[key].dtype.name)
        kind = kind or tensors[key].dtype.name.replace("uint", "U").replace("int", "I").replace("float", "F")
        blob = tensors[key].astype(tensors[key].dtype.newbyteorder("<")).tobytes()
        header[key] = {"dtype": kind, "shape": list(tensors[key].shape), "data_offsets": [at, at + len(blob)]}
        blobs.append(blob)
        at += len(blob)
    head = json.dumps(header, separators=(",", ":")).encode()
    head += b" " * (-len(head) % 8)
    PLACE.write_bytes(struct.pack("<Q", len(head)) + head + b"".join(blobs))
check(load(PLACE.read_bytes()))
