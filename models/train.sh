#!/usr/bin/env bash
# Trains the detector that comes with cytobox: models/train.sh FOLDER, a folder of annotated channel sets.
# A training that was ended goes on where it was when this is run again.
set -euo pipefail
data="$(cd "$1" && pwd)"
cd "$(dirname "${BASH_SOURCE[0]}")/.."
cargo build --release --locked --bin cytobox
cytobox="$(cargo metadata --format-version 1 --no-deps --locked | sed 's/.*"target_directory":"\([^"]*\)".*/\1/')/release/cytobox"
out=target/models
rm -rf "$out/train" "$out/val"
mkdir -p "$out/train" "$out/val"

# Every fifth image chooses the best epoch; the others are learnt from, twice beside the synthetic ones.
number=0
for annotation in "$data"/*.xml; do
  stem="$(basename "$annotation" .xml)"
  number=$((number + 1))
  copies="a b"
  to=train
  if [ $((number % 5)) -eq 0 ]; then copies=a to=val; fi
  for copy in $copies; do
    for file in "$data/$stem".xml "$data/$stem"_*; do
      ln -s "$file" "$out/$to/$copy-$(basename "$file")"
    done
  done
done
"$cytobox" synth --out "$out/train" --images 240 --seed 2018

# Half the resolution: spots are still seen, and a step has four times as many cells. Crops hold few cells, so few
# anchors and proposals are drawn from each.
"$cytobox" train --data "$out/train" --val "$out/val" --out "$out/cells.safetensors" --resume --device cpu --seed 1 \
  --arch mask-rcnn --backbone resnet18 --fpn-channels 64 --representation 112 --recipe models/recipe.json --f16 \
  --detector '{"min_size": 256, "max_size": 256, "box_batch_size_per_image": 32, "box_positive_fraction": 0.5,
    "rpn_batch_size_per_image": 64, "rpn_pre_nms_top_n_train": 400, "rpn_post_nms_top_n_train": 200}'
