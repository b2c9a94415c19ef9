//! What a run that is resumed may change, and what it has to keep.

use serde_json::{Map, Value};

use super::checkpoint::State;
use super::config::TrainConfig;
use super::plan::{Plan, Start};
use super::setup::ShapeOptions;
use crate::annotations::ImageAnnotations;
use crate::channels::Merge;
use crate::error::{Error, Result};
use crate::model::DetectorConfig;

/// Settings that may change between two steps: they say how long the run is, how large the steps are, and how often it is
/// measured and saved.
const FREE: [&str; 3] = ["budget", "validate_every", "checkpoint_seconds"];

/// The settings that a run continues with: the checkpoint's, with the budget, the learning rate and the intervals that the
/// plan names. `merge` are the weights that the first image asks for itself.
///
/// # Errors
/// Everything else that the plan names and the checkpoint has otherwise, all of it by name; labels without a class.
pub fn settings(
    plan: &Plan,
    state: &State,
    merge: Option<&Merge>,
    annotations: &[ImageAnnotations],
) -> Result<TrainConfig> {
    let wanted = plan.overrides.apply(plan.settings.clone().unwrap_or_else(|| state.train.clone()))?;
    let mut differing = Vec::new();
    compare_settings(&wanted, &state.train, &mut differing)?;
    compare_detector(plan, &state.detector, &mut differing)?;
    if merge.is_some() && merge != state.detector.merge.as_ref() {
        differing.push("merge, the weights of the channels".to_owned());
    }
    if !differing.is_empty() {
        let list = differing.join("; ");
        let way_out = "leave these settings as they were, or start a new run";
        return Err(Error::Training(format!("a resumed run cannot change {list}; {way_out}")));
    }
    let classes: Vec<&str> = state.detector.classes.iter().skip(1).map(String::as_str).collect();
    let mut labels = annotations.iter().flat_map(|a| &a.objects).map(|o| o.label.as_str());
    if let Some(label) = labels.find(|label| !classes.contains(label)) {
        let known = classes.join(", ");
        let reason = format!("the annotations have the class {label}, but the run to be resumed has {known}");
        return Err(Error::Training(format!("{reason}; start a new run to add a class")));
    }
    Ok(wanted)
}

fn keys(value: impl serde::Serialize) -> Result<Map<String, Value>> {
    let broken = |e: serde_json::Error| Error::Config(e.to_string());
    serde_json::from_value(serde_json::to_value(value).map_err(broken)?).map_err(broken)
}

fn compare_settings(wanted: &TrainConfig, has: &TrainConfig, differing: &mut Vec<String>) -> Result<()> {
    let mut same_rate = wanted.clone();
    same_rate.schedule.base = has.schedule.base;
    let has = keys(has)?;
    for (key, value) in keys(same_rate)? {
        let before = has.get(&key).unwrap_or(&Value::Null);
        if !FREE.contains(&key.as_str()) && *before != value {
            differing.push(format!("{key} from {before} to {value}"));
        }
    }
    Ok(())
}

fn compare_detector(plan: &Plan, has: &DetectorConfig, differing: &mut Vec<String>) -> Result<()> {
    let shape = match plan.start {
        Start::Scratch { shape } => shape,
        // What else there is of its shape is the base's, which was read when the run started.
        Start::Detector { architecture, .. } => ShapeOptions { architecture, ..ShapeOptions::default() },
    };
    let mut wanted = has.with(&plan.detector)?;
    wanted.architecture = shape.architecture.unwrap_or(wanted.architecture);
    wanted.backbone = shape.backbone.unwrap_or(wanted.backbone);
    wanted.fpn_channels = shape.fpn_channels().unwrap_or(wanted.fpn_channels);
    wanted.representation_size = shape.representation().unwrap_or(wanted.representation_size);
    if let Some(anchors) = plan.anchors.clone() {
        anchors.put_into(&mut wanted);
    }
    let has = keys(has)?;
    for (key, value) in keys(wanted)? {
        let before = has.get(&key).unwrap_or(&Value::Null);
        if *before != value {
            differing.push(format!("{key} from {before} to {value}"));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::channels::Channel;
    use crate::model::{Architecture, Backbone};
    use crate::train::checkpoint::VERSION;
    use crate::train::config::Budget;
    use crate::train::plan::Overrides;
    use crate::train::rng::TrainRng;
    use crate::train::sampler::EpochSampler;

    fn state() -> State {
        let classes = ["__background__", "cell"].map(str::to_owned).to_vec();
        let detector = DetectorConfig { backbone: Backbone::ResNet18, classes, ..DetectorConfig::default() };
        let json = serde_json::json!({
            "version": VERSION, "detector": detector, "train": TrainConfig::fine_tune(), "images": ["a"], "step": 7,
            "optimizer_steps": 7, "seconds": 1.0, "folded": true, "folded_at": 0, "rng": TrainRng::new(3),
            "sampler": EpochSampler::new(5), "best": null, "validated": 2,
        });
        serde_json::from_value(json).unwrap()
    }

    fn plan(overrides: Overrides) -> Plan {
        let start = Start::Scratch { shape: ShapeOptions::default() };
        Plan { start, settings: None, overrides, anchors: None, detector: Map::new() }
    }

    #[test]
    fn options_not_given_come_from_the_checkpoint() {
        assert_eq!(settings(&plan(Overrides::default()), &state(), None, &[]).unwrap(), state().train);
    }

    #[test]
    fn budget_and_rate_are_applied() {
        let overrides = Overrides { budget: Some(Budget::Epochs(99)), rate: Some(0.5), ..Overrides::default() };
        let found = settings(&plan(overrides), &state(), None, &[]).unwrap();
        assert_eq!((found.budget, found.schedule.base), (Budget::Epochs(99), 0.5));
        assert_eq!(found.batch_size, state().train.batch_size);
    }

    #[test]
    fn everything_else_is_refused_by_name_at_once() {
        let recipe = TrainConfig { ema_decay: 0.5, ..TrainConfig::fine_tune() };
        let shape = ShapeOptions {
            architecture: Some(Architecture::FasterRcnn),
            backbone: Some(Backbone::ResNet50),
            ..ShapeOptions::default()
        };
        let overrides = Overrides { batch_size: Some(9), seed: Some(8), ..Overrides::default() };
        let plan = Plan { start: Start::Scratch { shape }, settings: Some(recipe), ..plan(overrides) };
        let sentence = settings(&plan, &state(), None, &[]).unwrap_err().to_string();
        for named in ["batch_size from 4 to 9", "seed", "ema_decay", "architecture", "\"resnet18\" to \"resnet50\""] {
            assert!(sentence.contains(named), "{named}: {sentence}");
        }
        assert!(!sentence.contains("fpn_channels") && !sentence.contains("budget"), "{sentence}");
    }

    #[test]
    fn channels_are_weighed_as_before() {
        let [hpa, grey] = [&Channel::HPA[..], &[Channel::Grey]].map(Merge::for_channels);
        let mut state = state();
        state.detector.merge = Some(hpa.clone());
        let refused = |merge| settings(&plan(Overrides::default()), &state, Some(merge), &[]).is_err();
        assert_eq!((refused(&hpa), refused(&grey)), (false, true));
    }

    #[test]
    fn a_label_that_the_run_does_not_know_is_named() {
        let object = r#"{"box": [0, 0, 5, 5], "label": "nucleus"}"#;
        let image = format!(r#"{{"image": "a", "width": 9, "height": 9, "objects": [{object}]}}"#);
        let annotations = [serde_json::from_str(&image).unwrap()];
        let refused = settings(&plan(Overrides::default()), &state(), None, &annotations).unwrap_err().to_string();
        assert!(refused.contains("the class nucleus") && refused.contains("has cell"), "{refused}");
    }
}
