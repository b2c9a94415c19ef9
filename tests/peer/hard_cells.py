#!/usr/bin/env python3
"""Which cells are missed: recall of those cut by the border, of small, of crowded and of all others.

    python3 tests/peer/hard_cells.py DATA FOLDER --cytobox PROGRAM [--sets hpa,dsb2018] [--models atlas,general] [--test 60]

`cytobox detect` looks at the images of each set's test split (see `fewshot.py`); a cell is found where a box of a score of at least 0.5 overlaps
its own by an IoU of 0.5, each box standing for one cell. A cell is at the border where its box touches an edge of the image, small where √(width ·
height) is below half of the set's median, and crowded where its box overlaps another cell's by an IoU of 0.1. Prints one JSON line a set and
model, with the number of cells of each kind. FOLDER keeps images and results. Needs numpy and Pillow.
"""

import argparse
import json
import random
from pathlib import Path

import fewshot
import numpy as np
from box_outlines import boxes_of


def ious(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    low, high = np.maximum(a[:, None, :2], b[None, :, :2]), np.minimum(a[:, None, 2:], b[None, :, 2:])
    both = np.clip(high - low, 0, None).prod(2)
    area = lambda boxes: (boxes[:, 2:] - boxes[:, :2]).prod(1)  # noqa: E731
    return both / (area(a)[:, None] + area(b)[None] - both)


def found(truth: np.ndarray, boxes: np.ndarray) -> np.ndarray:
    """Whether each cell is found, boxes taken in the order of their scores."""
    hits = np.zeros(len(truth), bool)
    overlap = ious(boxes, truth) if len(boxes) and len(truth) else np.zeros((0, len(truth)))
    for row in overlap:
        row = np.where(hits, 0, row)
        if len(row) and row.max() >= 0.5:
            hits[row.argmax()] = True
    return hits


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--cytobox", type=Path, required=True)
    parser.add_argument("--sets", default="hpa,dsb2018")
    parser.add_argument("--models", default="atlas,general")
    parser.add_argument("--test", type=int, default=60)
    options = parser.parse_args()
    for name in options.sets.split(","):
        test = options.folder / f"{name}-test"
        held = fewshot.part(options.data, name, "test")
        random.Random(0).shuffle(held)
        fewshot.collect(test, held[: options.test], float("inf"))
        stems = sorted(xml.stem for xml in test.glob("*.xml"))
        truth = {stem: np.array(boxes_of(test / f"{stem}.xml"), float).reshape(-1, 4) for stem in stems}
        median = np.median(np.concatenate([np.sqrt((t[:, 2:] - t[:, :2]).prod(1)) for t in truth.values()]))
        for mask in test.glob("*_mask.png"):
            mask.unlink()
        for model in options.models.split(","):
            out = options.folder / f"{name}-{Path(model).stem}"
            command = [options.cytobox, "detect", test, "--out", out, "--model", model, "--score", "0.5", "--format", "jsonl"]
            fewshot.run([*command, "--device", "cpu", "--force"], options.folder / f"{name}-{Path(model).stem}.log")
            results = {Path(line["image"]).name: line for line in map(json.loads, open(out / "detections.jsonl"))}
            kinds: dict[str, list[bool]] = {"border": [], "small": [], "crowded": [], "others": []}
            for stem in stems:
                own, line = truth[stem], results[stem]
                boxes = np.array([one["box"] for one in line["detections"]], float).reshape(-1, 4)
                hits = found(own, boxes)
                size = [line["width"], line["height"]]
                border = (own[:, :2] <= 0).any(1) | (own[:, 2:] >= size).any(1)
                small = np.sqrt((own[:, 2:] - own[:, :2]).prod(1)) < median / 2
                crowded = (ious(own, own) - np.eye(len(own)) >= 0.1).any(1) if len(own) else border
                for kind, which in zip(kinds, (border, small, crowded, ~(border | small | crowded)), strict=True):
                    kinds[kind] += hits[which].tolist()
            line = {kind: {"cells": len(hits), "recall": round(float(np.mean(hits)), 3)} for kind, hits in kinds.items() if hits}
            print(json.dumps({"set": name, "model": model} | line), flush=True)


if __name__ == "__main__":
    main()
