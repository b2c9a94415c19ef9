//! The project's own commands, run as `cargo xtask COMMAND`. See `cli::USAGE`.

#![forbid(unsafe_code)]

mod bench;
mod cli;
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
use cli::Command;
use install::Installer;
use workspace::Workspace;

fn main() -> ExitCode {
    let command = match Command::parse(std::env::args().skip(1)) {
        Ok(command) => command,
        Err(error) => {
            eprintln!("{error}\n\n{}", cli::USAGE);
            return ExitCode::from(2);
        }
    };
    match run(command) {
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
        Command::Help => {
            println!("{}", cli::USAGE);
            Ok(true)
        }
        Command::Serve(options) => page::serve(&workspace, &mut installer, &options).map(|()| true),
        Command::Build(options) => page::build(&workspace, &mut installer, &options).map(|()| true),
        Command::Test(steps) => suite::run(&workspace, &mut installer, &steps),
        Command::Bench(options) => bench::run(&workspace, &mut installer, &options).map(|()| true),
        Command::PlainSimd(folder) => plain_simd::write(folder.as_deref()).map(|()| true),
        Command::Check => suite::run(&workspace, &mut installer, &suite::QUICK),
    }
}
