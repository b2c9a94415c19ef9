#!/usr/bin/env python3
"""Makes the training images of the general detector: models/general.py DATA OUT [--split val].

DATA holds folders of annotated images of many kinds (SOURCES below says which and where they come from). Of each image,
crops of 320 x 320 pixels are cut at scales that bring its median cell to a diameter of about 32 pixels, give or take
a factor of two, because the detector is told the scale of an image or finds it out; contrasts and colours are varied as
microscopes vary them. Objects of which a crop leaves less than a third are marked difficult, which trains neither as cell
nor as background. A tenth of the images, by a hash of their names, is left for validation and 15 % for a test; `split`
is also what the benchmark and the model card use.
"""

import argparse
import csv
import hashlib
import json
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image

SIDE = 320
LEAST_SIDE = 256
DIAMETER = 32.0
# Folder below DATA, crops an image, and what it is; all are CC0, MIT, BSD-3 or CC BY-SA 4.0 (models/README.md).
SOURCES = {
    "dsb2018/train": 4,
    "more/bbbc039/train": 3,
    "more/dsb2018_stained/train": 5,
    "more/usiigaci/train": 10,
    "more/yeastvision/train": 5,
    "more/omnipose7/train": 16,
    "bccd/Annotations": 2,
    "hpa/train": 10,
}


def split(folder: str, stem: str) -> str:
    """`train`, `val` or `test`, of the name alone. Series whose images resemble each other are trained on as a whole."""
    if folder.startswith(("more/yeastvision", "more/omnipose7")):
        return "train"
    share = int(hashlib.sha256(stem.encode()).hexdigest()[:8], 16) / 2**32
    if folder == "hpa/train":
        return "val" if share < 0.2 else "train"
    return "test" if share < 0.15 else "val" if share < 0.25 else "train"


def boxes_of(xml: Path) -> np.ndarray:
    """Corners of the objects of a Pascal VOC file, 0-based and exclusive."""
    found = []
    for one in ElementTree.parse(xml).iter("bndbox"):
        x1, y1, x2, y2 = (float(one.findtext(k)) for k in ("xmin", "ymin", "xmax", "ymax"))
        if x2 > x1 and y2 > y1:
            found.append([x1 - 1, y1 - 1, x2, y2])
    return np.array(found, np.float32).reshape(-1, 4)


def merged(stem: Path) -> np.ndarray:
    """An Atlas image's four channels as the tutorial merges them."""
    red, green, blue, yellow = (
        np.asarray(Image.open(f"{stem}_{c}.png"), np.float32) for c in ("red", "green", "blue", "yellow")
    )
    return np.minimum(np.stack([red + yellow / 2, green + yellow / 2, blue], -1), 255)


def images(root: Path, folder: str):
    """Name, pixels (H, W, 3), label image or None, and boxes."""
    path = root / folder
    if folder == "dsb2018/train":
        stems = [p.name[: -len("_label.png")] for p in sorted(path.glob("*_label.png"))]
        for stem in stems:
            yield stem, path / f"{stem}.png", path / f"{stem}_label.png", None
    elif folder == "hpa/train":
        for xml in sorted(path.glob("*.xml")):
            yield xml.stem, path / xml.stem, path / f"{xml.stem}_mask.png", xml
    else:
        for xml in sorted(path.glob("*.xml")):
            places = (path.parent / "JPEGImages" / f"{xml.stem}.jpg", xml.with_suffix(".png"), xml.with_suffix(".jpg"))
            image = next(place for place in places if place.exists())
            mask = path / f"{xml.stem}_mask.png"
            yield xml.stem, image, mask if mask.exists() else None, xml


def read(image: Path) -> np.ndarray:
    if not image.suffix:
        return merged(image)
    pixels = np.asarray(Image.open(image))
    if pixels.ndim == 2:
        return np.repeat(pixels[..., None].astype(np.float32), 3, -1)
    return pixels[..., :3].astype(np.float32)


def stretched(pixels: np.ndarray, low: float, high: float) -> np.ndarray:
    """As the detector does it: one window for all channels, the lowest `low` and the highest `high` percentile of any."""
    flat = pixels.reshape(-1, 3)
    low, high = np.percentile(flat, low, axis=0).min(), np.percentile(flat, high, axis=0).max()
    return np.clip((pixels - low) / max(high - low, 1e-6), 0, 1)


def varied(pixels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Contrast, colour, noise and blur as they differ between microscopes."""
    grey = bool((pixels[..., 0] == pixels[..., 1]).all() and (pixels[..., 0] == pixels[..., 2]).all())
    out = stretched(pixels, 1.0, 99.8) if rng.random() < 0.5 else stretched(pixels, rng.uniform(0, 3), rng.uniform(98.5, 100))
    out = out ** (2 ** rng.normal(0, 0.4))
    if grey and rng.random() < 0.08:
        out = 1 - out
    if grey and rng.random() < 0.25:
        tint = rng.uniform(0, 1, 3)
        out = out * (tint / tint.max())
    if not grey and rng.random() < 0.1:
        out = np.repeat(out.mean(-1, keepdims=True), 3, -1)
    if not grey and rng.random() < 0.1:
        out = out[..., rng.permutation(3)]
    if rng.random() < 0.2:
        noise = rng.normal(0, rng.uniform(0.01, 0.06), out.shape[:2] + ((1,) if grey else (3,)))
        out = out + noise
    return np.clip(out, 0, 1)


def resized(pixels: np.ndarray, size: tuple[int, int], rng: np.random.Generator) -> np.ndarray:
    tensor = torch.from_numpy(np.ascontiguousarray(pixels.transpose(2, 0, 1)))[None].float()
    tensor = F.interpolate(tensor, size, mode="bilinear", antialias=bool(rng.random() < 0.5))
    return tensor[0].numpy().transpose(1, 2, 0)


def nearest(labels: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    rows = (np.arange(size[0]) * labels.shape[0] / size[0]).astype(int)
    columns = (np.arange(size[1]) * labels.shape[1] / size[1]).astype(int)
    return labels[rows][:, columns]


def label_boxes(labels: np.ndarray):
    """Value, corners and area of every object of a label image."""
    values, at, counts = np.unique(labels, return_inverse=True, return_counts=True)
    at = at.reshape(labels.shape)
    rows, columns = np.indices(labels.shape)
    corners = np.full((len(values), 4), [np.inf, np.inf, 0, 0], np.float64)
    np.minimum.at(corners[:, 0], at, columns)
    np.minimum.at(corners[:, 1], at, rows)
    np.maximum.at(corners[:, 2], at, columns + 1)
    np.maximum.at(corners[:, 3], at, rows + 1)
    return [(int(v), corners[i], int(counts[i])) for i, v in enumerate(values) if v]


def crops(pixels, labels, boxes, count: int, rng):
    """Crops at drawn scales: pixels, label image or None, and (corners, whether too little is left)."""
    height, width = pixels.shape[:2]
    if labels is not None:
        whole = {v: area for v, _, area in label_boxes(labels)}
        diameters = [2 * (a / np.pi) ** 0.5 for a in whole.values()]
    else:
        whole = {}
        diameters = ((boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])) ** 0.5
    median = float(np.median(diameters)) if len(diameters) else DIAMETER
    for _ in range(count):
        target = DIAMETER * 2 ** float(np.clip(rng.normal(0, 0.65), -1.3, 1.5))
        # The trainer enlarges smaller images to SIDE.
        scale = float(np.clip(target / median, LEAST_SIDE / min(height, width), 4))
        size = (round(height * scale), round(width * scale))
        window = [min(SIDE, n) for n in size]
        y, x = (int(rng.integers(0, n - w + 1)) for n, w in zip(size, window))
        picture = resized(varied(pixels, rng), size, rng)[y : y + window[0], x : x + window[1]]
        objects = []
        if labels is not None:
            cut = nearest(labels, size)[y : y + window[0], x : x + window[1]]
            for value, corners, area in label_boxes(cut):
                left = area / max(whole[value] * scale * scale, 1)
                sides = min(corners[2] - corners[0], corners[3] - corners[1])
                objects.append((corners, left < 0.33 or sides < 4, value))
            yield picture, cut, objects
        else:
            for corners in boxes:
                moved = corners * scale - [x, y, x, y]
                clipped = np.clip(moved, 0, [window[1], window[0]] * 2)
                w, h = clipped[2] - clipped[0], clipped[3] - clipped[1]
                if w < 1 or h < 1:
                    continue
                left = w * h / ((moved[2] - moved[0]) * (moved[3] - moved[1]))
                objects.append((clipped, left < 0.33 or min(w, h) < 4, 0))
            yield picture, None, objects


def write(out: Path, name: str, picture, labels, objects):
    Image.fromarray((picture * 255).round().astype(np.uint8)).save(out / f"{name}.png")
    height, width = picture.shape[:2]
    if labels is not None:
        numbered = np.zeros(labels.shape, np.uint16)
        for k, (_, _, value) in enumerate(objects, 1):
            numbered[labels == value] = k
        Image.fromarray(numbered).save(out / f"{name}_mask.png")
    root = ElementTree.Element("annotation")
    ElementTree.SubElement(root, "filename").text = f"{name}.png"
    size = ElementTree.SubElement(root, "size")
    for key, value in (("width", width), ("height", height), ("depth", 3)):
        ElementTree.SubElement(size, key).text = str(value)
    for corners, difficult, _ in objects:
        one = ElementTree.SubElement(root, "object")
        ElementTree.SubElement(one, "name").text = "cell"
        ElementTree.SubElement(one, "difficult").text = str(int(difficult))
        box = ElementTree.SubElement(one, "bndbox")
        x1, y1, x2, y2 = corners
        for key, value in (("xmin", x1 + 1), ("ymin", y1 + 1), ("xmax", x2), ("ymax", y2)):
            ElementTree.SubElement(box, key).text = f"{value:g}"
    ElementTree.ElementTree(root).write(out / f"{name}.xml")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--seed", type=int, default=11)
    parser.add_argument("--split", choices=["train", "val", "test"], default="train")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(1)
    counts = {}
    for folder, each in SOURCES.items():
        short = folder.removeprefix("more/").removesuffix("/train").removesuffix("/Annotations").replace("/", "_")
        for index, (stem, image, mask, xml) in enumerate(images(options.data, folder)):
            if split(folder, stem) != options.split:
                continue
            rng = np.random.default_rng([options.seed, index, len(short)])
            labels = np.asarray(Image.open(mask)) if mask else None
            boxes = None if mask else boxes_of(xml)
            if labels is None and not len(boxes):
                continue
            count = each if options.split == "train" else 1
            for k, (picture, cut, objects) in enumerate(crops(read(image), labels, boxes, count, rng)):
                write(options.out, f"{short}-{index:03}-{k}", picture, cut, objects)
                counts[short] = counts.get(short, 0) + 1
    print(json.dumps(counts))


if __name__ == "__main__":
    main()
