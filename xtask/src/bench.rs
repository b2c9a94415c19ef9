//! Benchmarks the kernels in a browser against other frameworks.

use anyhow::Result;

use crate::cli::BuildOptions;
use crate::install::{self, Installer, Need};
use crate::page;
use crate::stream;
use crate::workspace::Workspace;

/// Builds the page and runs tests/bench on it.
pub fn run(workspace: &Workspace, installer: &mut Installer, options: &[String]) -> Result<()> {
    installer.ensure(&[Need::Chromium, Need::Node, Need::Playwright, Need::BenchPeers])?;
    // A report that is wrong should not be found out after a quarter of an hour.
    stream::plain(workspace.command("node").args(["--test", "tests/bench/report.test.mjs"]))?;
    page::build(workspace, installer, &BuildOptions::default())?;
    let mut node = workspace.command("node");
    node.arg("tests/bench/run.mjs").args(options);
    node.arg("--out").arg(workspace.target.join("bench/browser.json"));
    if let Some(chromium) = install::chromium(workspace) {
        node.env("CHROME", chromium);
    }
    stream::plain(&mut node)
}
