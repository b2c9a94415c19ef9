//! Benchmarks the kernels in a browser against other frameworks.

use anyhow::Result;
use clap::Args;

use crate::install::{self, Installer, Need};
use crate::page::{self, BuildOptions};
use crate::stream;
use crate::workspace::Workspace;

/// What is left out has its default in tests/bench/run.mjs.
#[derive(Args, Debug, Default, PartialEq)]
pub struct BenchOptions {
    /// Side of the image for the convolutions, in pixels.
    #[arg(long, value_name = "N")]
    pub side: Option<u32>,
    /// Side of the image for the whole model, in pixels.
    #[arg(long, value_name = "N")]
    pub model_side: Option<u32>,
    /// Measurements of each kernel.
    #[arg(long, value_name = "N")]
    pub rounds: Option<u32>,
    /// Seconds per measurement.
    #[arg(long, value_name = "S")]
    pub seconds: Option<f64>,
}

impl BenchOptions {
    /// As tests/bench/run.mjs reads them.
    fn words(&self) -> Vec<String> {
        let number = |n: Option<u32>| n.map(|n| n.to_string());
        let values = [
            ("--side", number(self.side)),
            ("--model-side", number(self.model_side)),
            ("--rounds", number(self.rounds)),
            ("--seconds", self.seconds.map(|s| s.to_string())),
        ];
        values.into_iter().filter_map(|(name, value)| Some([name.to_owned(), value?])).flatten().collect()
    }
}

/// Builds the page and runs tests/bench on it.
pub fn run(workspace: &Workspace, installer: &mut Installer, options: &BenchOptions) -> Result<()> {
    installer.ensure(&[Need::Chromium, Need::Node, Need::Playwright, Need::BenchPeers])?;
    // A report that is wrong should not be found out after a quarter of an hour.
    stream::plain(workspace.command("node").args(["--test", "tests/bench/report.test.mjs"]))?;
    page::build(workspace, installer, &BuildOptions::default())?;
    let mut node = workspace.command("node");
    node.arg("tests/bench/run.mjs").args(options.words());
    node.arg("--out").arg(workspace.target.join("bench/browser.json"));
    if let Some(chromium) = install::chromium(workspace) {
        node.env("CHROME", chromium);
    }
    stream::plain(&mut node)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_passed_on_as_given() {
        assert!(BenchOptions::default().words().is_empty());
        let options = BenchOptions { side: Some(256), model_side: Some(64), rounds: Some(3), seconds: Some(2.5) };
        let expected = ["--side", "256", "--model-side", "64", "--rounds", "3", "--seconds", "2.5"];
        assert_eq!(options.words(), expected);
    }
}
