#!/usr/bin/env python3
"""Outlines of boxes: `cytobox outline` on the boxes of annotated cells, against the cells' own masks and beside filled rectangles.

    python3 tests/peer/box_outlines.py DATA FOLDER --cytobox PROGRAM [--sets hpa:atlas,dsb2018:general] [--boxes 100]

Of each set the images of its test split (see `fewshot.py`) are taken in an order that a seed gives, until they have as many boxes; a set
is named with the detector that outlines it. Prints one JSON line a set: mean IoU with the annotated masks, and the share of cells at
an IoU of at least 0.5 and 0.75. As each box has one outline of no score, the share is precision and recall at once. FOLDER keeps images and
results. Needs numpy, Pillow and pycocotools.
"""

import argparse
import json
import random
import subprocess
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import fewshot
import numpy as np
from PIL import Image
from pycocotools import mask as coco_mask


def boxes_of(xml: Path) -> list[tuple[int, int, int, int]]:
    """Corners of the objects, zero-based, the last ones exclusive."""
    corners = []
    for box in ElementTree.parse(xml).getroot().iter("bndbox"):
        x1, y1, x2, y2 = (round(float(box.find(name).text)) for name in ("xmin", "ymin", "xmax", "ymax"))
        corners.append((x1 - 1, y1 - 1, x2, y2))
    return corners


def iou(a: np.ndarray, b: np.ndarray) -> float:
    return float((a & b).sum() / max((a | b).sum(), 1))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--cytobox", type=Path, required=True)
    default = "hpa:atlas,hpa:general,dsb2018:general,bbbc039:general,dsb2018_stained:general,usiigaci:general"
    parser.add_argument("--sets", default=default)
    parser.add_argument("--boxes", type=int, default=100)
    options = parser.parse_args()
    for pair in options.sets.split(","):
        name, detector = pair.split(":")
        images, out = options.folder / f"{name}-boxes", options.folder / f"{name}-{detector}"
        held = fewshot.part(options.data, name, "test")
        random.Random(0).shuffle(held)
        fewshot.collect(images, held, options.boxes)
        # The boxes alone: what the masks are is what is asked.
        truth = {mask.name.removesuffix("_mask.png"): np.asarray(Image.open(mask)) for mask in images.glob("*_mask.png")}
        for mask in images.glob("*_mask.png"):
            mask.unlink()
        command = [options.cytobox, "outline", "--data", images, "--out", out, "--model", detector, "--device", "cpu"]
        fewshot.run([*command, "--format", "jsonl"], options.folder / f"{name}-{detector}.log")
        overlaps: dict[str, list[float]] = {"outlines": [], "rectangles": []}
        for line in map(json.loads, open(out / "annotations.jsonl")):
            labels = truth[Path(line["image"]).name]
            corners = boxes_of(images / f"{line['image']}.xml")
            for value, (found, (x1, y1, x2, y2)) in enumerate(zip(line["objects"], corners, strict=True), 1):
                own = labels == value
                if not own.any():
                    continue
                rectangle = np.zeros_like(own)
                rectangle[y1:y2, x1:x2] = True
                outline = np.zeros_like(own) if found.get("mask") is None else coco_mask.decode({"size": own.shape, "counts": found["mask"]["counts"]}) > 0
                overlaps["outlines"].append(iou(own, outline))
                overlaps["rectangles"].append(iou(own, rectangle))
        result: dict = {"set": name, "detector": detector, "cells": len(overlaps["outlines"])}
        for kind, values in overlaps.items():
            ious = np.array(values[: options.boxes])
            result[kind] = {"mean_iou": round(float(ious.mean()), 3)} | {
                f"at_{least}": round(float((ious >= least).mean()), 3) for least in (0.5, 0.75)
            }
        print(json.dumps(result), flush=True)


if __name__ == "__main__":
    main()
