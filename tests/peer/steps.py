"""Times training steps of torchvision and of `cytobox train` one after the other, on the same processor and images.

    python3 tests/peer/steps.py DATA FOLDER --cytobox PROGRAM [--steps N]

DATA holds `hpa/train`. Mask R-CNNs of torchvision's sizes with random weights are written to FOLDER as `resnet18.safetensors`
and `resnet50.safetensors`; four images of 512 × 512 go there too, as links. Both sides then train two images a step by
`recipe.json` beside this file, the heads alone and everything. Prints the median seconds of a step without the first,
and of an epoch of 45 images, as JSON lines. `node tests/e2e/steps.mjs FOLDER` does the same in a browser.
Needs torch, torchvision and Pillow.
"""

import argparse
import glob
import json
import os
import statistics
import subprocess
import sys
import time

import torch
import torchvision
from torchvision.models.resnet import ResNet

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "golden"))
sys.path.insert(0, HERE)
import finetune  # noqa: E402
from model import build, configuration, save_file  # noqa: E402

BATCH = 2
IMAGES = 4
EPOCH = 45


def sizes(backbone):
    """Those of `maskrcnn_resnet50_fpn`, for images of 512 × 512."""
    return {
        **configuration("mask_resnet18"),
        "backbone": backbone,
        "fpn_channels": 256,
        "classes": ["__background__", "not_nucleoli", "nucleoli"],
        "min_size": 512,
        "max_size": 512,
        "anchor_sizes": [[32], [64], [128], [256], [512]],
        "rpn_pre_nms_top_n_test": 1000,
        "rpn_post_nms_top_n_test": 1000,
        "rpn_score_thresh": 0.0,
        "box_detections_per_img": 100,
        "representation_size": 1024,
        "mask_layers": [256] * 4,
        "mask_dim_reduced": 256,
    }


def seconds(times):
    """Excludes the first step, which allocates everything."""
    step = statistics.median(times[1:])
    return {"step": round(step, 2), "epoch": round(step * -(-EPOCH // BATCH), 1), "steps": len(times) - 1}


def peer(model, examples, heads, steps):
    model.train()
    if heads:
        model.backbone.body.requires_grad_(False)
    parameters = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.SGD(parameters, 1e-4, 0.9, weight_decay=1e-4)
    times = []
    for step in range(steps):
        chosen = [examples[(step * BATCH + i) % len(examples)] for i in range(BATCH)]
        started = time.perf_counter()
        total = sum(model([image for image, _ in chosen], [target for _, target in chosen]).values())
        optimizer.zero_grad()
        total.backward()
        torch.nn.utils.clip_grad_norm_(parameters, 10.0)
        optimizer.step()
        times.append(time.perf_counter() - started)
    return seconds(times)


def ours(program, folder, backbone, heads, steps):
    out = f"{folder}/out.safetensors"
    epochs = -(-steps * BATCH // IMAGES)
    command = [program, "train", "--data", folder, "--init", f"{folder}/{backbone}.safetensors", "--out", out]
    command += ["--recipe", f"{HERE}/recipe.json", "--epochs", str(epochs), "--rate", "0.0001", "--device", "cpu"]
    command += ["--trainable", "heads" if heads else "all", "--force"]
    subprocess.run(command, check=True, stderr=subprocess.DEVNULL)
    with open(f"{out}.log.jsonl") as log:
        events = [json.loads(line) for line in log]
    return seconds([BATCH / e["imagesPerSecond"] for e in events if e["type"] == "step"])


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("data")
    parser.add_argument("folder")
    parser.add_argument("--cytobox", required=True)
    parser.add_argument("--steps", type=int, default=6)
    arguments = parser.parse_args()
    torch.set_num_threads(os.cpu_count())
    os.makedirs(arguments.folder, exist_ok=True)
    for xml in sorted(glob.glob(f"{arguments.data}/hpa/train/*.xml"))[:IMAGES]:
        for file in glob.glob(f"{glob.escape(xml[:-4])}*"):
            link = os.path.join(arguments.folder, os.path.basename(file))
            if not os.path.lexists(link):
                os.symlink(os.path.abspath(file), link)
    for backbone in ("resnet18", "resnet50"):
        config = sizes(backbone)
        torch.manual_seed(1)
        model = build(config, torchvision.ops.FrozenBatchNorm2d)
        residuals = [m for m in model.backbone.body.modules() if hasattr(m, "conv2") and not isinstance(m, ResNet)]
        for block in residuals:
            # With frozen identity norms, every block of a random network would double its input.
            getattr(block, "bn3", block.bn2).weight.fill_(0.1)
        metadata = {"config": json.dumps(config)}
        save_file(f"{arguments.folder}/{backbone}.safetensors", model.state_dict(), metadata)
        examples = finetune.read(arguments.folder, config["classes"])
        # All layers trainable first, before any are frozen.
        for heads in (False, True):
            answer = {"backbone": backbone, "learning": "heads" if heads else "all"}
            answer["torchvision"] = peer(model, examples, heads, arguments.steps)
            answer["cytobox"] = ours(arguments.cytobox, arguments.folder, backbone, heads, arguments.steps)
            print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
