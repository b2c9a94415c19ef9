//! The command line of `cargo xtask`. The options of a command live beside what they are for.

use std::path::PathBuf;

use clap::{Parser, Subcommand};

use crate::bench::BenchOptions;
use crate::dist::DistOptions;
use crate::page::{BuildOptions, ServeOptions};
use crate::suite::Choice;

const AFTER: &str = "\
Environment:
  CYTOBOX_DATA                  folder of real images for the tests
  CARGO_TARGET_DIR              folder of the build output
  CHROME, CHROMEDRIVER, PYTHON  programs to use instead of those found

Example:
  cargo xtask serve";

/// The project's own commands. Each installs what it needs first.
#[derive(Parser, Debug)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", after_help = AFTER)]
pub struct Arguments {
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Subcommand, Debug, PartialEq)]
pub enum Command {
    /// Build the page, serve it on 127.0.0.1 and rebuild it when a file changes.
    #[command(after_help = "Example:\n  cargo xtask serve --port 9000 --open")]
    Serve(ServeOptions),
    /// Build the page.
    #[command(after_help = "Example:\n  cargo xtask build --profile dist --dist site")]
    Build(BuildOptions),
    /// Run the test suite.
    #[command(after_help = "Example:\n  cargo xtask test --only native,e2e")]
    Test(Choice),
    /// Benchmark the kernels in headless Chromium against burn, onnxruntime-web and TensorFlow.js.
    ///
    /// Builds the page, prints a table and writes target/bench/browser.json.
    #[command(after_help = "Example:\n  cargo xtask bench --side 256 --seconds 2.5")]
    Bench(BenchOptions),
    /// Build the archives of a release with their checksums: the program, and the page.
    ///
    /// Writes cytobox-VERSION-TARGET.tar.gz, cytobox-VERSION-page.zip and SHA256SUMS.
    #[command(after_help = "Example:\n  cargo xtask dist --static-linux --out release")]
    Dist(DistOptions),
    /// Write the page's module a second time, for browsers without relaxed SIMD. trunk runs this after each build.
    #[command(after_help = "Example:\n  cargo xtask plain-simd target/dist")]
    PlainSimd {
        /// Folder of the module [default: $TRUNK_STAGING_DIR, which trunk sets]
        folder: Option<PathBuf>,
    },
    /// Run the quick checks: the steps fmt, clippy and page of the test suite.
    #[command(after_help = "Example:\n  cargo xtask check")]
    Check,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::page::Profile;
    use crate::suite::Step;

    fn parse(line: &str) -> Result<Command, clap::Error> {
        let words = ["xtask"].into_iter().chain(line.split_whitespace());
        Arguments::try_parse_from(words).map(|arguments| arguments.command)
    }

    #[test]
    fn options_are_read_in_both_spellings() {
        let expected = Command::Serve(ServeOptions { port: 9000, open: true, profile: Profile::Dist });
        assert_eq!(parse("serve --port 9000 --open --profile dist").unwrap(), expected);
        assert_eq!(parse("serve --profile=dist --open --port=9000").unwrap(), expected);
        let expected = BuildOptions { dist: Some("out".into()), profile: Profile::Dist };
        assert_eq!(parse("build --dist out --profile dist").unwrap(), Command::Build(expected));
        assert_eq!(parse("check").unwrap(), Command::Check);
        let expected = Command::PlainSimd { folder: Some("target/dist".into()) };
        assert_eq!(parse("plain-simd target/dist").unwrap(), expected);
        assert_eq!(parse("plain-simd").unwrap(), Command::PlainSimd { folder: None });
        let expected = BenchOptions { side: Some(256), seconds: Some(2.5), ..BenchOptions::default() };
        assert_eq!(parse("bench --side=256 --seconds 2.5").unwrap(), Command::Bench(expected));
        let expected =
            DistOptions { out: Some("out".into()), static_linux: true, no_page: true, profile: Profile::Release };
        let expected = Command::Dist(expected);
        assert_eq!(parse("dist --out=out --static-linux --no-page --profile release").unwrap(), expected);
    }

    #[test]
    fn what_is_left_out_has_its_default() {
        let expected = ServeOptions { port: 8080, open: false, profile: Profile::Release };
        assert_eq!(parse("serve").unwrap(), Command::Serve(expected));
        assert_eq!(parse("build").unwrap(), Command::Build(BuildOptions::default()));
        let expected = DistOptions { out: None, static_linux: false, no_page: false, profile: Profile::Dist };
        assert_eq!(parse("dist").unwrap(), Command::Dist(expected));
        assert_eq!(parse("test").unwrap(), Command::Test(Choice::default()));
        assert_eq!(parse("bench").unwrap(), Command::Bench(BenchOptions::default()));
    }

    #[test]
    fn steps_are_read_from_lists_and_repeated_options() {
        let expected = Choice { only: vec![Step::Native, Step::Clippy], skip: vec![] };
        assert_eq!(parse("test --only native,clippy").unwrap(), Command::Test(expected));
        let expected = Choice { only: vec![], skip: vec![Step::E2e, Step::Wasm] };
        assert_eq!(parse("test --skip e2e --skip wasm").unwrap(), Command::Test(expected));
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
            "bench --side wide",
            "bench --quick",
            "dist page",
            "plain-simd a b",
            "check --fast",
        ] {
            assert!(parse(line).is_err(), "`{line}` was accepted");
        }
    }

    #[test]
    fn every_command_has_an_example_that_is_accepted() {
        let command = <Arguments as clap::CommandFactory>::command();
        for command in std::iter::once(&command).chain(command.get_subcommands()) {
            let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
            let example = help.lines().find_map(|line| line.strip_prefix("  cargo xtask "));
            let example = example.unwrap_or_else(|| panic!("`{}` has no example", command.get_name()));
            assert!(parse(example).is_ok(), "`{example}` was refused");
        }
    }
}
