"""A plate of many small images by one process and in shards that are killed: the same bytes, and memory that stays flat.

    python3 tests/peer/plate.py FOLDER --cytobox PROGRAM [--images 10000] [--shards 8] [--kills 20] [--seed 1]

Makes the images and a small detector in FOLDER (both are kept for the next run), then

- detects all images with one process, and follows its memory;
- detects them in shards, which are killed at random moments and started again, two at a time, and joins these;
- compares the SHA-256 of every file of both.

Prints one line of JSON; the exit code is 0 only if all files are equal. Needs Pillow and NumPy, and Linux.
"""

import argparse
import hashlib
import json
import os
import random
import shutil
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from PIL import Image

FORMATS = "jsonl,csv,coco,voc,yolo,measurements,labels,labels-png,rois,geojson"
SIDE = 64
JOURNAL = "cytobox-scan.jsonl"


def make_images(folder, count):
    """Discs on noise in some plates, in one file or in a file for each of two channels, 8 and 16 bits."""
    y, x = np.mgrid[:SIDE, :SIDE]
    for i in range(count):
        plate = f"{folder}/plate{i % 5}"
        os.makedirs(plate, exist_ok=True)
        name = f"{plate}/f{i:05}"
        rng = np.random.default_rng(i)
        image = rng.integers(0, 40, (SIDE, SIDE))
        for cx, cy, r in rng.integers([8, 8, 5], [56, 56, 12], (4, 3)):
            image[(x - cx) ** 2 + (y - cy) ** 2 < r * r] += 60
        if i % 10 == 7:
            for channel in (1, 2):
                Image.fromarray((image // channel).astype(np.uint8)).save(f"{name}_C{channel}.png")
        elif i % 10 == 3:
            Image.fromarray((image * 16).astype(np.uint16)).save(f"{name}.tif")
        else:
            Image.fromarray(image.astype(np.uint8)).save(f"{name}.png")


def make_detector(program, folder, out):
    """A narrow network after a few steps: what it finds is of no use, and quick."""
    data = f"{folder}/data"
    subprocess.run([program, "synth", "--out", data, "--images", "4", "--width", "64", "--height", "64"], check=True)
    command = [program, "train", "--data", data, "--out", out, "--epochs", "1", "--fpn-channels", "8", "--device", "cpu"]
    command += ["--representation", "16", "--detector", '{"min_size":64,"max_size":64}']
    subprocess.run(command, check=True, stderr=subprocess.DEVNULL)


def detect(arguments, out, more=()):
    command = [arguments.cytobox, "detect", f"{arguments.folder}/images-{arguments.images}", "--out", out]
    command += ["--model", f"{arguments.folder}/detector.safetensors", "--device", "cpu", "--score", "0"]
    command += ["--max-detections", "4", "--format", FORMATS, "--with-measurements", *more]
    log = open(f"{out}.log", "ab")
    return subprocess.Popen(command, stderr=log, stdout=log)


class Journal:
    """Counts the lines of a growing file."""

    def __init__(self, out):
        self.path, self.lines, self.place = f"{out}/{JOURNAL}", 0, 0

    def count(self):
        if os.path.exists(self.path):
            with open(self.path, "rb") as file:
                file.seek(self.place)
                text = file.read()
            self.lines += text.count(b"\n")
            self.place += len(text)
        return self.lines


def memory(pid):
    """Resident megabytes now and at most."""
    with open(f"/proc/{pid}/status") as status:
        lines = dict(line.split(":", 1) for line in status)
    return [int(lines[key].split()[0]) / 1024 for key in ("VmRSS", "VmHWM")] if "VmRSS" in lines else None


def watched(arguments, out):
    """One process for everything, with its memory by the number of finished images."""
    started, journal, samples, found_all = time.time(), Journal(out), [], None
    process = detect(arguments, out)
    while process.poll() is None:
        used, done = memory(process.pid), journal.count() - 1
        if used and done > 0:
            samples.append((done, *used))
        if done >= arguments.images and not found_all:
            found_all = time.time() - started
        time.sleep(0.2)
    if process.returncode:
        sys.exit(f"{out}: exit code {process.returncode}; see {out}.log")
    peak = lambda low, high: max((rss for done, rss, _ in samples if low <= done <= high), default=0)
    tenth = arguments.images // 10
    return {
        "seconds": round(time.time() - started, 1),
        "images_per_second": round(arguments.images / (found_all or time.time() - started), 1),
        "mib_first_tenth": round(peak(0, tenth), 1),
        "mib_last_tenth_of_detection": round(peak(9 * tenth, arguments.images - 1), 1),
        "mib_peak": round(max(most for _, _, most in samples), 1),
    }


def shard(arguments, k, kills, rng):
    """Kills the process so often, each time after some more images; then lets it finish."""
    out = f"{arguments.folder}/shard{k}"
    more = ("--shard", f"{k}/{arguments.shards}")
    share = arguments.images // arguments.shards
    # Journals of one shard are its own, so every number of lines is one of finished images.
    places = sorted(rng.randrange(1, share) for _ in range(kills))
    hits = 0
    for place in places:
        process, journal = detect(arguments, out, more), Journal(out)
        while process.poll() is None and journal.count() < place:
            time.sleep(0.002)
        time.sleep(rng.random() * 0.05)
        hits += process.poll() is None
        process.kill()
        process.wait()
    process = detect(arguments, out, more)
    if process.wait():
        sys.exit(f"{out}: exit code {process.returncode}; see {out}.log")
    return hits


def sums(folder):
    found = {}
    for place, _, names in os.walk(folder):
        for name in names:
            path = os.path.join(place, name)
            with open(path, "rb") as file:
                found[os.path.relpath(path, folder)] = hashlib.file_digest(file, "sha256").hexdigest()
    return found


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("folder")
    parser.add_argument("--cytobox", required=True)
    parser.add_argument("--images", type=int, default=10_000)
    parser.add_argument("--shards", type=int, default=8)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    folder = arguments.folder = os.path.abspath(arguments.folder)
    os.makedirs(folder, exist_ok=True)
    images = f"{folder}/images-{arguments.images}"
    if not os.path.isdir(images):
        make_images(images, arguments.images)
    if not os.path.exists(f"{folder}/detector.safetensors"):
        make_detector(arguments.cytobox, folder, f"{folder}/detector.safetensors")
    outs = [f"{folder}/one", f"{folder}/joined", *(f"{folder}/shard{k + 1}" for k in range(arguments.shards))]
    for out in outs:
        shutil.rmtree(out, ignore_errors=True)
        if os.path.exists(f"{out}.log"):
            os.remove(f"{out}.log")

    answer = {"images": arguments.images, "one_process": watched(arguments, outs[0])}
    kills = [len(range(k, arguments.kills, arguments.shards)) for k in range(arguments.shards)]
    started = time.time()
    with ThreadPoolExecutor(2) as threads:
        work = lambda k: shard(arguments, k + 1, kills[k], random.Random(arguments.seed * 1000 + k))
        answer["kills"] = sum(threads.map(work, range(arguments.shards)))
    answer["shards_seconds"] = round(time.time() - started, 1)
    started = time.time()
    subprocess.run([arguments.cytobox, "join", *outs[2:], "--out", outs[1]], check=True)
    answer["join_seconds"] = round(time.time() - started, 1)
    one, joined = sums(outs[0]), sums(outs[1])
    differing = sorted(name for name in one.keys() | joined.keys() if one.get(name) != joined.get(name))
    answer |= {"files": len(one), "differing": differing[:10], "equal": not differing}
    print(json.dumps(answer))
    sys.exit(bool(differing))


if __name__ == "__main__":
    main()
