#!/usr/bin/env bash
# Trains the detector that comes with cytobox: models/train.sh FOLDER, a folder of annotated channel sets.
# A training that was ended goes on where it was when this is run again.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
out=target/models/cells.safetensors
mkdir -p "$(dirname "$out")"
cargo run --release --locked --bin cytobox -- train --data "$1" --out "$out" --resume --device cpu --seed 1 --recipe models/recipe.json \
  --arch mask-rcnn --backbone resnet18 --fpn-channels 64 --representation 128 --f16
