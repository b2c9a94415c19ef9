#!/usr/bin/env python3
"""Accuracy against the number of annotated cells, as a new user meets it: `cytobox train` with nothing but a folder and minutes.

    python3 tests/peer/fewshot.py DATA FOLDER --cytobox PROGRAM [--sets dsb2018,bccd] [--cells 25,100] [--seeds 0,1,2]
        [--bases none,atlas,general] [--minutes 4] [--test 40]

Of each set, images are drawn in an order that the seed gives, from the part that `models/general.py` trains on, until they have that
many cells; 0 cells is the base as it comes, `all` the whole part. What was trained is measured on the part of its `test`
split (images of the Atlas: the folder `hpa/test`), of which at most `--test` images are taken. Prints one JSON line a run: AP50 of
boxes, over classes and class-agnostic, and at a score of 0.5 TP / (TP + FP + FN) at IoU 0.5, of masks where the set has any.
FOLDER keeps the images, the detectors and their logs. Needs torch, numpy and Pillow.
"""

import argparse
import json
import random
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
from PIL import Image

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "models"))
import general  # noqa: E402

FOLDERS = {
    "dsb2018": "dsb2018/train",
    "bccd": "bccd/Annotations",
    "usiigaci": "more/usiigaci/train",
    "dsb2018_stained": "more/dsb2018_stained/train",
    "bbbc039": "more/bbbc039/train",
    "hpa": "hpa/train",
}
CHANNELS = ("red", "green", "blue", "yellow")


def copy(out: Path, stem: str, image: Path, mask: Path | None, xml: Path | None) -> int:
    """Puts an image and its annotations where `cytobox train` finds them; the number of cells."""
    if image.suffix:
        shutil.copy(image, out / f"{stem}{image.suffix}")
    else:
        for channel in CHANNELS:
            shutil.copy(f"{image}_{channel}.png", out / f"{stem}_{channel}.png")
    if mask:
        shutil.copy(mask, out / f"{stem}_mask.png")
    if xml:
        shutil.copy(xml, out / f"{stem}.xml")
        return len(general.boxes_of(xml))
    # A label image alone: its objects are numbered as in the XML that is written for it.
    labels = np.asarray(Image.open(mask))
    objects = [(corners, False, value) for value, corners, _ in general.label_boxes(labels)]
    picture = np.asarray(Image.open(image).convert("RGB"), np.float32) / 255
    general.write(out, stem, picture, labels, objects, "nucleus")
    return len(objects)


def part(data: Path, name: str, which: str):
    """The images of a set that belong to a split."""
    folder = FOLDERS[name]
    if name == "hpa" and which == "test":
        return list(general.images(data, "hpa/test"))
    return [one for one in general.images(data, folder) if general.split(folder, one[0]) == which]


def collect(out: Path, images, cells: float) -> tuple[int, int]:
    """The first images that have that many cells together: images and cells."""
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    count = found = 0
    for one in images:
        if found >= cells:
            break
        found += copy(out, *one)
        count += 1
    return count, found


def run(command: list, log: Path) -> str:
    with open(log, "w") as errors:
        return subprocess.run([str(c) for c in command], check=True, stdout=subprocess.PIPE, stderr=errors, text=True).stdout


def measured(program: Path, test: Path, model: str | Path, has_masks: bool, log: Path) -> dict:
    def evaluation(*more):
        command = [program, "evaluate", "--data", test, "--model", model, "--device", "cpu", "--json", "--skip-bad", *more]
        return json.loads(run(command, log))

    boxes = evaluation()
    counted = evaluation("--masks") if has_masks else boxes
    matrix = np.array(counted["confusion"]["counts"])
    # Rows are what is there, columns what was found; the last of each is the background.
    hits, missed, wrong = matrix[:-1, :-1].sum(), matrix[:-1, -1].sum(), matrix[-1, :-1].sum()
    agnostic = boxes["classAgnostic"] if "classAgnostic" in boxes else boxes["class_agnostic"]
    return {
        "ap50": boxes["map_50"],
        "ap50_agnostic": agnostic["ap_50"],
        "recall": float(hits / max(hits + missed, 1)),
        "tp/(tp+fp+fn)": float(hits / max(hits + missed + wrong, 1)),
    }


def swing(log: Path, steps_from: float = 1 / 3) -> float | None:
    """The greatest change between two validations after the first third of a run."""
    events = [json.loads(line) for line in open(log)]
    figures = [e["map50"] for e in events if e.get("type") == "validation"]
    later = figures[int(len(figures) * steps_from) :]
    return max((abs(a - b) for a, b in zip(later, later[1:])), default=None)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--cytobox", type=Path, required=True)
    for option, default in (("sets", ",".join(FOLDERS)), ("cells", "0,25,50,100,200,500,1000,all"), ("seeds", "0,1,2")):
        parser.add_argument(f"--{option}", default=default)
    parser.add_argument("--bases", default="none,atlas,general")
    parser.add_argument("--minutes", type=float, default=4)
    parser.add_argument("--test", type=int, default=40)
    parser.add_argument("--split", choices=["val", "test"], default="test")
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    for name in options.sets.split(","):
        test = options.folder / f"{name}-{options.split}"
        held = part(options.data, name, options.split)
        random.Random(0).shuffle(held)
        collect(test, held[: options.test], float("inf"))
        has_masks = any(test.glob("*_mask.png"))
        for base in options.bases.split(","):
            for cells in options.cells.split(","):
                for seed in options.seeds.split(","):
                    if cells == "0" and (base == "none" or seed != options.seeds.split(",")[0]):
                        continue
                    key = f"{name}-{Path(base).stem}-{cells}-{seed}"
                    line: dict = {"set": name, "base": base, "seed": int(seed)}
                    model: str | Path = base
                    if cells != "0":
                        images = part(options.data, name, "train")
                        random.Random(int(seed)).shuffle(images)
                        train = options.folder / f"{name}-{cells}-{seed}"
                        wanted = float("inf") if cells == "all" else float(cells)
                        line["images"], line["cells"] = collect(train, images, wanted)
                        model = options.folder / f"{key}.safetensors"
                        command = [options.cytobox, "train", "--data", train, "--out", model, "--minutes", options.minutes]
                        command += ["--seed", seed, "--device", "cpu", "--skip-bad", "--force"]
                        run(command + ([] if base == "none" else ["--init", base]), options.folder / f"{key}.log")
                        line["swing"] = swing(Path(f"{model}.log.jsonl"))
                    else:
                        line["images"] = line["cells"] = 0
                    line.update(measured(options.cytobox, test, model, has_masks, options.folder / f"{key}-test.log"))
                    print(json.dumps(line), flush=True)


if __name__ == "__main__":
    main()
