//! RoIAlign on a GPU: one thread per output in the forward pass, one per feature element in the backward pass.

use burn::tensor::DType;
use burn_cubecl::tensor::CubeTensor;
use cubecl::prelude::*;

use super::{LEVELS, Roi, RoiTable, Sample};
use crate::kernels::conv::adapter::Adapter;
use crate::kernels::conv::gpu::empty;
use crate::kernels::cube::{buffer, elementwise};

/// Uploads a buffer of `u32`.
fn upload(like: &CubeTensor, data: &[u32]) -> BufferArg {
    let handle = like.client.create_from_slice(bytemuck::cast_slice(data));
    // SAFETY: the buffer was created from this many numbers.
    unsafe { BufferArg::from_raw_parts(handle, data.len()) }
}

/// `low, high, bits of low_weight, bits of high_weight` of each sample, so that one buffer holds everything.
fn sample_words(samples: &[Sample]) -> Vec<u32> {
    samples.iter().flat_map(|s| [s.low, s.high, s.low_weight.to_bits(), s.high_weight.to_bits()]).collect()
}

pub fn forward(levels: Vec<CubeTensor>, table: &RoiTable) -> CubeTensor {
    let like = &levels[0];
    let out = empty(like, table.out_shape());
    let count = out.meta.shape().num_elements();
    let (cubes, dim) = elementwise(like, count);
    // For each region: its level, the first element of its image, and the level's width.
    let place = |roi: &Roi| {
        let [h, w] = table.levels[roi.level as usize];
        [roi.level, (roi.image as usize * h * w * table.channels) as u32, w as u32]
    };
    let places: Vec<u32> = table.rois.iter().flat_map(place).collect();
    let level = |i: usize| buffer(&levels[i.min(levels.len() - 1)]);
    const { assert!(LEVELS == 4, "the kernel has four level arguments") };
    // SAFETY: the table's samples are inside their levels, and the kernel writes below `count`.
    unsafe {
        forward_kernel::launch_unchecked(
            &like.client,
            cubes,
            dim,
            level(0),
            level(1),
            level(2),
            level(3),
            upload(like, &places),
            upload(like, &sample_words(&table.samples)),
            buffer(&out),
            table.channels as u32,
            table.size as u32,
            count as u32,
            table.ratio as u32,
        );
    }
    out
}

#[cube]
fn share(value: f32, weight: f32) -> f32 {
    // A weight of 0 skips the value, so that a NaN outside the region stays outside.
    select(weight == 0.0, 0.0, value * weight)
}

#[cube(launch_unchecked)]
fn forward_kernel(
    level0: &[f32],
    level1: &[f32],
    level2: &[f32],
    level3: &[f32],
    places: &[u32],
    samples: &[u32],
    out: &mut [f32],
    channels: u32,
    size: u32,
    count: u32,
    #[comptime] ratio: u32,
) {
    let at = ABSOLUTE_POS as u32;
    if at < count {
        let channel = at % channels;
        let (bin_x, bin_y) = ((at / channels) % size, (at / (channels * size)) % size);
        let roi = at / (channels * size * size);
        let level = places[(roi * 3) as usize];
        let image = places[(roi * 3 + 1) as usize];
        let width = places[(roi * 3 + 2) as usize];
        let along = size * ratio;
        let mut sum = 0.0f32;
        for sy in 0..ratio {
            let y = ((roi * 2) * along + bin_y * ratio + sy) * 4;
            for sx in 0..ratio {
                let x = ((roi * 2 + 1) * along + bin_x * ratio + sx) * 4;
                for corner in 0..4u32 {
                    let (cy, cx) = (corner / 2, corner % 2);
                    let row = samples[(y + cy) as usize];
                    let column = samples[(x + cx) as usize];
                    let weight = f32::reinterpret(samples[(y + 2 + cy) as usize])
                        * f32::reinterpret(samples[(x + 2 + cx) as usize])
                        / f32::cast_from(ratio * ratio);
                    let place = (image + (row * width + column) * channels + channel) as usize;
                    if level == 0 {
                        sum += share(level0[place], weight);
                    } else if level == 1 {
                        sum += share(level1[place], weight);
                    } else if level == 2 {
                        sum += share(level2[place], weight);
                    } else {
                        sum += share(level3[place], weight);
                    }
                }
            }
        }
        out[at as usize] = sum;
    }
}

/// Channels of a pixel that one thread sums, so that a region's weight at the pixel is computed once for all of them. A graphics
/// card needs more threads than a CPU.
fn channel_block(dy: &CubeTensor, channels: usize) -> usize {
    let most = match Adapter::of(&dy.client) {
        Adapter::Software => 16,
        Adapter::Hardware => 4,
    };
    [16, 8, 4, 2].into_iter().find(|n| *n <= most && channels.is_multiple_of(*n)).unwrap_or(1)
}

/// The header of each level in the words of [`backward_kernel`]: its first thread, height, width, and the offset of its row
/// starts.
const LEVEL_WORDS: usize = 4;

/// Gradients with respect to all levels, in one launch.
pub fn backward(dy: &CubeTensor, table: &RoiTable) -> Vec<CubeTensor> {
    let block = channel_block(dy, table.channels);
    let mut gradients: Vec<CubeTensor> =
        table.levels.iter().map(|[h, w]| empty(dy, [table.images, *h, *w, table.channels])).collect();
    let mut count = 0;
    let mut words = vec![0; LEVELS * LEVEL_WORDS];
    for level in 0..LEVELS {
        // No thread reaches a level that does not exist.
        let mut place = [u32::MAX, 1, 1, 0];
        if let Some([h, w]) = table.levels.get(level) {
            let (starts, list) = table.rows(level);
            let regions = words.len() + starts.len();
            place = [count as u32, *h as u32, *w as u32, words.len() as u32];
            words.extend(starts.iter().map(|start| regions as u32 + start));
            words.extend(list);
            count += table.images * h * w * table.channels / block;
        }
        words[level * LEVEL_WORDS..][..LEVEL_WORDS].copy_from_slice(&place);
    }
    let samples = words.len();
    words.extend(sample_words(&table.samples));
    // A buffer that is written to must not be bound twice.
    gradients.resize_with(LEVELS, || empty(dy, [1, 1, 1, 1]));
    let (cubes, dim) = elementwise(dy, count);
    const { assert!(LEVELS == 4, "the kernel has four gradient arguments") };
    // SAFETY: the words name regions of the table, and the kernel writes below the size of each level.
    unsafe {
        backward_kernel::launch_unchecked(
            &dy.client,
            cubes,
            dim,
            buffer(dy),
            upload(dy, &words),
            buffer(&gradients[0]),
            buffer(&gradients[1]),
            buffer(&gradients[2]),
            buffer(&gradients[3]),
            table.channels as u32,
            samples as u32,
            count as u32,
            table.size as u32,
            table.ratio as u32,
            block as u32,
        );
    }
    gradients.truncate(table.levels.len());
    debug_assert!(gradients.iter().all(|dx| dx.dtype == DType::F32));
    gradients
}

/// The weight of element `at` in the sample whose words start at `s`.
#[cube]
fn taken(samples: &[u32], s: u32, at: u32) -> f32 {
    let low = select(samples[s as usize] == at, f32::reinterpret(samples[(s + 2) as usize]), 0.0);
    let high = select(samples[(s + 1) as usize] == at, f32::reinterpret(samples[(s + 3) as usize]), 0.0);
    low + high
}

/// The total weight of element `at` in the samples of a bin, whose words start at `s`.
#[cube]
fn taken_by_bin(samples: &[u32], s: u32, at: u32, #[comptime] ratio: u32) -> f32 {
    let mut sum = 0.0f32;
    #[unroll]
    for r in 0..ratio {
        sum += taken(samples, s + r * 4, at);
    }
    sum
}

#[cube(launch_unchecked)]
fn backward_kernel(
    dy: &[f32],
    words: &[u32],
    dx0: &mut [f32],
    dx1: &mut [f32],
    dx2: &mut [f32],
    dx3: &mut [f32],
    channels: u32,
    samples: u32,
    count: u32,
    #[comptime] size: u32,
    #[comptime] ratio: u32,
    #[comptime] block: u32,
) {
    let thread = ABSOLUTE_POS as u32;
    if thread < count {
        let mut level = 0u32;
        for next in 1..4u32 {
            if thread >= words[(next * 4) as usize] {
                level = next;
            }
        }
        let at = thread - words[(level * 4) as usize];
        let h = words[(level * 4 + 1) as usize];
        let w = words[(level * 4 + 2) as usize];
        let starts = words[(level * 4 + 3) as usize];
        let blocks = channels / block;
        let channel = (at % blocks) * block;
        let column = (at / blocks) % w;
        let image_row = at / (blocks * w);
        let row = image_row % h;
        let along = size * ratio;
        let scale = 1.0 / f32::cast_from(ratio * ratio);
        let mut sums = Array::<f32>::new(block as usize);
        #[unroll]
        for c in 0..block {
            sums[c as usize] = 0.0f32;
        }
        let mut across = Array::<f32>::new(size as usize);
        for entry in words[(starts + image_row) as usize]..words[(starts + image_row + 1) as usize] {
            let roi = words[entry as usize];
            let y = samples + roi * 2 * along * 4;
            let x = y + along * 4;
            // Samples ascend along an axis, so elements beyond its ends have no weight.
            if words[x as usize] <= column && column <= words[(x + along * 4 - 3) as usize] {
                for j in 0..size {
                    across[j as usize] = taken_by_bin(words, x + j * ratio * 4, column, ratio);
                }
                for i in 0..size {
                    let down = taken_by_bin(words, y + i * ratio * 4, row, ratio) * scale;
                    if down != 0.0 {
                        for j in 0..size {
                            let weight = down * across[j as usize];
                            if weight != 0.0 {
                                let from = ((roi * size + i) * size + j) * channels + channel;
                                #[unroll]
                                for c in 0..block {
                                    sums[c as usize] += weight * dy[(from + c) as usize];
                                }
                            }
                        }
                    }
                }
            }
        }
        let into = (image_row * w + column) * channels + channel;
        #[unroll]
        for c in 0..block {
            let place = (into + c) as usize;
            if level == 0 {
                dx0[place] = sums[c as usize];
            } else if level == 1 {
                dx1[place] = sums[c as usize];
            } else if level == 2 {
                dx2[place] = sums[c as usize];
            } else {
                dx3[place] = sums[c as usize];
            }
        }
    }
}
