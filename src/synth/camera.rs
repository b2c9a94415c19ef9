//! The microscope: background, focus, gain, noise, and quantisation to 8 or 16 bit.

use super::field::Field;
use super::rng::SynthRng;
use super::scene::Scene;

/// How one channel of one image is recorded.
pub(super) struct Exposure {
    /// The quantile of the pixels that is mapped to `level`.
    pub quantile: f32,
    /// Brightness at this quantile, as a fraction of full scale.
    pub level: f32,
    /// Standard deviation of the blur, in pixels.
    pub blur: f32,
    /// Fraction of out-of-focus light, spread over `haze_radius` pixels.
    pub haze: f32,
    pub haze_radius: f32,
    /// Uniform background, as a fraction of full scale.
    pub background: f32,
    /// Photons per pixel at full scale: the fewer, the more noise.
    pub photons: f32,
}

/// One channel of the canvas as recorded by the camera, cropped to the image: values from 0 to `full_scale`.
pub(super) fn record(
    scene: &Scene,
    mut field: Field,
    exposure: &Exposure,
    full_scale: u16,
    rng: &mut SynthRng,
) -> Vec<u16> {
    field.blur(exposure.blur);
    if exposure.haze > 0.0 {
        let mut haze = field.clone();
        haze.blur(exposure.haze_radius);
        for (v, h) in field.data.iter_mut().zip(&haze.data) {
            *v += exposure.haze * (h - *v);
        }
    }
    let top = field.quantile(exposure.quantile);
    let gain = if top > 0.0 { exposure.level / top } else { 0.0 };
    let margin = scene.margin;
    let mut samples = Vec::with_capacity((scene.width - 2 * margin) * (scene.height - 2 * margin));
    for row in field.data.chunks(scene.width).take(scene.height - margin).skip(margin) {
        for &v in &row[margin..scene.width - margin] {
            let light = v.max(0.0) * gain + exposure.background;
            let noisy = rng.poisson(light * exposure.photons) / exposure.photons;
            // Gain variation smooths the steps between whole photons.
            let value = noisy * (1.0 + 0.05 * rng.normal());
            samples.push((value.clamp(0.0, 1.0) * f32::from(full_scale) + 0.5) as u16);
        }
    }
    samples
}
