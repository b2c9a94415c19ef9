"""Images per second of `cytobox detect` and of torchvision behind a loader of several processes, alternating on one machine.

    python3 tests/peer/throughput.py FOLDER --cytobox PROGRAM [--before PROGRAM] [--images 40] [--rounds 3] [--side 512]

Both take the bundled detector for the Human Protein Atlas, the same channel sets (made by `cytobox synth` in FOLDER), and
end with boxes, scores and masks as run lengths in a file. `--before` is another build of cytobox to compare with. What a
program needs to start is taken off: it is the time for a single image. Prints a line of JSON a round, and the medians.
Needs torch, torchvision, Pillow and pycocotools.
"""

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import time

import numpy as np
import torch
import torchvision
from PIL import Image
from pycocotools import mask as coco

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "golden"))
from model import build, load_file  # noqa: E402

DETECTOR = os.path.join(HERE, "..", "..", "models", "cells.safetensors")
SCORE = 0.7


class Sets(torch.utils.data.Dataset):
    """The channel sets of a folder, merged with the detector's weights."""

    def __init__(self, folder, merge):
        self.stems = sorted(f"{folder}/{name[:-8]}" for name in os.listdir(folder) if name.endswith("_red.png"))
        self.merge = merge

    def __len__(self):
        return len(self.stems)

    def __getitem__(self, index):
        rgb = 0
        for channel, weights in self.merge.items():
            with Image.open(f"{self.stems[index]}_{channel}.png") as file:
                plane = torch.from_numpy(np.array(file.convert("L"), np.float32) / 255)
            rgb = rgb + plane[None] * torch.tensor(weights)[:, None, None]
        return rgb.clamp(0, 1)


def torchvision_seconds(folder, out, model, merge):
    workers = os.cpu_count()
    started = time.perf_counter()
    loader = torch.utils.data.DataLoader(Sets(folder, merge), batch_size=None, num_workers=workers, prefetch_factor=4)
    with open(out, "w") as file, torch.inference_mode():
        for image in loader:
            (found,) = model([image])
            keep = found["scores"] >= SCORE
            masks = (found["masks"][keep, 0] >= 0.5).numpy().astype(np.uint8)
            runs = [coco.encode(np.asfortranarray(mask))["counts"].decode() for mask in masks]
            boxes, scores = found["boxes"][keep].tolist(), found["scores"][keep].tolist()
            file.write(json.dumps({"boxes": boxes, "scores": scores, "masks": runs}) + "\n")
    return time.perf_counter() - started


def cytobox_seconds(program, folder, out):
    shutil.rmtree(out, ignore_errors=True)
    started = time.perf_counter()
    command = [program, "detect", folder, "--out", out, "--model", "atlas", "--device", "cpu", "--score", str(SCORE)]
    subprocess.run(command, check=True, stderr=subprocess.DEVNULL)
    return time.perf_counter() - started


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("folder")
    parser.add_argument("--cytobox", required=True)
    parser.add_argument("--before")
    parser.add_argument("--images", type=int, default=40)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--side", type=int, default=512)
    arguments = parser.parse_args()
    folders = {1: f"{arguments.folder}/one", arguments.images: f"{arguments.folder}/all"}
    for images, folder in folders.items():
        shutil.rmtree(folder, ignore_errors=True)
        command = [arguments.cytobox, "synth", "--out", folder, "--images", str(images)]
        subprocess.run([*command, "--width", str(arguments.side), "--height", str(arguments.side)], check=True)
    torch.set_num_threads(os.cpu_count())
    tensors, metadata = load_file(DETECTOR)
    config = json.loads(metadata["config"])
    model = build(config, torchvision.ops.FrozenBatchNorm2d)
    model.load_state_dict({name: tensor.float() for name, tensor in tensors.items()})
    model.eval()
    out = f"{arguments.folder}/out"
    runs = {"cytobox": lambda folder: cytobox_seconds(arguments.cytobox, folder, out)}
    if arguments.before:
        runs["before"] = lambda folder: cytobox_seconds(arguments.before, folder, out)
    runs["torchvision"] = lambda folder: torchvision_seconds(folder, f"{out}.jsonl", model, config["merge"])
    rates = {name: [] for name in runs}
    for _ in range(arguments.rounds):
        for name, run in runs.items():
            start, whole = (run(folder) for folder in folders.values())
            rates[name].append((arguments.images - 1) / max(whole - start, 1e-9))
        print(json.dumps({name: round(rate[-1], 2) for name, rate in rates.items()}), flush=True)
    print(json.dumps({"median": {name: round(statistics.median(rate), 2) for name, rate in rates.items()}}))


if __name__ == "__main__":
    main()
