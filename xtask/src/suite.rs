//! The test suite: its steps in execution order, and the summary.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use clap::{Args, ValueEnum};

use crate::install::{self, Installer, Need};
use crate::page::{self, BuildOptions};
use crate::pins::WASM_TARGET;
use crate::stream::{self, Finished};
use crate::tally::{Tally, could_run};
use crate::workspace::Workspace;

/// One part of the suite; quick checks come first.
#[derive(ValueEnum, Clone, Copy, Debug, PartialEq)]
pub enum Step {
    /// Formatting.
    Fmt,
    /// Lints, warnings denied, natively and for wasm32.
    Clippy,
    /// The page's scripts without a browser: types, eslint, prettier and unit tests.
    Page,
    /// Golden values, made with torchvision and compared with the committed ones.
    Golden,
    /// Unit and integration tests, on the CPU and on the Vulkan adapter.
    Native,
    /// The workflows: with Snakemake, on this machine and on a one-node Slurm.
    Workflows,
    /// The tests in tests/browser.rs, in headless Chromium on WebGPU.
    Wasm,
    /// The built page in Chromium.
    E2e,
}

/// The steps to run, in the suite's order.
#[derive(Args, Debug, Default, PartialEq)]
pub struct Choice {
    /// Run only these steps.
    #[arg(long, value_enum, value_name = "STEP,...", value_delimiter = ',')]
    pub only: Vec<Step>,
    /// Leave these steps out.
    #[arg(long, value_enum, value_name = "STEP,...", value_delimiter = ',', hide_possible_values = true)]
    pub skip: Vec<Step>,
}

impl Choice {
    /// Those in `only` (all when empty) without those in `skip`; an error when none is left.
    pub fn steps(&self) -> Result<Vec<Step>> {
        let chosen = |step: &Step| (self.only.is_empty() || self.only.contains(step)) && !self.skip.contains(step);
        let steps: Vec<Step> = Step::value_variants().iter().copied().filter(chosen).collect();
        if steps.is_empty() { bail!("no step is left to run") } else { Ok(steps) }
    }
}

/// What `cargo xtask check` runs.
pub const QUICK: [Step; 3] = [Step::Fmt, Step::Clippy, Step::Page];

/// What wasm-bindgen's runner waits for, in seconds, unless the caller sets it: all browser tests together (the software
/// adapter is slow), and the driver's start (on a machine that is still building something).
const BROWSER_LIMITS: [(&str, &str); 2] =
    [("WASM_BINDGEN_TEST_TIMEOUT", "1800"), ("WASM_BINDGEN_TEST_DRIVER_TIMEOUT", "60")];

impl Step {
    /// As on the command line.
    fn name(self) -> String {
        self.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default()
    }

    fn needs(self) -> Vec<Need> {
        match self {
            Step::Fmt => vec![],
            Step::Clippy => vec![Need::WasmTarget],
            Step::Page => vec![Need::Node, Need::PageTools],
            Step::Golden => vec![Need::Python],
            Step::Native => vec![Need::Vulkan, Need::Python],
            Step::Workflows => vec![Need::Node, Need::Snakemake, Need::Slurm],
            Step::Wasm => vec![Need::WasmTarget, Need::WasmBindgen, Need::WasmPack, Need::Chromium, Need::Chromedriver],
            Step::E2e => {
                [page::NEEDS.as_slice(), &[Need::Chromium, Need::Node, Need::Playwright, Need::Python]].concat()
            }
        }
    }
}

/// The outcome of one step.
struct Report {
    step: Step,
    time: Duration,
    tally: Tally,
    closing: Vec<String>,
    problem: Option<String>,
    /// Continuous integration has the data: a test that is left out is a failure.
    all_must_run: bool,
}

/// Whether this is continuous integration, as the usual services say it.
fn is_integration() -> bool {
    std::env::var_os("CI").is_some_and(|ci| !ci.is_empty() && ci != "false")
}

/// Runs the steps in order, even if earlier ones fail, and prints the summary. Returns `false` if a step failed or could not run.
pub fn run(workspace: &Workspace, installer: &mut Installer, steps: &[Step]) -> Result<bool> {
    if let Some(data) = &workspace.data {
        println!("real data: {}", data.display());
    } else {
        println!("real data: none; tests on it are skipped (set CYTOBOX_DATA to its folder)");
    }
    let all_must_run = is_integration() && workspace.data.is_some();
    let mut reports = Vec::new();
    for &step in steps {
        println!("\n== {} ==", step.name());
        let start = Instant::now();
        let mut report = Report::new(step, all_must_run);
        if let Err(error) = installer.ensure(&step.needs()).and_then(|()| perform(workspace, installer, &mut report)) {
            report.problem = Some(format!("{error:#}"));
        }
        report.time = start.elapsed();
        if let Some(problem) = &report.problem {
            println!("\n{}: {problem}", step.name());
        }
        reports.push(report);
    }
    Ok(summarise(&reports))
}

fn perform(workspace: &Workspace, installer: &mut Installer, report: &mut Report) -> Result<()> {
    match report.step {
        Step::Fmt => report.check(workspace.command("cargo").args(["fmt", "--all", "--check"])),
        Step::Clippy => {
            let mut native = workspace.command("cargo");
            native.args(["clippy", "--release", "--locked", "--workspace", "--all-targets", "--", "-D", "warnings"]);
            report.check(&mut native)?;
            let mut wasm = workspace.command("cargo");
            wasm.args(["clippy", "--release", "--locked", "--package", "cytobox", "--target", WASM_TARGET]);
            report.check(wasm.args(["--all-targets", "--", "-D", "warnings"]))
        }
        Step::Page => {
            let tool = |script: &str, args: &[&str]| {
                let mut node = workspace.command("node");
                node.arg(workspace.root.join("tests/page/node_modules").join(script)).args(args);
                node
            };
            report.check(&mut tool("typescript/bin/tsc", &["--project", "tests/page/tsconfig.json"]))?;
            let config = ["--config", "tests/page/eslint.config.mjs", "--max-warnings", "0", "www/js", "tests/page"];
            report.check(&mut tool("eslint/bin/eslint.js", &config))?;
            let config = ["--config", "tests/page/prettier.config.mjs", "--check", "www/js", "tests/page"];
            report.check(&mut tool("prettier/bin/prettier.cjs", &config))?;
            let mut node = workspace.command("node");
            node.args(["--test", "--test-reporter=spec"]);
            report.tests(node.args(files_ending(&workspace.root.join("tests/page"), ".test.mjs")?))
        }
        Step::Golden => {
            let python = python(installer)?;
            let scripts = files_ending(&workspace.root.join("tests/golden"), ".py")?;
            for script in &scripts {
                report.check(workspace.command(&python.to_string_lossy()).arg(script))?;
            }
            Ok(())
        }
        Step::Native => {
            let mut cargo = workspace.command("cargo");
            cargo.args(["test", "--release", "--locked", "--workspace", "--no-fail-fast"]);
            // The tests run torchvision themselves.
            report.tests(cargo.env("PYTHON", python(installer)?))
        }
        Step::Workflows => {
            build_program(workspace)?;
            let snakemake = workspace.snakemake_environment().join("bin");
            let snakefile = "workflows/snakemake/Snakefile";
            let mut format = workspace.command(&snakemake.join("snakefmt").to_string_lossy());
            report.check(format.args(["--check", "--line-length", "128", snakefile]))?;
            let mut node = workspace.command("node");
            node.args(["--test", "--test-concurrency=1", "--test-reporter=spec"])
                .args(files_ending(&workspace.root.join("tests/workflows"), ".test.mjs")?);
            node.env("CYTOBOX_PROGRAM", workspace.program()).env("SNAKEMAKE", snakemake.join("snakemake"));
            report.tests(&mut node)
        }
        Step::Wasm => {
            let driver = install::chromedriver(workspace).context("the chromedriver that was found is gone")?;
            let mut wasm_pack = workspace.command("wasm-pack");
            wasm_pack.args(["test", "--headless", "--chrome", "--release", "--mode", "no-install", "--chromedriver"]);
            wasm_pack.arg(driver).args(["--", "--locked", "--test", "browser"]);
            wasm_pack.env("WASM_BINDGEN_TEST_WEBDRIVER_JSON", driver_settings(workspace)?);
            for (name, seconds) in BROWSER_LIMITS {
                if std::env::var_os(name).is_none() {
                    wasm_pack.env(name, seconds);
                }
            }
            report.tests(&mut wasm_pack)
        }
        Step::E2e => {
            page::build(workspace, installer, &BuildOptions::default())?;
            build_program(workspace)?;
            let folder = workspace.root.join("tests/e2e");
            let mut node = workspace.command("node");
            node.args(["--test", "--test-force-exit", "--test-concurrency=1", "--test-reporter=spec"])
                .args(files_ending(&folder, ".test.mjs")?)
                // The benchmark itself is none of the suite; what it makes of its figures is.
                .args(files_ending(&workspace.root.join("tests/bench"), ".test.mjs")?);
            // One test compares the page with the command line.
            node.env("CYTOBOX_PROGRAM", workspace.program());
            // Another makes weights files with it.
            node.env("PYTHON", python(installer)?);
            if let Some(chromium) = install::chromium(workspace) {
                node.env("CHROME", chromium);
            }
            report.tests(node.current_dir(&folder))
        }
    }
}

/// The command line, for the tests that run it.
fn build_program(workspace: &Workspace) -> Result<()> {
    let mut cargo = workspace.command("cargo");
    stream::plain(cargo.args(["build", "--release", "--locked", "--package", "cytobox", "--bin", "cytobox"]))
}

fn python(installer: &Installer) -> Result<PathBuf> {
    installer.python().context("the Python that was found is gone")
}

/// A copy of webdriver.json that also names the browser: the driver would look only where systems usually put it.
fn driver_settings(workspace: &Workspace) -> Result<PathBuf> {
    const OPTIONS: &str = "\"goog:chromeOptions\": {";
    let browser = install::chromium(workspace).context("the browser that was found is gone")?;
    let settings = fs::read_to_string(workspace.root.join("webdriver.json")).context("cannot read webdriver.json")?;
    let binary = browser.to_string_lossy().replace('\\', "\\\\").replace('"', "\\\"");
    let named = settings.replacen(OPTIONS, &format!("{OPTIONS}\n    \"binary\": \"{binary}\","), 1);
    if named == settings {
        bail!("webdriver.json has no {OPTIONS} ... }}");
    }
    let copy = workspace.target.join("webdriver.json");
    fs::create_dir_all(&workspace.target)?;
    fs::write(&copy, named)?;
    Ok(copy)
}

/// The files of a folder whose names end so, in order of name; an error when there is none.
fn files_ending(folder: &Path, end: &str) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).with_context(|| format!("cannot list {}", folder.display()))? {
        let path = entry?.path();
        if path.to_string_lossy().ends_with(end) {
            files.push(path);
        }
    }
    files.sort();
    if files.is_empty() { bail!("{} holds no *{end}", folder.display()) } else { Ok(files) }
}

impl Report {
    fn new(step: Step, all_must_run: bool) -> Self {
        Self { step, time: Duration::ZERO, tally: Tally::default(), closing: vec![], problem: None, all_must_run }
    }

    fn failed(&self) -> bool {
        self.problem.is_some()
    }

    /// Runs a command that checks one thing: it counts as one test.
    fn check(&mut self, command: &mut Command) -> Result<()> {
        stream::plain(command)?;
        self.tally.passed += 1;
        Ok(())
    }

    /// Runs a test runner; running no test at all counts as a failure.
    fn tests(&mut self, command: &mut Command) -> Result<()> {
        let finished = stream::watched(command)?;
        self.judge(finished).with_context(|| format!("`{}`", stream::line(command)))
    }

    fn judge(&mut self, Finished { success, tally, closing, skipped }: Finished) -> Result<()> {
        self.tally += tally;
        self.closing.extend(closing);
        let left_out: Vec<String> = skipped.into_iter().filter(|test| self.all_must_run && could_run(test)).collect();
        match tally {
            Tally { failed: 1.., .. } => bail!("{} failed", tally.failed),
            _ if !success => bail!("failed"),
            Tally { passed: 0, .. } => bail!("ran no test"),
            _ if !left_out.is_empty() => bail!("left out although the data is there:\n{}", left_out.join("\n")),
            _ => Ok(()),
        }
    }

    /// The step's own count: a step that failed without a failed test (it did not build, say) has one failure.
    fn count(&self) -> Tally {
        let mut tally = self.tally;
        if self.failed() && tally.failed == 0 {
            tally.failed = 1;
        }
        tally
    }
}

/// Prints the runners' closing lines, one line a step, and the plain closing line; `true` when all is well.
fn summarise(reports: &[Report]) -> bool {
    println!("\n== closing lines ==");
    for report in reports {
        for line in &report.closing {
            println!("{:<9} {line}", report.step.name());
        }
    }
    println!("\n== summary ==");
    let mut total = Tally::default();
    for report in reports {
        let verdict = if report.failed() { "FAILED" } else { "ok" };
        println!("{:<9} {verdict:<6} {:>6.1} s  {}", report.step.name(), report.time.as_secs_f64(), report.count());
        if let Some(problem) = &report.problem {
            println!("          {}", problem.replace('\n', "\n          "));
        }
        total += report.count();
    }
    println!("\ncytobox: {total}");
    reports.iter().all(|report| !report.failed())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(problem: Option<&str>, tally: Tally) -> Report {
        let problem = problem.map(str::to_owned);
        Report { tally, problem, ..Report::new(Step::Native, false) }
    }

    #[test]
    fn steps_keep_their_order_and_are_run_once() {
        let all = Step::value_variants();
        let select = |only: &[Step], skip: &[Step]| Choice { only: only.to_vec(), skip: skip.to_vec() }.steps();
        assert_eq!(select(&[], &[]).unwrap(), all);
        let twice = [Step::E2e, Step::Fmt, Step::E2e];
        assert_eq!(select(&twice, &[]).unwrap(), [Step::Fmt, Step::E2e]);
        assert_eq!(select(&twice, &[Step::Fmt]).unwrap(), [Step::E2e]);
        assert!(select(&[Step::Fmt], &[Step::Fmt]).is_err());
        assert!(select(&[], all).is_err());
    }

    #[test]
    fn steps_are_named_as_on_the_command_line() {
        let names: Vec<String> = Step::value_variants().iter().map(|step| step.name()).collect();
        assert_eq!(names, ["fmt", "clippy", "page", "golden", "native", "workflows", "wasm", "e2e"]);
    }

    #[test]
    fn a_step_that_fails_without_a_test_counts_as_one_failure() {
        let one = report(Some("did not build"), Tally::default());
        assert_eq!(one.count(), Tally { passed: 0, failed: 1, skipped: 0 });
        let counted = Tally { passed: 4, failed: 2, skipped: 1 };
        assert_eq!(report(Some("failed"), counted).count(), counted);
        assert!(!summarise(&[report(None, counted), one]));
        assert!(summarise(&[report(None, Tally { passed: 1, failed: 0, skipped: 0 })]));
    }

    #[test]
    fn a_runner_that_ran_nothing_or_failed_is_a_failure() {
        let judge = |success, passed, failed| {
            let tally = Tally { passed, failed, skipped: 3 };
            let mut report = report(None, Tally::default());
            let verdict = report.judge(Finished {
                success,
                tally,
                closing: vec!["closing".into()],
                skipped: vec!["a: no data".into()],
            });
            assert_eq!((report.tally, report.closing.len()), (tally, 1));
            verdict.map_err(|error| error.to_string())
        };
        assert_eq!(judge(true, 2, 0), Ok(()));
        assert_eq!(judge(true, 0, 0), Err("ran no test".into()));
        assert_eq!(judge(true, 2, 1), Err("1 failed".into()));
        assert_eq!(judge(false, 2, 0), Err("failed".into()));
    }

    #[test]
    fn a_skipped_test_fails_where_all_must_run() {
        let judge = |all_must_run, reason: &str| {
            let tally = Tally { passed: 5, failed: 0, skipped: 1 };
            let skipped = vec![format!("boxes: {reason}")];
            let mut report = Report::new(Step::E2e, all_must_run);
            report.judge(Finished { success: true, tally, closing: vec![], skipped }).map_err(|error| error.to_string())
        };
        assert_eq!(judge(false, "no real data"), Ok(()));
        assert_eq!(
            judge(true, "no real data"),
            Err("left out although the data is there:\nboxes: no real data".into())
        );
        assert_eq!(judge(true, "this machine has no graphics card"), Ok(()));
    }
}
