//! Planes of f32 and operations on them: blur, textures, distances, splats.

use super::rng::SynthRng;

/// One value per pixel, row by row.
#[derive(Clone)]
pub(super) struct Field {
    pub width: usize,
    pub height: usize,
    pub data: Vec<f32>,
}

impl Field {
    pub fn new(width: usize, height: usize) -> Self {
        Self { width, height, data: vec![0.0; width * height] }
    }

    /// An isotropic texture with mean 0, variance 1 and a grain of about `sigma` pixels: blurred white noise.
    pub fn texture(width: usize, height: usize, sigma: f32, rng: &mut SynthRng) -> Self {
        let mut field = Self::new(width, height);
        for value in &mut field.data {
            let b = rng.bits();
            *value = ((b & 0xFF) + (b >> 8 & 0xFF) + (b >> 16 & 0xFF) + (b >> 24)) as f32 - 510.0;
        }
        field.blur(sigma);
        field.standardise();
        field
    }

    /// Scales to mean 0 and variance 1. Sums row by row, to keep precision on large planes.
    fn standardise(&mut self) {
        let count = self.data.len() as f32;
        let sum = |f: &dyn Fn(f32) -> f32| -> f32 {
            self.data.chunks(self.width).map(|row| row.iter().map(|&v| f(v)).sum::<f32>()).sum()
        };
        let mean = sum(&|v| v) / count;
        let deviation = (sum(&|v| (v - mean) * (v - mean)) / count).sqrt().max(1e-6);
        for v in &mut self.data {
            *v = (*v - mean) / deviation;
        }
    }

    /// An approximate Gaussian blur: three box filters with the widths of Kovesi, "Fast almost-Gaussian filtering" (2010). Below a
    /// third of a pixel it does nothing. Borders repeat the last pixel.
    pub fn blur(&mut self, sigma: f32) {
        if sigma < 0.8 {
            return self.blur_slightly(sigma);
        }
        let ideal = (4.0 * sigma * sigma + 1.0).sqrt();
        let mut low = ideal as usize;
        if low.is_multiple_of(2) {
            low -= 1;
        }
        let l = low as f32;
        let narrow = ((12.0 * sigma * sigma - 3.0 * l * l - 12.0 * l - 9.0) / (-4.0 * l - 4.0) + 0.5) as usize;
        for pass in 0..3 {
            let radius = if pass < narrow { low / 2 } else { low / 2 + 1 };
            self.mean_rows(radius);
            self.mean_columns(radius);
        }
    }

    /// One pass with the three-tap kernel of variance `sigma²` (exact up to √½).
    fn blur_slightly(&mut self, sigma: f32) {
        let side = (sigma * sigma * 0.5).min(0.32);
        if side < 0.05 {
            return;
        }
        let centre = 1.0 - 2.0 * side;
        let (w, h) = (self.width, self.height);
        for row in self.data.chunks_mut(w) {
            let mut before = row[0];
            for x in 0..w {
                let (here, after) = (row[x], row[(x + 1).min(w - 1)]);
                row[x] = centre * here + side * (before + after);
                before = here;
            }
        }
        let mut before = self.data[..w].to_vec();
        for y in 0..h {
            let next = (y + 1).min(h - 1);
            for (x, before) in before.iter_mut().enumerate() {
                let (here, after) = (self.data[y * w + x], self.data[next * w + x]);
                self.data[y * w + x] = centre * here + side * (*before + after);
                *before = here;
            }
        }
    }

    fn mean_rows(&mut self, radius: usize) {
        let w = self.width;
        let scale = 1.0 / (2 * radius + 1) as f32;
        let mut source = vec![0.0; w];
        for row in self.data.chunks_mut(w) {
            source.copy_from_slice(row);
            let at = |i: isize| source[i.clamp(0, w as isize - 1) as usize];
            let r = radius as isize;
            let mut sum: f32 = (-r..=r).map(at).sum();
            for (x, out) in row.iter_mut().enumerate() {
                *out = sum * scale;
                sum += at(x as isize + r + 1) - at(x as isize - r);
            }
        }
    }

    /// Like [`Field::mean_rows`] along columns, with running sums for a whole row at a time.
    fn mean_columns(&mut self, radius: usize) {
        let (w, h) = (self.width, self.height);
        let scale = 1.0 / (2 * radius + 1) as f32;
        let row_of = |y: isize| y.clamp(0, h as isize - 1) as usize;
        // The window needs rows that have been overwritten: a ring buffer keeps the last `2 radius + 1` originals.
        let ring = 2 * radius + 1;
        let mut kept = vec![0.0; ring * w];
        let mut sum = vec![0.0; w];
        let r = radius as isize;
        for y in -r..=r {
            let source = &self.data[row_of(y) * w..][..w];
            kept[(y + r) as usize * w..][..w].copy_from_slice(source);
            for (s, v) in sum.iter_mut().zip(source) {
                *s += v;
            }
        }
        for y in 0..h {
            for (out, s) in self.data[y * w..][..w].iter_mut().zip(&sum) {
                *out = s * scale;
            }
            let oldest = y % ring * w;
            // Rows below `y` are still originals; once the last one is overwritten, the ring has it.
            let next = y + radius + 1;
            for x in 0..w {
                let incoming = if next < h { self.data[next * w + x] } else { kept[(y + ring - 1) % ring * w + x] };
                sum[x] += incoming - kept[oldest + x];
                kept[oldest + x] = incoming;
            }
        }
    }

    /// Adds `weight`, distributed over the four pixels around (x, y); pixel centres are at `.5`.
    pub fn splat(&mut self, x: f32, y: f32, weight: f32) {
        let (x, y) = (x - 0.5, y - 0.5);
        if x < 0.0 || y < 0.0 {
            return;
        }
        let (i, j) = (x as usize, y as usize);
        if i + 1 >= self.width || j + 1 >= self.height {
            return;
        }
        let (u, v) = (x - i as f32, y - j as f32);
        let at = j * self.width + i;
        self.data[at] += weight * (1.0 - u) * (1.0 - v);
        self.data[at + 1] += weight * u * (1.0 - v);
        self.data[at + self.width] += weight * (1.0 - u) * v;
        self.data[at + self.width + 1] += weight * u * v;
    }

    /// Slope at a pixel by central differences.
    pub fn gradient(&self, x: usize, y: usize) -> [f32; 2] {
        let at = |x: usize, y: usize| self.data[y * self.width + x];
        let (right, down) = ((x + 1).min(self.width - 1), (y + 1).min(self.height - 1));
        let (left, up) = (x.saturating_sub(1), y.saturating_sub(1));
        [0.5 * (at(right, y) - at(left, y)), 0.5 * (at(x, down) - at(x, up))]
    }

    /// The quantile `share` of all pixels, from a histogram of 4096 bins up to the maximum.
    pub fn quantile(&self, share: f32) -> f32 {
        const BINS: usize = 4096;
        let top = self.data.iter().fold(0f32, |a, &b| a.max(b));
        if top <= 0.0 {
            return 0.0;
        }
        let mut bins = vec![0u32; BINS];
        let scale = (BINS - 1) as f32 / top;
        for &v in &self.data {
            bins[(v.max(0.0) * scale) as usize] += 1;
        }
        let wanted = (share * self.data.len() as f32) as u32;
        let mut seen = 0;
        let bin = bins.iter().position(|n| {
            seen += n;
            seen >= wanted
        });
        (bin.unwrap_or(BINS - 1) + 1) as f32 / scale
    }
}

/// The distance of each pixel to the nearest border between labels, in pixels; 0.5 right next to it. Chamfer with 1 and √2.
pub(super) fn border_distance(width: usize, height: usize, labels: &[u16]) -> Field {
    let mut field = Field::new(width, height);
    for y in 0..height {
        for x in 0..width {
            let at = y * width + x;
            let here = labels[at];
            let beside = (x > 0 && labels[at - 1] != here)
                || (x + 1 < width && labels[at + 1] != here)
                || (y > 0 && labels[at - width] != here)
                || (y + 1 < height && labels[at + width] != here);
            field.data[at] = if beside { 0.5 } else { 1e6 };
        }
    }
    const DIAGONAL: f32 = std::f32::consts::SQRT_2;
    let d = &mut field.data;
    for y in 0..height {
        for x in 0..width {
            let at = y * width + x;
            let mut best = d[at];
            if x > 0 {
                best = best.min(d[at - 1] + 1.0);
            }
            if y > 0 {
                best = best.min(d[at - width] + 1.0);
                if x > 0 {
                    best = best.min(d[at - width - 1] + DIAGONAL);
                }
                if x + 1 < width {
                    best = best.min(d[at - width + 1] + DIAGONAL);
                }
            }
            d[at] = best;
        }
    }
    for y in (0..height).rev() {
        for x in (0..width).rev() {
            let at = y * width + x;
            let mut best = d[at];
            if x + 1 < width {
                best = best.min(d[at + 1] + 1.0);
            }
            if y + 1 < height {
                best = best.min(d[at + width] + 1.0);
                if x + 1 < width {
                    best = best.min(d[at + width + 1] + DIAGONAL);
                }
                if x > 0 {
                    best = best.min(d[at + width - 1] + DIAGONAL);
                }
            }
            d[at] = best;
        }
    }
    field
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blur_preserves_the_sum_and_has_the_given_sigma() {
        for sigma in [0.5, 1.0, 2.5, 6.0] {
            let mut field = Field::new(101, 91);
            field.data[45 * 101 + 50] = 1.0;
            field.blur(sigma);
            let sum: f32 = field.data.iter().sum();
            let variance =
                |d: &dyn Fn(usize) -> f32| -> f32 { field.data.iter().enumerate().map(|(i, v)| v * d(i) * d(i)).sum() };
            assert!((sum - 1.0).abs() < 1e-4, "{sigma}: {sum}");
            let (across, down) = (variance(&|i| (i % 101) as f32 - 50.0), variance(&|i| (i / 101) as f32 - 45.0));
            assert!((across.sqrt() - sigma).abs() < 0.25 && (down - across).abs() < 1e-3, "{sigma}: {across} {down}");
        }
    }

    #[test]
    fn blur_leaves_a_constant_plane_unchanged() {
        for (w, h) in [(1, 1), (3, 2), (40, 7)] {
            let mut field = Field { width: w, height: h, data: vec![3.0; w * h] };
            field.blur(5.0);
            assert!(field.data.iter().all(|v| (v - 3.0).abs() < 1e-4));
        }
    }

    #[test]
    fn texture_is_standardised() {
        let field = Field::texture(64, 48, 2.0, &mut SynthRng::new(3, 0, 0));
        let mean = field.data.iter().sum::<f32>() / field.data.len() as f32;
        assert!(mean.abs() < 1e-3);
        assert!(field.data.iter().any(|&v| v > 2.0) && field.data.iter().any(|&v| v < -2.0));
    }

    #[test]
    fn distance_increases_from_the_border() {
        let labels: Vec<u16> = (0..20 * 20).map(|i| u16::from(i % 20 >= 10)).collect();
        let field = border_distance(20, 20, &labels);
        assert_eq!((field.data[9], field.data[10], field.data[0], field.data[19]), (0.5, 0.5, 9.5, 9.5));
    }

    #[test]
    fn quantile_of_a_ramp() {
        let field = Field { width: 100, height: 10, data: (0..1000).map(|i| i as f32).collect() };
        assert!((field.quantile(0.9) - 900.0).abs() < 3.0);
    }
}
