//! The command line of `cargo xtask`.

use std::path::PathBuf;
use std::str::FromStr;

use anyhow::{Context, Result, anyhow, bail};

use crate::suite::{self, Step};

pub const USAGE: &str = "\
cargo xtask serve [--port N] [--open] [--profile release|dist]
    installs what is missing, builds the page and serves it on 127.0.0.1 (port 8080 unless told)
cargo xtask build [--dist DIR] [--profile release|dist]
    installs what is missing and builds the page into DIR (target/dist unless told)
cargo xtask test [--only STEP,...] [--skip STEP,...]
    installs what is missing and runs everything; the steps: fmt, clippy, page, golden, native, wasm, e2e
cargo xtask bench [--side N] [--model-side N] [--rounds N] [--seconds S]
    installs what is missing, builds the page and measures the kernels in a headless Chromium against burn,
    onnxruntime-web and TensorFlow.js; prints a table and writes target/bench/browser.json
cargo xtask plain-simd [DIR]
    writes the module in DIR (TRUNK_STAGING_DIR unless told) a second time, for browsers without relaxed SIMD; trunk calls
    it after each build
cargo xtask check
    the quick loop: fmt, clippy with warnings denied, natively and for wasm32, and the page's scripts: types, eslint,
    prettier and their tests in Node.js

Environment: CYTOBOX_DATA (folder of real images for the tests), CARGO_TARGET_DIR, CHROME, CHROMEDRIVER, PYTHON";

/// The parsed command.
#[derive(Debug, PartialEq)]
pub enum Command {
    Help,
    Serve(ServeOptions),
    Build(BuildOptions),
    Test(Vec<Step>),
    /// The options go to tests/bench/run.mjs as they are.
    Bench(Vec<String>),
    /// Where the module is; `None` where trunk says.
    PlainSimd(Option<PathBuf>),
    Check,
}

#[derive(Debug, PartialEq)]
pub struct ServeOptions {
    pub port: u16,
    /// Open the page in the system's browser once it is built.
    pub open: bool,
    pub profile: Profile,
}

#[derive(Debug, Default, PartialEq)]
pub struct BuildOptions {
    /// Where the page goes; the target folder's `dist` when `None`.
    pub dist: Option<PathBuf>,
    pub profile: Profile,
}

/// The cargo profile the page is built with: `release` shares its artefacts with the tests, `dist` is smaller and slower to build.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum Profile {
    #[default]
    Release,
    Dist,
}

impl FromStr for Profile {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self> {
        match text {
            "release" => Ok(Profile::Release),
            "dist" => Ok(Profile::Dist),
            _ => bail!("unknown profile `{text}`: release or dist"),
        }
    }
}

impl Command {
    /// Reads the arguments after `cargo xtask`. Options are `--name value` or `--name=value`; nothing is guessed.
    pub fn parse(args: impl IntoIterator<Item = String>) -> Result<Self> {
        let mut args = Args::new(args);
        let name = args.next().ok_or_else(|| anyhow!("which command?"))?;
        match name.as_str() {
            "help" | "--help" | "-h" => Ok(Command::Help),
            "serve" => {
                let mut options = ServeOptions { port: 8080, open: false, profile: Profile::default() };
                while let Some(option) = args.next() {
                    match option.as_str() {
                        "--port" => options.port = args.value("--port")?,
                        "--open" => options.open = true,
                        "--profile" => options.profile = args.value("--profile")?,
                        other => bail!("`serve` has no option `{other}`"),
                    }
                }
                Ok(Command::Serve(options))
            }
            "build" => {
                let mut options = BuildOptions::default();
                while let Some(option) = args.next() {
                    match option.as_str() {
                        "--dist" => options.dist = Some(args.value("--dist")?),
                        "--profile" => options.profile = args.value("--profile")?,
                        other => bail!("`build` has no option `{other}`"),
                    }
                }
                Ok(Command::Build(options))
            }
            "test" => {
                let (mut only, mut skip) = (Vec::new(), Vec::new());
                while let Some(option) = args.next() {
                    match option.as_str() {
                        "--only" => only.extend(steps(&args.value::<String>("--only")?)?),
                        "--skip" => skip.extend(steps(&args.value::<String>("--skip")?)?),
                        other => bail!("`test` has no option `{other}`"),
                    }
                }
                Ok(Command::Test(suite::select(&only, &skip)?))
            }
            "bench" => {
                let mut options = Vec::new();
                while let Some(option) = args.next() {
                    match option.as_str() {
                        "--side" | "--model-side" | "--rounds" => {
                            let number: u32 = args.value(&option)?;
                            options.extend([option, number.to_string()]);
                        }
                        "--seconds" => {
                            let number: f64 = args.value(&option)?;
                            options.extend([option, number.to_string()]);
                        }
                        other => bail!("`bench` has no option `{other}`"),
                    }
                }
                Ok(Command::Bench(options))
            }
            "plain-simd" => match (args.next(), args.next()) {
                (folder, None) => Ok(Command::PlainSimd(folder.map(PathBuf::from))),
                (_, Some(other)) => bail!("`plain-simd` takes one folder, but got `{other}` as well"),
            },
            "check" => match args.next() {
                None => Ok(Command::Check),
                Some(other) => bail!("`check` takes no option, but got `{other}`"),
            },
            other => bail!("unknown command `{other}`"),
        }
    }
}

fn steps(list: &str) -> Result<Vec<Step>> {
    list.split(',').map(str::parse).collect()
}

/// The arguments one by one, with `--name=value` already split in two.
struct Args(std::vec::IntoIter<String>);

impl Args {
    fn new(args: impl IntoIterator<Item = String>) -> Self {
        let mut words = Vec::new();
        for arg in args {
            match arg.split_once('=') {
                Some((name, value)) if name.starts_with("--") => words.extend([name.to_owned(), value.to_owned()]),
                _ => words.push(arg),
            }
        }
        Self(words.into_iter())
    }

    fn next(&mut self) -> Option<String> {
        self.0.next()
    }

    fn value<T: FromStr>(&mut self, option: &str) -> Result<T>
    where
        T::Err: std::fmt::Display,
    {
        let text = self.next().with_context(|| format!("`{option}` needs a value"))?;
        text.parse().map_err(|error| anyhow!("`{option} {text}`: {error}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Command> {
        Command::parse(line.split_whitespace().map(str::to_owned))
    }

    #[test]
    fn options_are_read_in_both_spellings() {
        let expected = Command::Serve(ServeOptions { port: 9000, open: true, profile: Profile::Dist });
        assert_eq!(parse("serve --port 9000 --open --profile dist").unwrap(), expected);
        assert_eq!(parse("serve --profile=dist --open --port=9000").unwrap(), expected);
        let expected = BuildOptions { dist: Some("out".into()), profile: Profile::Dist };
        assert_eq!(parse("build --dist out --profile dist").unwrap(), Command::Build(expected));
        assert_eq!(parse("check").unwrap(), Command::Check);
        assert_eq!(parse("plain-simd target/dist").unwrap(), Command::PlainSimd(Some("target/dist".into())));
        assert_eq!(parse("plain-simd").unwrap(), Command::PlainSimd(None));
        let expected = ["--side", "256", "--seconds", "2.5"].map(str::to_owned).to_vec();
        assert_eq!(parse("bench --side=256 --seconds 2.5").unwrap(), Command::Bench(expected));
    }

    #[test]
    fn steps_are_chosen_and_left_out() {
        assert_eq!(parse("test").unwrap(), Command::Test(suite::ALL.to_vec()));
        assert_eq!(parse("test --only native,clippy").unwrap(), Command::Test(vec![Step::Clippy, Step::Native]));
        let without = suite::ALL.into_iter().filter(|step| *step != Step::E2e).collect();
        assert_eq!(parse("test --skip e2e").unwrap(), Command::Test(without));
    }

    #[test]
    fn nothing_is_guessed() {
        for line in [
            "",
            "tests",
            "serve --port",
            "serve --port x",
            "serve --port 70000",
            "serve 8080",
            "build --profile debug",
            "test --only",
            "test --only nativ",
            "test --only native --skip native",
            "bench --side wide",
            "bench --quick",
            "check --fast",
        ] {
            assert!(parse(line).is_err(), "`{line}` was accepted");
        }
    }
}
