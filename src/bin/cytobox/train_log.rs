//! What `cytobox train` shows and keeps of a run.

use std::{
    fs::{File, OpenOptions},
    io::Write,
    path::Path,
    sync::Mutex,
};

use anyhow::Context;
use cytobox::{
    engine::Host,
    observe::Observer,
    train::{FolderStore, TrainEvent, TrainObserver},
};
use indicatif::{ProgressBar, ProgressStyle};

/// Shows a bar, prints what matters, and writes every event as a line of JSON.
pub struct Log {
    bar: ProgressBar,
    file: Mutex<File>,
}

impl Log {
    pub fn new(log: &Path, append: bool) -> anyhow::Result<Self> {
        let bar = ProgressBar::new(1000);
        if let Ok(style) = ProgressStyle::with_template("{bar:30} {msg}") {
            bar.set_style(style);
        }
        if let Some(folder) = log.parent() {
            std::fs::create_dir_all(folder)?;
        }
        let mut options = OpenOptions::new();
        options.create(true).write(true);
        if append {
            options.append(true)
        } else {
            options.truncate(true)
        };
        let log = options.open(log).with_context(|| log.display().to_string())?;
        Ok(Self { bar, file: Mutex::new(log) })
    }

    /// Takes the bar away.
    pub fn close(&self) {
        self.bar.finish_and_clear();
    }

    fn say(&self, text: &str) {
        self.bar.suspend(|| eprintln!("{text}"));
    }
}

impl Observer for Log {}

impl Host for Log {
    type Store = FolderStore;

    /// The name is the folder.
    fn store(&self, name: &str) -> FolderStore {
        FolderStore::new(Path::new(name))
    }
}

impl TrainObserver for Log {
    fn event(&self, event: TrainEvent) {
        if let (Ok(line), Ok(mut log)) = (serde_json::to_string(&event), self.file.lock()) {
            // A full disk must not end a training run whose checkpoints it would end by itself.
            let _ = writeln!(log, "{line}");
        }
        match event {
            TrainEvent::Started { images, validation_images, steps, from_step } => {
                if from_step > 0 {
                    self.say(&format!("going on after step {from_step}"));
                }
                let steps = steps.map_or_else(|| "until the time is over".to_owned(), |n| format!("{n} steps"));
                self.say(&format!("{images} images to train on, {validation_images} to validate with, {steps}"));
            }
            TrainEvent::Step { step, epoch, losses, total, images_per_second, progress, seconds_left, .. } => {
                let named: Vec<String> = losses.named().iter().map(|(n, v)| format!("{} {v:.3}", short(n))).collect();
                let left = format!("{:.0} min left", seconds_left / 60.0);
                let rate = format!("{images_per_second:.2} images/s");
                let text =
                    format!("step {step}, epoch {epoch:.1}: loss {total:.3} ({}), {rate}, {left}", named.join(", "));
                self.bar.set_position((1000.0 * progress) as u64);
                self.bar.set_message(text.clone());
                if self.bar.is_hidden() && step % 20 == 0 {
                    eprintln!("{text}");
                }
            }
            TrainEvent::Notice { sentence, .. }
            | TrainEvent::Skipped { sentence, .. }
            | TrainEvent::Unsaved { sentence, .. } => self.say(&sentence),
            TrainEvent::Folded { step } => self.say(&format!("step {step}: the batch norms are folded")),
            TrainEvent::Validation(v) => {
                let classes: Vec<String> = v.per_class.iter().map(|(name, ap)| format!("{name} {ap:.3}")).collect();
                let best = if v.best { ", the best so far" } else { "" };
                let (ap, all, any) = (v.map_50, v.map_50_95, v.class_agnostic_50);
                let text = format!("AP50 {ap:.3} ({}), AP50:95 {all:.3}, class-agnostic {any:.3}", classes.join(", "));
                self.say(&format!("epoch {:.0}: {text}{best}", v.epoch));
            }
            TrainEvent::Checkpoint { .. } => {}
        }
    }
}

/// `loss_box_reg` → `box_reg`
fn short(name: &str) -> &str {
    name.strip_prefix("loss_").unwrap_or(name)
}
