"""Writes average_precision.json: random cases and what pycocotools says of them.

    python3 tests/golden/make_average_precision.py --write

Without `--write` they are only compared. Made with pycocotools 2.0 and numpy. Coordinates are quarters of a pixel and scores hundredths, both whole numbers, so that
ties in score and overlap occur and every program computes with the same values.
"""

import contextlib
import io
import json
import random
import sys

# Nothing is to lie beside the scripts afterwards.
sys.dont_write_bytecode = True

import numpy as np
from pycocotools import mask as mask_utils
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from committed import settle

CASES = 280
MASK_CASES = 60
# From this one on there are crowds, every third case with masks.
CROWD_CASES = 210


class Eval(COCOeval):
    """`difficult` objects are ignored as crowds are, without their way of overlapping."""

    def _prepare(self):
        super()._prepare()
        for objects in self._gts.values():
            for gt in objects:
                gt["ignore"] = gt["difficult"] or gt["iscrowd"]


def random_box(rng, side):
    w, h = rng.randint(4, 2 * side), rng.randint(4, 2 * side)
    return [rng.randint(0, 4 * side - w), rng.randint(0, 4 * side - h), w, h]


def shaken(rng, box, side):
    x, y, w, h = (v + rng.choice([0, 0, 1, -1, 2, -3, 6]) for v in box)
    w, h = min(max(w, 4), 4 * side), min(max(h, 4), 4 * side)
    return [min(max(x, 0), 4 * side - w), min(max(y, 0), 4 * side - h), w, h]


def ellipse(side, box):
    x, y, w, h = box
    py, px = np.mgrid[:side, :side] * 8 + 4
    inside = ((px - 2 * x - w) * h) ** 2 + ((py - 2 * y - h) * w) ** 2 <= (w * h) ** 2
    return mask_utils.encode(np.asfortranarray(inside.astype(np.uint8)))


def make_case(n):
    rng = random.Random(n)
    masks = n < MASK_CASES or (n >= CROWD_CASES and n % 3 == 0)
    side = 24 if masks else rng.choice([16, 40, 100])
    classes = rng.randint(1, 3)
    objects, detections = [], []
    for _ in range(rng.randint(1, 4)):
        image_objects, image_detections = [], []
        for _ in range(rng.choice([0, 1, 3, 6])):
            image_objects.append([rng.randrange(classes), *random_box(rng, side), int(rng.random() < 0.15)])
        for gt in image_objects:
            for _ in range(rng.choice([0, 1, 1, 2])):
                label = gt[0] if rng.random() < 0.8 else rng.randrange(classes)
                image_detections.append([label, *shaken(rng, gt[1:5], side), rng.randint(0, 100)])
        for _ in range(rng.choice([0, 0, 1, 3])):
            image_detections.append([rng.randrange(classes), *random_box(rng, side), rng.randint(0, 60)])
        rng.shuffle(image_detections)
        objects.append(image_objects)
        detections.append(image_detections)
    case = {"masks": masks, "max": rng.choice([100, 100, 3]), "side": side, "objects": objects, "detections": detections}
    if n >= CROWD_CASES:
        case["crowds"] = [[] for _ in objects]
        for image_detections, crowds in zip(detections, case["crowds"]):
            for _ in range(rng.choice([0, 1, 1, 2])):
                label, box = rng.randrange(classes), random_box(rng, side)
                if image_detections and rng.random() < 0.7:
                    # On and round a detection, so that it is ignored, or nearly.
                    label, box = rng.choice(image_detections)[0], shaken(rng, rng.choice(image_detections)[1:5], side)
                crowds.append([label, *box])
    case.update(answer(case))
    return case


def rectangle(side, box):
    x, y, w, h = box
    py, px = np.mgrid[:side, :side] * 4 + 2
    inside = (px >= x) & (px < x + w) & (py >= y) & (py < y + h)
    return mask_utils.encode(np.asfortranarray(inside.astype(np.uint8)))


def answer(case):
    side, kind = case["side"], "segm" if case["masks"] else "bbox"
    present = sorted({o[0] for image in case["objects"] + case["detections"] for o in image})
    if not present:
        return {"per_class": {}, "class_agnostic": [-1, -1], "curve": 0}

    def entries(images, last):
        found = []
        for i, image in enumerate(images):
            for label, x, y, w, h, value in image:
                bbox = [v / 4 for v in (x, y, w, h)]
                entry = {"id": len(found) + 1, "image_id": i + 1, "category_id": label + 1, "bbox": bbox}
                entry |= {"iscrowd": 0, "area": bbox[2] * bbox[3], last: value}
                if case["masks"]:
                    entry["segmentation"] = ellipse(side, [x, y, w, h])
                found.append(entry)
        return found

    images = [{"id": i + 1, "width": side, "height": side} for i in range(len(case["objects"]))]
    categories = [{"id": label + 1, "name": f"c{label}"} for label in present]

    def coco(annotations):
        dataset = COCO()
        dataset.dataset = {"images": images, "categories": categories, "annotations": annotations}
        dataset.createIndex()
        return dataset

    objects = entries(case["objects"], "difficult")
    for i, crowds in enumerate(case.get("crowds", [])):
        for label, *box in crowds:
            bbox = [v / 4 for v in box]
            entry = {"id": len(objects) + 1, "image_id": i + 1, "category_id": label + 1, "bbox": bbox}
            entry |= {"iscrowd": 1, "area": bbox[2] * bbox[3], "difficult": 0}
            if case["masks"]:
                entry["segmentation"] = rectangle(side, box)
            objects.append(entry)
    truth, found = coco(objects), coco(entries(case["detections"], "score"))

    def precision(use_classes):
        run = Eval(truth, found, kind)
        run.params.maxDets = [case["max"]]
        run.params.areaRng, run.params.areaRngLbl = [[0, 1e10]], ["all"]
        run.params.useCats = use_classes
        run.evaluate()
        run.accumulate()
        return run.eval["precision"][:, :, :, 0, 0]

    def average(of_class):
        return [float(of_class[0].mean()), float(of_class.mean())]

    by_class = precision(1)
    places = np.arange(1, 102)
    curves = [float((by_class[0, :, k] * places).sum()) for k in range(len(present)) if by_class[0, 0, k] >= 0]
    return {
        "per_class": {f"c{label}": average(by_class[:, :, k]) for k, label in enumerate(present)},
        "class_agnostic": average(precision(0)[:, :, 0]),
        "curve": sum(curves),
    }


def main():
    with contextlib.redirect_stdout(io.StringIO()):
        cases = [make_case(n) for n in range(CASES)]
    text = ",\n".join(json.dumps(case, separators=(",", ":")) for case in cases)
    settle("average_precision.json", f"[\n{text}\n]\n".encode(), 1e-9)


if __name__ == "__main__":
    main()
