//! `cytobox convert` and `cytobox info`.

use std::path::Path;

use cytobox::{
    files,
    model::Architecture,
    weights::{self, LoadReport, ModelInfo},
};

use crate::output::say;

pub fn convert(input: &Path, output: &Path) -> anyhow::Result<()> {
    let report = weights::convert(input, output)?;
    print_report(&report);
    Ok(())
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
    say!("{parameters} values in {tensors} tensors ({})", dtypes.join(", "));
    say!("classes: {}", config.classes.iter().skip(1).cloned().collect::<Vec<_>>().join(", "));
    say!("input size: shorter side {}, longer side at most {}", config.min_size, config.max_size);
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
