//! Builds and serves the page.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use clap::{Args, ValueEnum};

use crate::install::{Installer, Need};
use crate::stream;
use crate::workspace::Workspace;

/// What building the page takes.
pub const NEEDS: [Need; 3] = [Need::WasmTarget, Need::WasmBindgen, Need::Trunk];

#[derive(Args, Debug, PartialEq)]
pub struct ServeOptions {
    /// Port on 127.0.0.1.
    #[arg(long, value_name = "N", default_value_t = 8080)]
    pub port: u16,
    /// Open the page in the system's browser once it is built.
    #[arg(long)]
    pub open: bool,
    /// cargo profile to build with.
    #[arg(long, value_enum, default_value_t)]
    pub profile: Profile,
}

#[derive(Args, Debug, Default, PartialEq)]
pub struct BuildOptions {
    /// Folder to build the page into [default: target/dist]
    #[arg(long, value_name = "DIR")]
    pub dist: Option<PathBuf>,
    /// cargo profile to build with.
    #[arg(long, value_enum, default_value_t)]
    pub profile: Profile,
}

#[derive(ValueEnum, Clone, Copy, Debug, Default, PartialEq)]
pub enum Profile {
    /// Shares its build output with the tests.
    #[default]
    Release,
    /// Smaller, and slower to build.
    Dist,
}

/// Builds the page into `dist`.
pub fn build(workspace: &Workspace, installer: &mut Installer, options: &BuildOptions) -> Result<()> {
    installer.ensure(&NEEDS)?;
    let dist = match &options.dist {
        Some(dist) => std::path::absolute(dist)?,
        None => workspace.dist(),
    };
    let mut trunk = trunk(workspace);
    trunk.args(["build", "--release", "--dist"]).arg(&dist).args(profile(options.profile));
    stream::plain(&mut trunk)?;
    for (name, bytes) in wasm_files(&dist)? {
        eprintln!("{name}: {:.1} MB", bytes as f64 / 1e6);
    }
    eprintln!("the page is in {}", dist.display());
    Ok(())
}

/// Builds the page, serves it on 127.0.0.1 and rebuilds it when a file changes, until stopped.
pub fn serve(workspace: &Workspace, installer: &mut Installer, options: &ServeOptions) -> Result<()> {
    installer.ensure(&NEEDS)?;
    let mut trunk = trunk(workspace);
    trunk.args(["serve", "--release", "--address", "127.0.0.1", "--port", &options.port.to_string(), "--dist"]);
    trunk.arg(workspace.dist()).args(profile(options.profile));
    if options.open {
        trunk.arg("--open");
    }
    eprintln!("cytobox will be at http://127.0.0.1:{}/ (the first build takes minutes)", options.port);
    stream::plain(&mut trunk)
}

fn trunk(workspace: &Workspace) -> Command {
    let mut trunk = workspace.command("trunk");
    // Set to `1`, as is the custom, it makes trunk 0.21 refuse to start: trunk wants `true` or `false` there.
    trunk.env_remove("NO_COLOR");
    trunk
}

fn profile(profile: Profile) -> &'static [&'static str] {
    match profile {
        Profile::Release => &[],
        Profile::Dist => &["--cargo-profile", "dist"],
    }
}

/// Names and sizes of the WebAssembly modules in a folder, in order of name.
fn wasm_files(folder: &Path) -> Result<Vec<(String, u64)>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).with_context(|| format!("cannot list {}", folder.display()))? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if name.ends_with(".wasm") {
            files.push((name, entry.metadata()?.len()));
        }
    }
    files.sort();
    if files.is_empty() {
        bail!("{} holds no WebAssembly module", folder.display());
    }
    Ok(files)
}
