//! Images for the screen: one layer for each channel, and thumbnails.

use super::merge::{Merge, MergedImage, add_row, to_u8};
use super::set::{Channel, ChannelSet, zeros};
use crate::error::Result;

/// One channel in its colour, `width * height` RGBA8 pixels with alpha 255.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layer {
    pub channel: Channel,
    pub rgba: Vec<u8>,
}

/// The channels that have weights, each tinted by them, so that a canvas that adds them (`lighter`) shows the merge.
///
/// All layers together add up to [`MergedImage::to_rgba8`] exactly: what rounding takes from one layer goes to the next, so
/// a layer alone is at most 1 off.
///
/// # Errors
/// As `merge`.
pub fn layers(set: &ChannelSet, merge: &Merge) -> Result<Vec<Layer>> {
    let planes = merge.weighted(set)?;
    let (width, height) = set.size();
    let (width, height) = (width as usize, height as usize);
    let span = set.white - set.black;
    let mut layers = Vec::new();
    for (channel, ..) in &planes {
        layers.push(Layer { channel: *channel, rgba: zeros(&set.name, width * height * 4)? });
    }
    for y in 0..height {
        let mut sum = vec![0f32; width * 3];
        let mut shown = vec![0f32; width * 3];
        for (layer, (_, plane, weights)) in layers.iter_mut().zip(&planes) {
            add_row(plane, y, set.black, *weights, &mut sum);
            let row = &mut layer.rgba[y * width * 4..(y + 1) * width * 4];
            let before = shown.as_chunks_mut::<3>().0;
            for ((pixel, sum), before) in row.as_chunks_mut::<4>().0.iter_mut().zip(sum.as_chunks::<3>().0).zip(before)
            {
                for c in 0..3 {
                    let now = (sum[c] / span * 255.0).round();
                    // Saturates at 255, where the canvas's sum is white anyway.
                    pixel[c] = (now - before[c]) as u8;
                    before[c] = now;
                }
                pixel[3] = 255;
            }
        }
    }
    Ok(layers)
}

/// Width, height and RGBA8 pixels of a smaller copy whose longer side is `side` pixels; a smaller image stays as it
/// is. Each pixel is the mean of those that it covers.
pub fn thumbnail(merged_image: &MergedImage, side: u32) -> (u32, u32, Vec<u8>) {
    let longest = merged_image.width.max(merged_image.height);
    if longest <= side || side == 0 {
        return (merged_image.width, merged_image.height, merged_image.to_rgba8());
    }
    let scaled = |length: u32| {
        let exact = (u64::from(length) * u64::from(side) + u64::from(longest / 2)) / u64::from(longest);
        (exact as usize).max(1)
    };
    let (full_width, full_height) = (merged_image.width as usize, merged_image.height as usize);
    let (width, height) = (scaled(merged_image.width), scaled(merged_image.height));
    let mut rgba = Vec::with_capacity(width * height * 4);
    for y in 0..height {
        let rows = y * full_height / height..(y + 1) * full_height / height;
        for x in 0..width {
            let columns = x * full_width / width..(x + 1) * full_width / width;
            let mut sum = [0f32; 3];
            for row in rows.clone() {
                let at = row * full_width;
                for rgb in merged_image.rgb[(at + columns.start) * 3..(at + columns.end) * 3].as_chunks::<3>().0 {
                    (0..3).for_each(|c| sum[c] += rgb[c]);
                }
            }
            let count = (rows.len() * columns.len()) as f32;
            rgba.extend([to_u8(sum[0] / count), to_u8(sum[1] / count), to_u8(sum[2] / count), 255]);
        }
    }
    (width as u32, height as u32, rgba)
}
