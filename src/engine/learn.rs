//! Training and evaluation: images are decoded here, everything else is `train`'s and `evaluate`'s.

use super::images::{Opened, Seen, display_name, merged_image_with, survey};
use super::{Engine, Host, model_report};
use crate::{
    annotations::{ImageAnnotations, check, dataset},
    channels::{BitDepth, Merge},
    detections::ImageDetections,
    error::{Error, Result},
    evaluate::{self, Options},
    limits,
    predict::{self, CancelOnly, DetectOptions, Found},
    protocol::{AnnotatedInput, EvaluateOptions, ImageInput, Outcome, Preparation, TrainJob, Trained},
    train::{
        Example, Plan, PreparedDetector, Start, Store, TrainConfig, TrainEvent, Trainer, checkpoint::Checkpoint,
        estimate, resume, setup, setup::Layout,
    },
    weights::{self, Precision},
};

impl Engine {
    /// Plans a training run on these annotations and checks them.
    pub(super) async fn prepare(&self, images: &[ImageAnnotations], plan: &Plan) -> Result<Outcome> {
        let layouts: Vec<Layout> = images.iter().map(Layout::from).collect();
        let base = self.detector.as_ref().map(|d| &d.config);
        let config = plan.detector_config(base, setup::classes(images), &layouts)?;
        let settings = plan.settings(&config, &layouts)?;
        let names: Vec<String> = images.iter().map(|i| i.image.clone()).collect();
        let held = match names.len() < TrainConfig::LEAST_TO_SPLIT {
            true => Vec::new(),
            false => dataset::split(&names, settings.validation_share, settings.seed)?.1,
        };
        let largest = layouts.iter().max_by_key(|l| u64::from(l.width) * u64::from(l.height));
        let side = match largest {
            Some(l) => config.knowing(l.boxes.iter().copied()).input_size([l.height as usize, l.width as usize])?,
            None => [0, 0],
        };
        let active = self.device()?;
        let speed = estimate::measure(&active.device).await?;
        active.check()?;
        let objects = images.iter().flat_map(|i| &i.objects);
        let without_mask = if config.has_mask() { objects.filter(|o| o.mask.is_none()).count() } else { 0 };
        Ok(Outcome::Preparation(Box::new(Preparation {
            estimate: estimate::estimate(&config, &settings, images.len() - held.len(), side, speed),
            anchors: setup::anchors(&layouts, &config)?,
            classes: dataset::class_counts(images),
            findings: check::check(images),
            validation_images: held.into_iter().map(|i| names[i].clone()).collect(),
            without_mask,
            settings,
            config,
        })))
    }

    /// Trains to the end. The detector that was there before stays until the new one is whole, and the checkpoints until
    /// the next training begins: whoever asked may not live to hear the answer.
    pub(super) async fn train<H: Host>(&mut self, job: TrainJob, host: &H) -> Result<Outcome> {
        let TrainJob { name, plan, images, validation, store, resume, known_steps, f16 } = job;
        let mut store = host.store(&store);
        let checkpoint = if resume { store.latest().await? } else { None };
        if resume && checkpoint.is_none() && known_steps > 0 {
            let reason =
                format!("the checkpoint of this run, of step {known_steps} or later, is gone; start a new run");
            return Err(Error::Training(reason));
        }
        let annotations: Vec<ImageAnnotations> = images.iter().map(|i| i.annotations.clone()).collect();
        let earlier = match &checkpoint {
            Some(bytes) => Some(Checkpoint::from_bytes(bytes)?.state),
            None => None,
        };
        let asked = images.first().and_then(|i| i.image.merge.as_ref());
        let resumed = earlier.as_ref().map(|state| resume::settings(&plan, state, asked, &annotations)).transpose()?;
        // Images without weights of their own are merged as the detector that is gone on from knows them.
        let known = match (&earlier, plan.start, &self.detector) {
            (Some(state), ..) => state.detector.merge.clone(),
            (None, Start::Detector { .. }, Some(detector)) => detector.config.merge.clone(),
            _ => None,
        };
        let bit_depth = match (&earlier, plan.start, &self.detector) {
            (Some(state), ..) if state.detector.bit_depth.is_some() => state.detector.bit_depth,
            (None, Start::Detector { .. }, Some(detector)) => depth_of_set(&images, detector.config.bit_depth)?,
            _ => depth_of_set(&images, None)?,
        };
        if let Some(depth) = bit_depth {
            let (white, bits) = (depth.full_scale(), depth.bits());
            let sentence = format!("16-bit images: {white} ({bits} bit) is taken for full brightness in all of them");
            host.event(TrainEvent::Notice { step: 0, sentence });
        }
        let merge = known.or_else(|| images.iter().find_map(|i| i.image.merge.clone()));
        let classes = earlier.as_ref().map_or_else(|| setup::classes(&annotations), |s| s.detector.classes.clone());
        let (given, mut images) = (images.len(), images);
        images.extend(validation);
        let (mut examples, used) =
            read_examples(images, Seen { merge: merge.as_ref(), bit_depth }, &classes, host).await?;
        let validation = examples.split_off(given);
        let layouts: Vec<Layout> = examples.iter().map(Layout::from).collect();
        let base = self.detector.as_ref().map(|d| &d.config);
        let settings = match resumed {
            Some(settings) => settings,
            None => plan.settings(&plan.detector_config(base, classes.clone(), &layouts)?, &layouts)?,
        };
        let (examples, validation) =
            if validation.is_empty() { setup::hold_out(examples, &settings)? } else { (examples, validation) };
        let validation_images = validation.iter().map(|e| e.name.clone()).collect();
        let active = self.device()?;
        let mut trainer = match &checkpoint {
            Some(bytes) => {
                let mut trainer = Trainer::resume(bytes, examples, validation, &active.device)?;
                trainer.extend(settings);
                trainer
            }
            None => {
                if resume {
                    let sentence =
                        "there is no checkpoint to resume from; the run starts from the beginning".to_owned();
                    host.event(TrainEvent::Notice { step: 0, sentence });
                }
                let base = match (plan.start, &self.detector) {
                    (Start::Detector { .. }, Some(detector)) => Some(weights::save(detector, Precision::F32).await?),
                    _ => None,
                };
                let base = base.as_deref().map(|bytes| ("the detector", bytes));
                let seed = settings.seed;
                let PreparedDetector { mut detector, load, .. } =
                    plan.detector(base, classes, used, &examples, seed, &active.device)?;
                for sentence in load.into_iter().flat_map(|load| load.warnings) {
                    host.event(TrainEvent::Notice { step: 0, sentence });
                }
                detector.config.bit_depth = bit_depth;
                let trainer = Trainer::new(settings, detector, examples, validation)?;
                // The checkpoints of the run before go only now that everything is there for another one.
                if let Err(error) = store.clear().await {
                    host.event(TrainEvent::Unsaved { step: 0, sentence: error.to_string() });
                }
                trainer
            }
        };
        let done = trainer.run(&mut store, host).await;
        // A fault of the device explains whatever else went wrong.
        active.check()?;
        let mut finished = done?;
        finished.detector.config.trained = Some(finished.sentence());
        let precision = if f16 { Precision::F16 } else { Precision::F32 };
        let file = weights::save(&finished.detector, precision).await?;
        let (detector, load) = weights::load(&name, &file, &active.device)?;
        active.check()?;
        let report = model_report(&name, &detector, load);
        (self.detector, self.kept) = (Some(detector), None);
        self.untrained = false;
        let (best, steps, seconds) = (finished.best, finished.steps, finished.seconds);
        Ok(Outcome::Trained(Box::new(Trained { report, file, best, steps, seconds, validation_images })))
    }

    /// What the detector finds on annotated images, and how well it agrees.
    pub(super) async fn evaluate(
        &self,
        images: Vec<AnnotatedInput>,
        options: &EvaluateOptions,
        host: &impl Host,
    ) -> Result<Outcome> {
        let active = self.device.as_ref().ok_or_else(|| Error::Usage("no device has been opened yet".into()))?;
        let detector = self.detector()?;
        let EvaluateOptions { measure, score, max_detections, diameter } = *options;
        let wanted = DetectOptions { score: Some(predict::LOWEST_SCORE), diameter, ..DetectOptions::default() };
        let bit_depth = depth_of_set(&images, detector.config.bit_depth)?;
        let total = images.len() as u32;
        let (mut truths, mut found) = (Vec::new(), Vec::new());
        for (i, AnnotatedInput { mut image, annotations }) in images.into_iter().enumerate() {
            host.stage("evaluation", i as u32, total).await?;
            image.bit_depth = bit_depth;
            let Opened { set, merge, merged_image } = merged_image_with(&image, Seen::by(&detector.config))?;
            let detected = predict::detect(detector, &merged_image, &wanted, &CancelOnly(host)).await;
            active.check()?;
            let Found { detections, limit_reached } = detected?;
            found.push(ImageDetections {
                file: display_name(&image),
                image: image.name,
                width: merged_image.width,
                height: merged_image.height,
                detections,
                merge: Some(merge),
                filled: set.filled,
                stack: set.stack,
                limit_reached,
            });
            truths.push(annotations);
            active.device.memory_cleanup();
        }
        let pairs: Vec<_> = truths.iter().zip(&found).collect();
        let options = Options { measure, score, max_detections, ..Options::default() };
        let evaluation = Box::new(evaluate::evaluate(&pairs, &options)?);
        Ok(Outcome::Evaluation { evaluation, detections: found })
    }
}

/// The bit depth of all images: what the caller decided, else the `trained` detector's, else what they ask for together.
fn depth_of_set(images: &[AnnotatedInput], trained: Option<BitDepth>) -> Result<Option<BitDepth>> {
    let decided = images.iter().filter_map(|input| input.image.bit_depth).max().or(trained);
    if decided.is_some() {
        return Ok(decided);
    }
    images.iter().try_fold(None, |most: Option<BitDepth>, input| Ok(most.max(survey(&input.image)?)))
}

/// Decodes the images; the second value is how the channels of the first were merged.
///
/// # Errors
/// Everything that is wrong with any of them, so that nobody has to mend one after the other.
async fn read_examples(
    images: Vec<AnnotatedInput>,
    seen: Seen<'_>,
    classes: &[String],
    host: &impl Host,
) -> Result<(Vec<Example>, Option<Merge>)> {
    let total = images.len() as u32;
    let (mut examples, mut used, mut bytes, mut faults) = (Vec::new(), None, 0u64, Vec::new());
    for (i, AnnotatedInput { mut image, annotations }) in images.into_iter().enumerate() {
        host.stage("reading images", i as u32, total).await?;
        image.bit_depth = seen.bit_depth;
        let (example, merge) = match read_example(&image, &annotations, seen, classes) {
            Ok(read) => read,
            Err(error) => {
                faults.push(error);
                continue;
            }
        };
        // A program of its own has all the memory of the machine.
        if cfg!(target_arch = "wasm32") {
            bytes += size_of_val(example.merged_image.rgb.as_slice()) as u64;
            limits::check(&image.name, "all training images together, in bytes", bytes, limits::TRAINING_BYTES)?;
        }
        used.get_or_insert(merge);
        examples.push(example);
    }
    match faults.len() {
        0 => Ok((examples, used)),
        1 => Err(faults.swap_remove(0)),
        n => {
            let lines: Vec<String> = faults.iter().map(|fault| format!("\n  {fault}")).collect();
            Err(Error::Training(format!("{n} images cannot be used:{}", lines.concat())))
        }
    }
}

fn read_example(
    image: &ImageInput,
    annotations: &ImageAnnotations,
    seen: Seen,
    classes: &[String],
) -> Result<(Example, Merge)> {
    let Opened { merge, merged_image, .. } = merged_image_with(image, seen)?;
    let (width, height) = (annotations.width, annotations.height);
    if (width, height) != (merged_image.width, merged_image.height) {
        let size = format!(
            "{} × {} pixels, but its boxes are for {width} × {height}",
            merged_image.width, merged_image.height
        );
        return Err(Error::Training(format!("{} has {size}", image.name)));
    }
    Ok((Example::new(merged_image, annotations, classes)?, merge))
}
