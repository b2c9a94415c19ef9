#!/usr/bin/env python3
"""Times PyTorch on the layers of `cytobox bench`: on the CPU and, where there is CUDA, on the GPU in fp32 with TF32 off.

Optional: nothing else needs PyTorch. The layers come from what `cytobox bench` found, so that both have the same:
    cytobox bench --json > cytobox.json
    python3 tests/bench/torch_peer.py cytobox.json [--seconds 0.5] [--threads N] > torch.json
Prints a list with a report for each device, `{"device": …, "rows": […]}`; a row has the keys of a row of `cytobox bench --json` but
for burn's. Rates are in GFLOP/s: a convolution with bias and ReLU, and with the gradients of input and weights of its sum, in the
faster of the two memory formats.
"""
import argparse
import json
import time

import torch
import torch.nn.functional as F

LAYER = ("name", "x", "w", "out", "stride", "padding", "flops")


def seconds_of(work, synchronize, limit):
    """The best time of one run, of at least two in about `limit` seconds."""
    work()
    synchronize()
    best, count, start = float("inf"), 1, time.perf_counter()
    while best == float("inf") or time.perf_counter() - start < limit:
        begin = time.perf_counter()
        for _ in range(count):
            work()
        synchronize()
        best = min(best, (time.perf_counter() - begin) / count)
        # Several between two readings of the clock, so that a launch on a GPU is not what is measured.
        count = max(1, min(64, int(0.02 / best)))
    return best


def rates(layer, device, limit):
    """Forward and forward with backward, in GFLOP/s."""
    synchronize = torch.cuda.synchronize if device == "cuda" else lambda: None
    n, h, width, cin = layer["x"]
    kh, kw, _, cout = layer["w"]
    options = {"stride": layer["stride"], "padding": layer["padding"]}
    best = {"forward": 0.0, "forward_backward": 0.0}
    for form in (torch.contiguous_format, torch.channels_last):
        x = torch.rand(n, cin, h, width, device=device).to(memory_format=form)
        w = torch.rand(cout, cin, kh, kw, device=device).to(memory_format=form)
        bias = torch.rand(cout, device=device)

        def forward():
            with torch.no_grad():
                F.relu(F.conv2d(x, w, bias, **options))

        tracked = [t.detach().clone(memory_format=torch.preserve_format).requires_grad_() for t in (x, w)]

        def forward_backward():
            torch.autograd.grad(F.relu(F.conv2d(*tracked, bias, **options)).sum(), tracked)

        for name, work, passes in (("forward", forward, 1), ("forward_backward", forward_backward, 3)):
            best[name] = max(best[name], passes * layer["flops"] / seconds_of(work, synchronize, limit) / 1e9)
    return best


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("layers", help="what `cytobox bench --json` printed")
    parser.add_argument("--seconds", type=float, default=0.5, help="for each figure and memory format")
    parser.add_argument("--threads", type=int, help="of the CPU; PyTorch's own choice unless told")
    arguments = parser.parse_args()
    with open(arguments.layers, encoding="utf-8") as file:
        layers = [{key: row[key] for key in LAYER} for row in json.load(file)["rows"]]
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    torch.backends.cuda.matmul.allow_tf32 = False
    torch.backends.cudnn.allow_tf32 = False
    # cuDNN's best algorithm for each shape, as one would have it in training.
    torch.backends.cudnn.benchmark = True
    devices = {"cpu": f"CPU, {torch.get_num_threads()} threads"}
    if torch.cuda.is_available():
        devices["cuda"] = f"{torch.cuda.get_device_name()}, fp32"
    reports = []
    for device, name in devices.items():
        rows = [layer | rates(layer, device, arguments.seconds) for layer in layers]
        reports.append({"device": f"PyTorch {torch.__version__}, {name}", "rows": rows})
    print(json.dumps(reports, indent=2))


if __name__ == "__main__":
    main()
