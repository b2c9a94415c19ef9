//! Several planes to one: the maximum, the mean, and which is in focus.

use super::set::{Plane, Samples};
use super::stack::Projection;
use crate::error::{Error, Result};

/// Planes that are being projected, one for each channel.
pub(super) enum Fold {
    Max(Vec<Plane>),
    /// Sums, as many as there are pixels in each channel.
    Mean {
        first: Vec<Plane>,
        sums: Vec<Sums>,
        count: u32,
    },
}

/// 2¹⁶ planes of 16 bits add up to 32.
pub(super) enum Sums {
    Whole(Vec<u32>),
    Real(Vec<f64>),
}

impl Fold {
    /// From the first step. Anything but the mean is the maximum.
    pub fn new(projection: Projection, planes: Vec<Plane>) -> Self {
        if projection != Projection::Mean {
            return Self::Max(planes);
        }
        let sums = |plane: &Plane| match &plane.samples {
            Samples::U8(v) => Sums::Whole(v.iter().map(|v| u32::from(*v)).collect()),
            Samples::U16(v) => Sums::Whole(v.iter().map(|v| u32::from(*v)).collect()),
            Samples::F32(v) => Sums::Real(v.iter().map(|v| f64::from(*v)).collect()),
        };
        Self::Mean { sums: planes.iter().map(sums).collect(), first: planes, count: 1 }
    }

    /// # Errors
    /// Planes of another size or depth than the first ones.
    pub fn add(&mut self, name: &str, planes: &[Plane]) -> Result<()> {
        let differ = || Error::image(name, "the planes of the stack differ in size or bit depth");
        match self {
            Self::Max(most) => {
                for (most, plane) in most.iter_mut().zip(planes) {
                    match (&mut most.samples, &plane.samples) {
                        (Samples::U8(a), Samples::U8(b)) => a.iter_mut().zip(b).for_each(|(a, b)| *a = (*a).max(*b)),
                        (Samples::U16(a), Samples::U16(b)) => a.iter_mut().zip(b).for_each(|(a, b)| *a = (*a).max(*b)),
                        // As numpy's: where one sample is NaN, so is the maximum.
                        (Samples::F32(a), Samples::F32(b)) => a.iter_mut().zip(b).for_each(|(a, b)| {
                            if *b > *a || b.is_nan() {
                                *a = *b;
                            }
                        }),
                        _ => return Err(differ()),
                    }
                }
            }
            Self::Mean { sums, count, .. } => {
                *count += 1;
                for (sums, plane) in sums.iter_mut().zip(planes) {
                    match (sums, &plane.samples) {
                        (Sums::Whole(a), Samples::U8(b)) => a.iter_mut().zip(b).for_each(|(a, b)| *a += u32::from(*b)),
                        (Sums::Whole(a), Samples::U16(b)) => a.iter_mut().zip(b).for_each(|(a, b)| *a += u32::from(*b)),
                        (Sums::Real(a), Samples::F32(b)) => a.iter_mut().zip(b).for_each(|(a, b)| *a += f64::from(*b)),
                        _ => return Err(differ()),
                    }
                }
            }
        }
        Ok(())
    }

    pub fn finish(self) -> Vec<Plane> {
        match self {
            Self::Max(planes) => planes,
            Self::Mean { mut first, sums, count } => {
                for (plane, sums) in first.iter_mut().zip(sums) {
                    let rounded = |sum: &u32| (sum + count / 2) / count;
                    match (&mut plane.samples, sums) {
                        (Samples::U8(v), Sums::Whole(sums)) => {
                            v.iter_mut().zip(&sums).for_each(|(v, sum)| *v = rounded(sum) as u8);
                        }
                        (Samples::U16(v), Sums::Whole(sums)) => {
                            v.iter_mut().zip(&sums).for_each(|(v, sum)| *v = rounded(sum) as u16);
                        }
                        (Samples::F32(v), Sums::Real(sums)) => {
                            v.iter_mut().zip(&sums).for_each(|(v, sum)| *v = (sum / f64::from(count)) as f32);
                        }
                        _ => {}
                    }
                }
                first
            }
        }
    }
}

/// How sharp each channel of each step is.
#[derive(Debug, Clone, Default)]
pub(super) struct Focus {
    steps: Vec<Vec<f64>>,
}

impl Focus {
    /// Adds to the sharpness of a step: of another part of its image, or of other channels.
    pub fn add(&mut self, step: usize, channel: usize, plane: &Plane) {
        if self.steps.len() <= step {
            self.steps.resize_with(step + 1, Vec::new);
        }
        let channels = &mut self.steps[step];
        if channels.len() <= channel {
            channels.resize(channel + 1, 0.0);
        }
        channels[channel] += sharpness(plane);
    }

    /// Adds the channels of another file of the same stack.
    pub fn append(&mut self, other: Self) {
        self.steps.resize_with(self.steps.len().max(other.steps.len()), Vec::new);
        self.steps.iter_mut().zip(other.steps).for_each(|(ours, mut theirs)| ours.append(&mut theirs));
    }

    /// The sharpest step; the first of several that are alike.
    pub fn sharpest(&self) -> usize {
        let channels = self.steps.iter().map(Vec::len).max().unwrap_or(0);
        let of = |step: &[f64], channel: usize| step.get(channel).copied().unwrap_or(0.0);
        let most: Vec<f64> =
            (0..channels).map(|channel| self.steps.iter().map(|step| of(step, channel)).fold(0.0, f64::max)).collect();
        let whole =
            |step: &Vec<f64>| -> f64 { (0..channels).filter(|c| most[*c] > 0.0).map(|c| of(step, c) / most[c]).sum() };
        let scores: Vec<f64> = self.steps.iter().map(whole).collect();
        (1..scores.len()).fold(0, |best, step| if scores[step] > scores[best] { step } else { best })
    }
}

/// Vollath's F4: the sum of products of neighbours in a row less that of those one further apart. Fine structure raises it,
/// and noise, which no neighbour shares, does not (Vollath 1987; Santos et al. 1997 found it best for fluorescence).
fn sharpness(plane: &Plane) -> f64 {
    fn of<T: Copy + Into<f64>>(samples: &[T], width: usize) -> f64 {
        let finite = |v: T| {
            let v: f64 = v.into();
            if v.is_finite() { v } else { 0.0 }
        };
        let mut sum = 0.0;
        for row in samples.chunks_exact(width.max(1)) {
            for three in row.windows(3) {
                let [a, b, c] = [three[0], three[1], three[2]].map(finite);
                sum += a * (b - c);
            }
        }
        sum
    }
    let width = plane.width as usize;
    match &plane.samples {
        Samples::U8(v) => of(v, width),
        Samples::U16(v) => of(v, width),
        Samples::F32(v) => of(v, width),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn planes(samples: Samples) -> Vec<Plane> {
        vec![Plane { width: samples.len() as u32, height: 1, samples }]
    }

    fn folded(projection: Projection, steps: Vec<Samples>) -> Samples {
        let mut steps = steps.into_iter().map(planes);
        let mut fold = Fold::new(projection, steps.next().unwrap());
        steps.for_each(|planes| fold.add("a", &planes).unwrap());
        fold.finish().remove(0).samples
    }

    #[test]
    fn maximum_and_mean_are_those_of_numpy() {
        let u8s = || vec![Samples::U8(vec![0, 9, 255]), Samples::U8(vec![1, 7, 255]), Samples::U8(vec![0, 9, 255])];
        assert_eq!(folded(Projection::Max, u8s()), Samples::U8(vec![1, 9, 255]));
        assert_eq!(folded(Projection::Mean, u8s()), Samples::U8(vec![0, 8, 255]));
        let u16s = || vec![Samples::U16(vec![65_535, 3]), Samples::U16(vec![65_535, 4])];
        assert_eq!(folded(Projection::Mean, u16s()), Samples::U16(vec![65_535, 4]));
        let reals = || vec![Samples::F32(vec![-2.0, f32::NAN]), Samples::F32(vec![-1.0, 4.0])];
        let Samples::F32(most) = folded(Projection::Max, reals()) else { panic!() };
        assert!(most[0] == -1.0 && most[1].is_nan());
        let Samples::F32(mean) = folded(Projection::Mean, reals()) else { panic!() };
        assert!(mean[0] == -1.5 && mean[1].is_nan());
        assert!(
            Fold::new(Projection::Max, planes(Samples::U8(vec![1]))).add("a", &planes(Samples::U16(vec![1]))).is_err()
        );
    }

    #[test]
    fn the_slice_in_focus_is_found_beside_noise_and_whatever_the_brightness_of_a_channel() {
        let wave = |blur: f32| (0..4000).map(|i| 100.0 + 50.0 / blur * (i as f32 / 3.0).sin()).collect::<Vec<f32>>();
        let noise: Vec<f32> = (0..4000u32).map(|i| 100.0 + (i.wrapping_mul(2_654_435_761) >> 24) as f32).collect();
        let mut focus = Focus::default();
        for (step, samples) in
            [wave(4.0), wave(1.0), noise.iter().map(|v| v / 8.0).collect(), wave(2.0)].into_iter().enumerate()
        {
            let bright = samples.iter().map(|v| v * 40.0).collect();
            focus.add(step, 0, &planes(Samples::F32(samples))[0]);
            focus.add(step, 1, &planes(Samples::F32(bright))[0]);
        }
        assert_eq!(focus.sharpest(), 1);
        assert_eq!(Focus::default().sharpest(), 0);
    }
}
