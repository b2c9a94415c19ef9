//! Paths of the checkout, and the environment of child processes.

use std::env;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result};

/// Folders of this checkout and of its build output; every path is absolute.
pub struct Workspace {
    /// The checkout.
    pub root: PathBuf,
    /// cargo's target folder: `$CARGO_TARGET_DIR`, or `target` in the checkout.
    pub target: PathBuf,
    /// Real images for the tests: `$CYTOBOX_DATA`, or `../shared/data` beside the checkout where that exists.
    pub data: Option<PathBuf>,
}

impl Workspace {
    pub fn find() -> Result<Self> {
        // Read when it runs, not when it was built: two checkouts may share one target folder.
        let manifest = env::var_os("CARGO_MANIFEST_DIR").context("start this as `cargo xtask`")?;
        let root = Path::new(&manifest).parent().context("xtask's manifest has no folder above it")?.to_owned();
        let target = match non_empty("CARGO_TARGET_DIR") {
            Some(path) => std::path::absolute(path)?,
            None => root.join("target"),
        };
        let data = match non_empty("CYTOBOX_DATA") {
            Some(path) => Some(Path::new(&path).canonicalize().with_context(|| format!("CYTOBOX_DATA={path:?}"))?),
            None => root.join("../shared/data").canonicalize().ok(),
        };
        Ok(Self { root, target, data })
    }

    /// Where the page is built.
    pub fn dist(&self) -> PathBuf {
        self.target.join("dist")
    }

    /// Where cargo builds the command line.
    pub fn program(&self) -> PathBuf {
        self.target.join("release").join(format!("cytobox{}", env::consts::EXE_SUFFIX))
    }

    /// Tools that must not replace another version of themselves in cargo's home are installed here.
    pub fn tools(&self) -> PathBuf {
        self.target.join("tools")
    }

    /// Python packages for the golden values, where the system's Python lacks them.
    pub fn python_environment(&self) -> PathBuf {
        self.target.join("python")
    }

    /// Snakemake and what it runs with.
    pub fn snakemake_environment(&self) -> PathBuf {
        self.target.join("snakemake")
    }

    /// A command in the checkout with the project's environment.
    pub fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command.current_dir(&self.root).stdin(Stdio::null());
        // `cargo run` describes xtask's own package in these; a build script of a child must not see them.
        for (name, _) in env::vars_os() {
            let name = name.to_string_lossy();
            if name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_") {
                command.env_remove(name.as_ref());
            }
        }
        command
            .env("PATH", self.path())
            .env("CARGO_TARGET_DIR", &self.target)
            .env("CYTOBOX_DIST", self.dist())
            .env("CYTOBOX_GOLDEN", self.target.join("golden"));
        if let Some(data) = &self.data {
            command.env("CYTOBOX_DATA", data);
        }
        command
    }

    /// What `PROGRAM ARGS` prints, or `None` when it is not there or fails.
    pub fn ask(&self, program: &str, args: &[&str]) -> Option<String> {
        let output = self.command(program).args(args).stderr(Stdio::null()).output().ok()?;
        output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// The full path of a program on the search path.
    pub fn which(&self, program: &str) -> Option<PathBuf> {
        let file = format!("{program}{}", env::consts::EXE_SUFFIX);
        env::split_paths(&self.path()).map(|folder| folder.join(&file)).find(|path| path.is_file())
    }

    /// The search path: this checkout's tools first, then the system's, then cargo's home (not everyone has it there).
    fn path(&self) -> OsString {
        let mut folders = vec![self.tools().join("bin")];
        folders.extend(env::split_paths(&env::var_os("PATH").unwrap_or_default()));
        let home = non_empty("CARGO_HOME").map(PathBuf::from).or_else(|| Some(env::home_dir()?.join(".cargo")));
        folders.extend(home.map(|home| home.join("bin")));
        // A folder whose name holds the separator cannot be listed at all; then the path stays what it was.
        env::join_paths(folders).unwrap_or_else(|_| env::var_os("PATH").unwrap_or_default())
    }
}

fn non_empty(variable: &str) -> Option<OsString> {
    env::var_os(variable).filter(|value| !value.is_empty())
}
