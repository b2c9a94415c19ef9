"""Fine-tunes a detector with torchvision by the recipe that `cytobox train` takes, and measures both alike.

    python3 tests/peer/finetune.py DATA [--seed S] [--cytobox PROGRAM]

DATA holds `hpa/train`, `hpa/test` and `models/hpa_maskrcnn_resnet18_fpn.safetensors`. From that detector's body, pyramid, RPN
and heads, with new layers for the classes, both learn by `recipe.json` beside this file. Prints AP50 on `hpa/test`
(pycocotools) as JSON; with --cytobox also that program's, trained with `--new-heads` on the same images with the same
recipe and measured by `cytobox evaluate`. Needs torch, torchvision, pycocotools and Pillow.
"""

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as ElementTree

import numpy as np
import torch
import torchvision
from PIL import Image
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "golden"))
from model import build, load_file  # noqa: E402

CLASS_LAYERS = ("box_predictor.cls_score", "box_predictor.bbox_pred", "mask_predictor.mask_fcn_logits")


def read(folder, classes):
    """Pictures `[3, H, W]` in 0-1 with their targets, by the Atlas's merge."""
    examples = []
    for name in sorted(name[:-4] for name in os.listdir(folder) if name.endswith(".xml")):
        plane = lambda c: np.asarray(Image.open(f"{folder}/{name}_{c}.png").convert("L"), dtype=np.float32)
        red, green, blue, yellow = (plane(c) for c in ("red", "green", "blue", "yellow"))
        merged = np.stack([red + yellow / 2, green + yellow / 2, blue]).clip(0, 255) / 255
        labels = np.asarray(Image.open(f"{folder}/{name}_mask.png"))
        boxes, wanted, masks = [], [], []
        for k, node in enumerate(ElementTree.parse(f"{folder}/{name}.xml").getroot().findall("object"), 1):
            x1, y1, x2, y2 = (float(node.find(f"bndbox/{c}").text) for c in ("xmin", "ymin", "xmax", "ymax"))
            # Corners count from 1 and belong to the box.
            boxes.append([x1 - 1, y1 - 1, x2, y2])
            wanted.append(classes.index(node.find("name").text))
            masks.append(labels == k)
        target = {
            "boxes": torch.tensor(boxes),
            "labels": torch.tensor(wanted),
            "masks": torch.from_numpy(np.stack(masks).astype(np.uint8)),
        }
        examples.append((torch.from_numpy(merged), target))
    return examples


def flipped(image, target, axis):
    """Flipped along the last axis (x) or the one before (y)."""
    size = image.shape[axis]
    low, high = (0, 2) if axis == -1 else (1, 3)
    boxes = target["boxes"].clone()
    boxes[:, low], boxes[:, high] = size - target["boxes"][:, high], size - target["boxes"][:, low]
    return image.flip(axis), {**target, "boxes": boxes, "masks": target["masks"].flip(axis)}


def rate(schedule, step, steps):
    warm = schedule["warmup_steps"]
    if step < warm:
        factor = schedule["warmup_factor"]
        return schedule["base"] * (factor + (1 - factor) * step / warm)
    passed = sum(step / steps >= share for share in schedule["decay"]["shares"])
    return schedule["base"] * schedule["decay"]["gamma"] ** passed


def learn(model, examples, recipe, seed):
    rng = random.Random(seed)
    torch.manual_seed(seed)
    parameters = [p for p in model.parameters() if p.requires_grad]
    options = recipe["optimizer"]
    optimizer = torch.optim.SGD(parameters, 0.0, options["momentum"], weight_decay=options["weight_decay"])
    batch = recipe["batch_size"]
    steps = -(-recipe["budget"]["epochs"] * len(examples) // batch)
    model.train()
    order = []
    for step in range(steps):
        for group in optimizer.param_groups:
            group["lr"] = rate(recipe["schedule"], step, steps)
        images, targets = [], []
        for _ in range(batch):
            if not order:
                order = rng.sample(range(len(examples)), len(examples))
            image, target = examples[order.pop()]
            for axis in (-1, -2):
                if rng.random() < 0.5:
                    image, target = flipped(image, target, axis)
            images.append(image)
            targets.append(target)
        total = sum(model(images, targets).values())
        optimizer.zero_grad()
        total.backward()
        torch.nn.utils.clip_grad_norm_(parameters, recipe["gradient_clip"])
        optimizer.step()
        if step % 20 == 0:
            print(f"step {step} of {steps}: loss {total.item():.3f}", file=sys.stderr, flush=True)


def evaluate(model, examples, classes):
    """AP50, the mean over the classes."""
    model.eval()
    images, annotations, found = [], [], []
    box = lambda b: [b[0], b[1], b[2] - b[0], b[3] - b[1]]
    for i, (image, target) in enumerate(examples):
        images.append({"id": i, "width": image.shape[2], "height": image.shape[1]})
        for corners, label in zip(target["boxes"].tolist(), target["labels"].tolist()):
            _, _, w, h = box(corners)
            entry = {"id": len(annotations) + 1, "image_id": i, "category_id": label, "bbox": box(corners)}
            annotations.append({**entry, "area": w * h, "iscrowd": 0})
        with torch.no_grad():
            result = model([image])[0]
        for corners, label, score in zip(*(result[k].tolist() for k in ("boxes", "labels", "scores"))):
            found.append({"image_id": i, "category_id": label, "bbox": box(corners), "score": score})
    truth = COCO()
    categories = [{"id": i, "name": name} for i, name in enumerate(classes) if i]
    truth.dataset = {"images": images, "annotations": annotations, "categories": categories}
    truth.createIndex()
    measured = COCOeval(truth, truth.loadRes(found), "bbox")
    measured.evaluate()
    measured.accumulate()
    measured.summarize()
    return float(measured.stats[1])


def torchvision_ap(data, recipe, seed):
    tensors, metadata = load_file(f"{data}/models/hpa_maskrcnn_resnet18_fpn.safetensors")
    config = {"rpn_score_thresh": 0.0, "representation_size": 1024, "mask_layers": [256] * 4, "mask_dim_reduced": 256}
    config = {**config, **json.loads(metadata["config"])}
    # As cytobox does: norms that were trained are frozen when a detector is gone on with.
    norm = lambda width: torchvision.ops.FrozenBatchNorm2d(width, eps=config.get("batch_norm_eps", 1e-5))
    model = build(config, norm)
    model.rpn._pre_nms_top_n["training"] = config.get("rpn_pre_nms_top_n_train", 2000)
    model.rpn._post_nms_top_n["training"] = config.get("rpn_post_nms_top_n_train", 2000)
    sampler = model.roi_heads.fg_bg_sampler
    sampler.batch_size_per_image = config.get("box_batch_size_per_image", 512)
    kept = {k: v.float() for k, v in tensors.items() if not any(layer in k for layer in CLASS_LAYERS)}
    torch.manual_seed(seed)
    missing, unexpected = model.load_state_dict(kept, strict=False)
    assert all(any(layer in key for layer in CLASS_LAYERS) for key in missing), missing
    assert all(key.endswith("num_batches_tracked") for key in unexpected), unexpected
    classes = config["classes"]
    learn(model, read(f"{data}/hpa/train", classes), recipe, seed)
    return evaluate(model, read(f"{data}/hpa/test", classes), classes)


def cytobox_ap(program, data, seed):
    with tempfile.TemporaryDirectory() as folder:
        out = f"{folder}/detector.safetensors"
        train = ["train", "--data", f"{data}/hpa/train", "--val", f"{data}/hpa/test", "--out", out, "--new-heads"]
        train += ["--init", f"{data}/models/hpa_maskrcnn_resnet18_fpn.safetensors", "--seed", str(seed)]
        subprocess.run([program, *train, "--recipe", f"{HERE}/recipe.json", "--device", "cpu"], check=True)
        measure = ["evaluate", "--data", f"{data}/hpa/test", "--model", out, "--json", "--device", "cpu"]
        done = subprocess.run([program, *measure], check=True, stdout=subprocess.PIPE)
        return json.loads(done.stdout)["map_50"]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("data")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--cytobox")
    arguments = parser.parse_args()
    torch.set_num_threads(os.cpu_count())
    with open(f"{HERE}/recipe.json") as file:
        recipe = json.load(file)
    answer = {"seed": arguments.seed, "torchvision": torchvision_ap(arguments.data, recipe, arguments.seed)}
    if arguments.cytobox:
        answer["cytobox"] = cytobox_ap(arguments.cytobox, arguments.data, arguments.seed)
    print(json.dumps(answer))


if __name__ == "__main__":
    main()
