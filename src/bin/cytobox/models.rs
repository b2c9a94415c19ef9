//! `cytobox convert` and `cytobox info`.

use std::path::Path;

use cytobox::{
    files,
    model::{Architecture, Dialect, IntensityRange, Scale, config::Changes},
    weights::{self, LoadReport, ModelInfo},
};

use crate::output::say;

pub fn convert(input: &Path, output: &Path, changes: &Changes) -> anyhow::Result<()> {
    let report = weights::convert(input, output, changes)?;
    print_report(&report);
    Ok(())
}

/// What `--detector` says.
pub fn changes(text: &str) -> Result<Changes, String> {
    serde_json::from_str(text).map_err(|e| e.to_string())
}

fn print_report(report: &LoadReport) {
    say!("{}", report.summary());
    for (what, names) in [("missing", &report.missing), ("unexpected", &report.unexpected)] {
        names.iter().for_each(|name| say!("  {what}: {name}"));
    }
    report.warnings.iter().for_each(|warning| say!("  {warning}"));
}

pub fn info(file: &Path) -> anyhow::Result<()> {
    let bytes = files::read_detector(file)?;
    let ModelInfo { config, has_config, parameters, tensors, dtypes, warnings } =
        weights::describe(&file.display().to_string(), &bytes)?;
    let architecture = match config.architecture {
        Architecture::MaskRcnn => "Mask R-CNN",
        Architecture::FasterRcnn => "Faster R-CNN",
    };
    say!("{architecture}, {}-FPN with {} channels", config.backbone, config.fpn_channels);
    if config.dialect != Dialect::Torchvision {
        say!("conventions: {}", config.dialect);
    }
    say!("{parameters} values in {tensors} tensors ({})", dtypes.join(", "));
    say!("classes: {}", config.classes.iter().skip(1).cloned().collect::<Vec<_>>().join(", "));
    let size = format!("shorter side {}, longer side at most {}", config.min_size, config.max_size);
    match config.scale {
        Scale::Size => say!("input size: {size}"),
        Scale::Fixed(scale) => say!("input size: {scale} pixels for each of the image"),
        Scale::Cells => say!("input size: by the cells, which are measured at: {size}"),
    }
    if let Some(diameter) = config.cell_diameter {
        say!("cell diameter: {diameter} pixels of the input");
    }
    if let IntensityRange::Percentiles { low, high } = config.intensity {
        say!("intensity: each image is stretched between its percentiles {low} and {high}");
    }
    for (class, score) in &config.class_score_thresh {
        say!("score threshold of {class}: {score}");
    }
    if let Some(trained) = &config.trained {
        say!("trained: {trained}");
    }
    if !has_config {
        say!("the file has no configuration; it was inferred from the shapes of the tensors");
    }
    warnings.iter().for_each(|warning| say!("{warning}"));
    say!("{}", config.to_json()?);
    Ok(())
}
