//! The project's own commands, run as `cargo xtask COMMAND`; `cargo xtask help` lists them.

#![forbid(unsafe_code)]

mod bench;
mod cli;
mod dist;
mod install;
mod page;
mod pins;
mod plain_simd;
mod stream;
mod suite;
mod tally;
mod workspace;

use std::process::ExitCode;

use anyhow::Result;
use clap::Parser;
use cli::{Arguments, Command};
use install::Installer;
use workspace::Workspace;

fn main() -> ExitCode {
    match run(Arguments::parse().command) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Carries out one command; `false` when something that it ran failed.
fn run(command: Command) -> Result<bool> {
    let workspace = Workspace::find()?;
    let mut installer = Installer::new(&workspace);
    match command {
        Command::Serve(options) => page::serve(&workspace, &mut installer, &options).map(|()| true),
        Command::Build(options) => page::build(&workspace, &mut installer, &options).map(|()| true),
        Command::Test(choice) => suite::run(&workspace, &mut installer, &choice.steps()?),
        Command::Bench(options) => bench::run(&workspace, &mut installer, &options).map(|()| true),
        Command::Dist(options) => dist::run(&workspace, &mut installer, &options).map(|()| true),
        Command::PlainSimd { folder } => plain_simd::write(folder.as_deref()).map(|()| true),
        Command::Check => suite::run(&workspace, &mut installer, &suite::QUICK),
    }
}
