"""Golden values for tests/parity.rs, from torchvision.

    python3 tests/golden/model.py make DIR       small detectors with random weights, and every stage of what they compute
    python3 tests/golden/model.py verify DIR     that the files cytobox saved there load with strict=True and agree
    python3 tests/golden/model.py convert DIR    state dicts in the forms that torch.save has had

Needs torch and torchvision. Files are safetensors, written here by hand so that nothing else is needed.
"""

import argparse
import collections
import json
import os
import pathlib
import struct
import sys

import numpy as np
import torch
import torchvision
from torch import nn
from torchvision.models import resnet
from torchvision.models._utils import IntermediateLayerGetter
from torchvision.models.detection import FasterRCNN, MaskRCNN
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.models.detection.backbone_utils import BackboneWithFPN
from torchvision.models.detection.faster_rcnn import FastRCNNConvFCHead, FastRCNNPredictor, TwoMLPHead
from torchvision.models.detection.mask_rcnn import MaskRCNNHeads, MaskRCNNPredictor
from torchvision.models.detection.rpn import RPNHead

torch.set_num_threads(2)

TYPES = {torch.float32: "F32", torch.float16: "F16", torch.int64: "I64", torch.uint8: "U8"}

# name: architecture, backbone, picture height and width, min and max size
CASES = {
    "faster_resnet18": ("fasterrcnn_resnet_fpn", "resnet18", 90, 131, 128, 192),
    "mask_resnet18": ("maskrcnn_resnet_fpn", "resnet18", 128, 128, 128, 128),
    "faster_resnet50": ("fasterrcnn_resnet_fpn", "resnet50", 300, 200, 96, 160),
    "mask_resnet50": ("maskrcnn_resnet_fpn", "resnet50", 75, 110, 100, 150),
    "faster_resnet18_v2": ("fasterrcnn_resnet_fpn", "resnet18", 90, 131, 128, 192),
    "mask_resnet50_v2": ("maskrcnn_resnet_fpn", "resnet50", 75, 110, 100, 150),
}


# What sets the second generation (`maskrcnn_resnet50_fpn_v2`) apart.
V2 = {"dialect": "torchvision_v2", "fpn_norm": True, "mask_norm": True, "rpn_convs": 2, "box_head_convs": 4}


def save_file(path, tensors, metadata):
    header, offset, blobs = {"__metadata__": metadata}, 0, []
    for name, tensor in tensors.items():
        tensor = tensor.detach().contiguous()
        blob = tensor.numpy().tobytes()
        header[name] = {
            "dtype": TYPES[tensor.dtype],
            "shape": list(tensor.shape),
            "data_offsets": [offset, offset + len(blob)],
        }
        offset += len(blob)
        blobs.append(blob)
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(text)))
        file.write(text)
        for blob in blobs:
            file.write(blob)


def load_file(path):
    with open(path, "rb") as file:
        (length,) = struct.unpack("<Q", file.read(8))
        header = json.loads(file.read(length))
        data = bytearray(file.read())
    metadata = header.pop("__metadata__", {})
    types = {text: dtype for dtype, text in TYPES.items()}
    tensors = {}
    for name, entry in header.items():
        start, end = entry["data_offsets"]
        flat = torch.frombuffer(data[start:end], dtype=types[entry["dtype"]]) if end > start else torch.zeros(0)
        tensors[name] = flat.reshape(entry["shape"]).clone()
    return tensors, metadata


def configuration(name):
    architecture, backbone, _, _, min_size, max_size = CASES[name]
    return {
        "architecture": architecture,
        "backbone": backbone,
        "fpn_channels": 24,
        "classes": ["__background__", "a", "b", "c"],
        "image_mean": [0.4, 0.45, 0.5],
        "image_std": [0.2, 0.25, 0.3],
        "min_size": min_size,
        "max_size": max_size,
        "batch_norm_eps": 1e-5,
        "anchor_sizes": [[12], [24], [48], [96], [120]],
        "aspect_ratios": [0.5, 1.0, 2.0],
        "rpn_pre_nms_top_n_test": 200,
        "rpn_post_nms_top_n_test": 60,
        "rpn_nms_thresh": 0.7,
        "rpn_score_thresh": 0.1,
        "box_score_thresh": 0.05,
        "box_nms_thresh": 0.5,
        "box_detections_per_img": 30,
        "representation_size": 64,
        "mask_layers": [24, 16],
        "mask_dim_reduced": 20,
    } | (V2 if name.endswith("_v2") else {})


def build(config, norm_layer):
    body = getattr(resnet, config["backbone"])(weights=None, norm_layer=norm_layer)
    widths = [body.inplanes // 8 * 2**i for i in range(4)]
    layers = {f"layer{i + 1}": str(i) for i in range(4)}
    channels, classes = config["fpn_channels"], len(config["classes"])
    v2 = config.get("dialect") == "torchvision_v2"
    norm = norm_layer if v2 else None
    backbone = BackboneWithFPN(body, layers, widths, channels, norm_layer=norm)
    box_head = TwoMLPHead(channels * 49, config["representation_size"])
    if v2:
        box_head = FastRCNNConvFCHead((channels, 7, 7), [channels] * 4, [config["representation_size"]], norm_layer=norm)
    arguments = dict(
        min_size=config["min_size"],
        max_size=config["max_size"],
        image_mean=config["image_mean"],
        image_std=config["image_std"],
        rpn_anchor_generator=AnchorGenerator(
            tuple(map(tuple, config["anchor_sizes"])), (tuple(config["aspect_ratios"]),) * 5
        ),
        rpn_pre_nms_top_n_test=config["rpn_pre_nms_top_n_test"],
        rpn_post_nms_top_n_test=config["rpn_post_nms_top_n_test"],
        rpn_nms_thresh=config["rpn_nms_thresh"],
        rpn_score_thresh=config["rpn_score_thresh"],
        rpn_head=RPNHead(channels, len(config["aspect_ratios"]), conv_depth=2 if v2 else 1),
        box_head=box_head,
        box_predictor=FastRCNNPredictor(config["representation_size"], classes),
        box_score_thresh=config["box_score_thresh"],
        box_nms_thresh=config["box_nms_thresh"],
        box_detections_per_img=config["box_detections_per_img"],
    )
    if config["architecture"] == "fasterrcnn_resnet_fpn":
        return FasterRCNN(backbone, None, **arguments)
    return MaskRCNN(
        backbone,
        None,
        mask_head=MaskRCNNHeads(channels, config["mask_layers"], 1, norm_layer=norm),
        mask_predictor=MaskRCNNPredictor(config["mask_layers"][-1], config["mask_dim_reduced"], classes),
        **arguments,
    )


def spread(model, images):
    """Random weights whose answers are far apart: with nearly equal scores, rounding would decide what is kept."""
    body = model.backbone.body
    for module in reversed(list(body.modules())):
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = 1.0
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.uniform_(module.bias, -0.3, 0.3)
        # A trained network adds little in each block; a random one that adds much amplifies the rounding of torch itself.
        if isinstance(module, (resnet.BasicBlock, resnet.Bottleneck)):
            last = module.bn3 if isinstance(module, resnet.Bottleneck) else module.bn2
            nn.init.uniform_(last.weight, 0.1, 0.3)
    body.train()
    with torch.no_grad():
        body(images)
    for module in body.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_var.clamp_(min=module.running_var.mean().item() / 2)
    for part in (model.backbone.fpn, model.roi_heads):
        for module in part.modules():
            if isinstance(module, nn.BatchNorm2d):
                nn.init.uniform_(module.weight, 0.5, 1.5)
                nn.init.uniform_(module.bias, -0.3, 0.3)
                nn.init.uniform_(module.running_mean, -0.3, 0.3)
                nn.init.uniform_(module.running_var, 0.5, 2.0)
    model.eval()
    nn.init.normal_(model.rpn.head.cls_logits.weight, std=0.3)
    nn.init.normal_(model.rpn.head.bbox_pred.weight, std=0.05)
    for conv in model.rpn.head.conv:
        nn.init.normal_(conv[0].weight, std=0.1)
    for linear in model.roi_heads.box_head.modules():
        if isinstance(linear, nn.Linear):
            nn.init.kaiming_normal_(linear.weight)
    nn.init.normal_(model.roi_heads.box_predictor.cls_score.weight, std=0.3)
    nn.init.normal_(model.roi_heads.box_predictor.bbox_pred.weight, std=0.2)


def picture(height, width):
    """Smooth blobs with some noise, `[3, height, width]` in 0–1."""
    y, x = torch.meshgrid(torch.arange(height) / 17.0, torch.arange(width) / 23.0, indexing="ij")
    waves = torch.stack([torch.sin(x + y), torch.cos(2 * x - y), torch.sin(3 * y)])
    return (0.5 + 0.35 * waves + 0.15 * torch.rand(3, height, width)).clamp(0, 1)


def nhwc(tensor):
    return tensor.permute(0, 2, 3, 1)


def stages(model, image):
    """Everything between a picture and its detections, channels last."""
    out = {"picture": image.permute(1, 2, 0)}
    images, _ = model.transform([image])
    out["transform"] = nhwc(images.tensors)
    out["size"] = torch.tensor(images.image_sizes[0])
    features = model.backbone(images.tensors)
    for i, level in enumerate(features.values()):
        out[f"fpn.{i}"] = nhwc(level)
    logits, deltas = model.rpn.head(list(features.values()))
    for i in range(5):
        out[f"rpn.objectness.{i}"], out[f"rpn.deltas.{i}"] = nhwc(logits[i]), nhwc(deltas[i])
    proposals, _ = model.rpn(images, features)
    out["proposals"] = proposals[0]
    heads = model.roi_heads
    pooled = heads.box_roi_pool(features, proposals, images.image_sizes)
    out["box.pooled"] = nhwc(pooled)
    out["box.logits"], out["box.deltas"] = heads.box_predictor(heads.box_head(pooled))
    result, _ = heads(features, proposals, images.image_sizes)
    for key in ("boxes", "scores", "labels"):
        out[f"network.{key}"] = result[0][key].clone()
    if "masks" in result[0]:
        out["mask.probabilities"] = result[0]["masks"][:, 0].clone()
    detections = model.transform.postprocess(result, images.image_sizes, [image.shape[-2:]])[0]
    for key in ("boxes", "scores", "labels"):
        out[f"final.{key}"] = detections[key]
    if "masks" in detections:
        out["final.masks"] = (detections["masks"][:, 0] > 0.5).to(torch.uint8)
    return out


def make(folder):
    for seed, name in enumerate(CASES):
        torch.manual_seed(100 + seed)
        config = configuration(name)
        image = picture(*CASES[name][2:4])
        model = build(config, nn.BatchNorm2d)
        spread(model, model.transform([image])[0].tensors)
        with torch.no_grad():
            golden = stages(model, image)
        assert len(golden["final.boxes"]) >= 5, (name, len(golden["final.boxes"]))
        save_file(f"{folder}/{name}.safetensors", model.state_dict(), {"config": json.dumps(config)})
        save_file(f"{folder}/{name}.golden.safetensors", golden, {})
        print(name, len(golden["proposals"]), "proposals,", len(golden["final.boxes"]), "detections")


def verify(folder):
    for name in CASES:
        for kind, tolerance in (("f32", 1e-4), ("f16", 2e-2)):
            tensors, metadata = load_file(f"{folder}/{name}.saved.{kind}.safetensors")
            config = json.loads(metadata["config"])
            model = build(config, torchvision.ops.FrozenBatchNorm2d).eval()
            model.load_state_dict({k: v.float() for k, v in tensors.items()}, strict=True)
            golden, _ = load_file(f"{folder}/{name}.golden.safetensors")
            with torch.no_grad():
                found = stages(model, golden["picture"].permute(2, 0, 1))
            keys = [k for k in golden if k.startswith(("fpn.", "rpn."))]
            if kind == "f32":
                keys += ["box.logits", "box.deltas", "final.scores"]
                assert torch.equal(golden["final.labels"], found["final.labels"]), name
            for key in keys:
                error = ((golden[key] - found[key]).abs().max() / golden[key].abs().max()).item()
                assert error <= tolerance, (name, kind, key, error)
    print("verified")


def training(state):
    """A checkpoint as training scripts keep it: the weights of a wrapped and compiled model among all the rest."""
    model = nn.Linear(3, 2)
    optimizer = torch.optim.AdamW(model.parameters())
    model(torch.ones(1, 3)).sum().backward()
    optimizer.step()
    schedule = torch.optim.lr_scheduler.MultiStepLR(optimizer, [3])
    return {
        "args": argparse.Namespace(lr=0.02, device=torch.device("cpu"), output_dir=pathlib.Path("runs"), size=torch.Size([2, 3])),
        "best": np.float64(0.5),
        "classes": {"cell"},
        "dtype": torch.float16,
        "epoch": 3,
        "history": collections.defaultdict(list, loss=[0.5, 0.25]),
        "means": np.ones(3),
        "optimizer": optimizer.state_dict(),
        "lr_scheduler": schedule.state_dict(),
        "rng": torch.get_rng_state(),
        "seen": collections.Counter(cell=3),
        "state_dict": {f"module._orig_mod.{key}": value for key, value in state.items()},
    }


def convert(folder):
    """The forms of `.pth`: zip archive and the older one, old key names, a checkpoint, a channels-last tensor."""
    state, _ = load_file(f"{folder}/mask_resnet18.safetensors")
    state["backbone.body.conv1.weight"] = state["backbone.body.conv1.weight"].to(memory_format=torch.channels_last)
    torch.save(state, f"{folder}/zip.pth")
    torch.save({"model": state, "epoch": 3, "args": {"lr": 0.02}}, f"{folder}/checkpoint.pth")
    for form, zipped in (("zip", True), ("old", False)):
        file = f"{folder}/training.{form}.pth"
        torch.save(training(state), file, _use_new_zipfile_serialization=zipped)
    old = {}
    for key, value in state.items():
        key = key.replace("rpn.head.conv.0.0.", "rpn.head.conv.")
        for block in ("inner_blocks", "layer_blocks"):
            for i in range(4):
                key = key.replace(f"{block}.{i}.0.", f"{block}.{i}.")
        for i in range(4):
            key = key.replace(f"mask_head.{i}.0.", f"mask_head.mask_fcn{i + 1}.")
        old[key] = value
    torch.save(old, f"{folder}/old.pth", _use_new_zipfile_serialization=False)
    state, _ = load_file(f"{folder}/mask_resnet50_v2.safetensors")
    torch.save(state, f"{folder}/v2.pth")
    # A classification network, from which training starts: the body alone, and a layer that no detector has.
    classifier = resnet.resnet18(weights=None).state_dict()
    torch.save(classifier, f"{folder}/classifier.pth")


if __name__ == "__main__":
    # Without arguments it shows that everything can be made; the tests name their own folder.
    default = ["make", os.path.join(os.environ.get("CYTOBOX_GOLDEN", "target/golden"), "model")]
    action, folder = sys.argv[1:] or default
    os.makedirs(folder, exist_ok=True)
    {"make": make, "verify": verify, "convert": convert}[action](folder)
