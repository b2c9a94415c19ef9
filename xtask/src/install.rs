//! Finds the tools that the steps need and installs missing ones. For what it cannot install, it prints the command to run.

use std::collections::BTreeMap;
use std::env;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Result, bail};

use crate::pins::{self, Tool};
use crate::stream;
use crate::workspace::Workspace;

/// Something that a step cannot run without.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Need {
    WasmTarget,
    Trunk,
    WasmBindgen,
    WasmPack,
    Chromium,
    Chromedriver,
    /// A Vulkan driver for the native GPU tests, a software one where there is no other.
    Vulkan,
    Node,
    /// playwright-core, in tests/e2e/node_modules.
    Playwright,
    /// tsc, eslint and prettier, in tests/page/node_modules.
    PageTools,
    /// What the kernels are measured against, in tests/bench/node_modules.
    BenchPeers,
    /// A Python with torch and torchvision, for the golden values.
    Python,
    /// Snakemake with its Slurm plugin, in an environment of its own.
    Snakemake,
    /// Slurm's daemons and munge, for a cluster of one node.
    Slurm,
    StaticTarget,
}

/// Looks up each need once and remembers the answer.
pub struct Installer<'a> {
    workspace: &'a Workspace,
    found: BTreeMap<Need, bool>,
    apt_updated: bool,
}

impl<'a> Installer<'a> {
    pub fn new(workspace: &'a Workspace) -> Self {
        Self { workspace, found: BTreeMap::new(), apt_updated: false }
    }

    /// Makes sure of every need; the error lists all that are still missing, each with the command that brings it.
    pub fn ensure(&mut self, needs: &[Need]) -> Result<()> {
        let unknown: Vec<Need> = needs.iter().copied().filter(|need| !self.found.contains_key(need)).collect();
        let missing: Vec<Need> = unknown.iter().copied().filter(|need| !self.is_there(*need)).collect();
        self.install(&missing);
        for need in unknown {
            let there = !missing.contains(&need) || self.is_there(need);
            self.found.insert(need, there);
        }
        let absent = needs.iter().filter(|need| self.found.get(need) != Some(&true));
        let absent: Vec<String> = absent.map(|need| self.hint(*need)).collect();
        if absent.is_empty() {
            Ok(())
        } else {
            bail!("missing, and could not be installed:\n  {}", absent.join("\n  "))
        }
    }

    /// Tries to install everything once. Errors are printed here; the caller reports what is still missing.
    fn install(&mut self, missing: &[Need]) {
        let packages: Vec<&str> = missing.iter().flat_map(|need| need.debian_packages()).copied().collect();
        let mut results = vec![if packages.is_empty() { Ok(()) } else { self.apt_install(&packages) }];
        results.extend(missing.iter().map(|need| self.install_one(*need)));
        for error in results.into_iter().filter_map(Result::err) {
            eprintln!("{error:#}");
        }
    }

    /// The Python that has what the golden values need: `$PYTHON`, the system's, or this project's own environment.
    pub fn python(&self) -> Option<PathBuf> {
        let own = self.workspace.python_environment().join("bin/python");
        let candidates = [env::var_os("PYTHON").map(PathBuf::from), Some("python3".into()), Some(own)];
        let modules: Vec<&str> = pins::PYTHON.iter().map(|(module, _)| *module).collect();
        let import = format!("import {}", modules.join(", "));
        let works = |python: &PathBuf| self.workspace.ask(&python.to_string_lossy(), &["-c", &import]).is_some();
        candidates.into_iter().flatten().find(works)
    }

    fn is_there(&self, need: Need) -> bool {
        match need {
            Need::WasmTarget => self.has_target(pins::WASM_TARGET),
            Need::StaticTarget => self.has_target(pins::STATIC_TARGET),
            Need::Trunk => self.has_version(&pins::TRUNK),
            Need::WasmBindgen => self.has_version(&pins::WASM_BINDGEN),
            Need::WasmPack => self.has_version(&pins::WASM_PACK),
            Need::Chromium => chromium(self.workspace).is_some(),
            Need::Chromedriver => chromedriver(self.workspace).is_some(),
            Need::Vulkan => !cfg!(target_os = "linux") || has_vulkan_driver(),
            Need::Node => {
                let recent = self.node_major().is_some_and(|major| major >= pins::NODE_MAJOR);
                recent && self.workspace.which("npm").is_some()
            }
            Need::Playwright => self.has_packages("tests/e2e"),
            Need::PageTools => self.has_packages("tests/page"),
            Need::BenchPeers => self.has_packages("tests/bench"),
            Need::Python => self.python().is_some(),
            Need::Snakemake => fs::read_to_string(self.snakemake_stamp()).is_ok_and(|stamp| stamp == snakemake_list()),
            Need::Slurm => {
                // Debian's daemons are where not every user searches.
                let there =
                    |name: &&str| self.workspace.which(name).is_some() || Path::new("/usr/sbin").join(name).is_file();
                !cfg!(target_os = "linux") || SLURM.iter().all(there)
            }
        }
    }

    fn has_target(&self, target: &str) -> bool {
        let libraries = self.workspace.ask("rustc", &["--print", "target-libdir", "--target", target]);
        libraries.is_some_and(|folder| Path::new(folder.trim()).is_dir())
    }

    fn install_one(&self, need: Need) -> Result<()> {
        match need {
            Need::WasmTarget => self.add_target(pins::WASM_TARGET),
            Need::StaticTarget => self.add_target(pins::STATIC_TARGET),
            Need::Trunk => self.cargo_install(&pins::TRUNK),
            Need::WasmBindgen => self.cargo_install(&pins::WASM_BINDGEN),
            Need::WasmPack => self.cargo_install(&pins::WASM_PACK),
            Need::Playwright => self.npm_ci("tests/e2e"),
            Need::PageTools => self.npm_ci("tests/page"),
            Need::BenchPeers => self.npm_ci("tests/bench"),
            Need::Python => {
                let requirements: Vec<&str> = pins::PYTHON.iter().map(|(_, requirement)| *requirement).collect();
                self.python_packages(&self.workspace.python_environment(), &requirements)
            }
            Need::Snakemake => {
                self.python_packages(&self.workspace.snakemake_environment(), &pins::SNAKEMAKE)?;
                Ok(fs::write(self.snakemake_stamp(), snakemake_list())?)
            }
            // Only the system has them.
            Need::Chromium | Need::Chromedriver | Need::Vulkan | Need::Node | Need::Slurm => Ok(()),
        }
    }

    fn add_target(&self, target: &str) -> Result<()> {
        stream::plain(self.workspace.command("rustup").args(["target", "add", target]))
    }

    /// What the environment was installed from.
    fn snakemake_stamp(&self) -> PathBuf {
        self.workspace.snakemake_environment().join(".installed")
    }

    fn node_major(&self) -> Option<u32> {
        let version = self.workspace.ask("node", &["--version"]).and_then(|text| pins::version_in(&text));
        version.map(|(major, ..)| major)
    }

    /// What is missing, and how to install it on this system.
    fn hint(&self, need: Need) -> String {
        match (need, self.node_major()) {
            (Need::Node, Some(major)) if major < pins::NODE_MAJOR => newer_node(major),
            _ => need.by_hand(),
        }
    }

    fn has_version(&self, tool: &Tool) -> bool {
        let version = self.workspace.ask(tool.program, &["--version"]).and_then(|text| pins::version_in(&text));
        version.is_some() && version == pins::version_in(tool.version)
    }

    /// Into cargo's home; beside this checkout's build output when another version of the tool is already there.
    fn cargo_install(&self, tool: &Tool) -> Result<()> {
        let build = self.workspace.tools().join(format!("build-{}", tool.package));
        let mut cargo = self.workspace.command("cargo");
        cargo.args(["install", tool.package, "--version", tool.version, "--target-dir"]).arg(&build);
        cargo.envs(pins::TOOL_PROFILE);
        if tool.locked {
            cargo.arg("--locked");
        }
        if self.workspace.which(tool.program).is_some() {
            cargo.arg("--force").arg("--root").arg(self.workspace.tools());
        }
        stream::plain(&mut cargo)?;
        fs::remove_dir_all(&build).or_else(|error| if build.exists() { Err(error) } else { Ok(()) })?;
        Ok(())
    }

    /// Whether a folder's node_modules was installed from its lock file as it is now.
    fn has_packages(&self, folder: &str) -> bool {
        let lock = fs::read(self.workspace.root.join(folder).join("package-lock.json")).ok();
        lock.is_some() && fs::read(self.packages_stamp(folder)).ok() == lock
    }

    fn npm_ci(&self, folder: &str) -> Result<()> {
        let path = self.workspace.root.join(folder);
        stream::plain(self.workspace.command("npm").args(["ci", "--ignore-scripts"]).current_dir(&path))?;
        fs::copy(path.join("package-lock.json"), self.packages_stamp(folder))?;
        Ok(())
    }

    /// A copy of the lock file that node_modules was installed from.
    fn packages_stamp(&self, folder: &str) -> PathBuf {
        self.workspace.root.join(folder).join("node_modules/.installed-lock.json")
    }

    /// Into an environment of their own: many systems forbid pip to touch the system's Python.
    fn python_packages(&self, folder: &Path, requirements: &[&str]) -> Result<()> {
        let system = env::var("PYTHON").unwrap_or_else(|_| "python3".into());
        stream::plain(self.workspace.command(&system).args(["-m", "venv"]).arg(folder))?;
        let python = folder.join("bin/python");
        stream::plain(
            self.workspace
                .command(&python.to_string_lossy())
                .args(["-m", "pip", "install", "--quiet"])
                .args(requirements),
        )
    }

    fn apt_install(&mut self, packages: &[&str]) -> Result<()> {
        if self.workspace.which("apt-get").is_none() {
            bail!("no apt-get on this system");
        }
        let prefix: &[&str] = if self.workspace.ask("id", &["-u"]).is_some_and(|id| id.trim() == "0") {
            &["env"]
        } else if self.workspace.ask("sudo", &["-n", "true"]).is_some() {
            &["sudo", "-n", "env"]
        } else {
            bail!("apt-get needs root, or sudo without a password");
        };
        let apt = |words: &[&str]| {
            let mut command = self.workspace.command(prefix[0]);
            command.args(&prefix[1..]).args(["DEBIAN_FRONTEND=noninteractive", "apt-get"]).args(words);
            stream::plain(&mut command)
        };
        if !self.apt_updated {
            apt(&["update", "--quiet"])?;
            self.apt_updated = true;
        }
        apt(&[&["install", "--quiet", "--yes", "--no-install-recommends"], packages].concat())
    }
}

impl Need {
    fn debian_packages(self) -> &'static [&'static str] {
        match self {
            Need::Chromium => &["chromium"],
            Need::Chromedriver => &["chromium-driver"],
            Need::Vulkan => &["mesa-vulkan-drivers", "libvulkan1"],
            Need::Node => &["nodejs", "npm"],
            // For the environment; the packages in it come from PyPI.
            Need::Python | Need::Snakemake => &["python3", "python3-venv"],
            Need::Slurm => &["slurm-wlm", "munge"],
            Need::WasmTarget
            | Need::StaticTarget
            | Need::Trunk
            | Need::WasmBindgen
            | Need::WasmPack
            | Need::Playwright
            | Need::PageTools
            | Need::BenchPeers => &[],
        }
    }

    /// What is missing, and what a person can do about it.
    fn by_hand(self) -> String {
        let cargo = |tool: &Tool| {
            let locked = if tool.locked { " --locked" } else { "" };
            format!(
                "{} {}: cargo install {} --version {}{locked}",
                tool.program, tool.version, tool.package, tool.version
            )
        };
        match self {
            Need::WasmTarget => format!("Rust's wasm target: rustup target add {}", pins::WASM_TARGET),
            Need::StaticTarget => format!("Rust's static Linux target: rustup target add {}", pins::STATIC_TARGET),
            Need::Trunk => cargo(&pins::TRUNK),
            Need::WasmBindgen => cargo(&pins::WASM_BINDGEN),
            Need::WasmPack => cargo(&pins::WASM_PACK),
            Need::Chromium => "Chromium or Chrome: sudo apt-get install chromium, or set CHROME to its path".into(),
            Need::Chromedriver => {
                "chromedriver of the browser's version: sudo apt-get install chromium-driver, or set CHROMEDRIVER to its path".into()
            }
            Need::Vulkan => "a Vulkan driver: sudo apt-get install mesa-vulkan-drivers libvulkan1".into(),
            Need::Node => format!("Node.js {} or newer with npm: sudo apt-get install nodejs npm", pins::NODE_MAJOR),
            Need::Playwright => "playwright-core: (cd tests/e2e && npm ci)".into(),
            Need::PageTools => "tsc, eslint and prettier: (cd tests/page && npm ci)".into(),
            Need::BenchPeers => "the benchmark's peers: (cd tests/bench && npm ci)".into(),
            Need::Python => {
                let requirements: Vec<&str> = pins::PYTHON.iter().map(|(_, requirement)| *requirement).collect();
                format!(
                    "Python with the packages of the golden values: sudo apt-get install python3 python3-venv, or python3 -m pip install {}",
                    requirements.join(" ")
                )
            }
            Need::Snakemake => format!(
                "Snakemake (Python 3.11 or newer): sudo apt-get install python3 python3-venv, then python3 -m pip install {}",
                pins::SNAKEMAKE.join(" ")
            ),
            Need::Slurm => "Slurm: sudo apt-get install slurm-wlm munge".into(),
        }
    }
}

/// The system's packages may be too old: Debian 12, for example, has Node.js 18.
fn newer_node(major: u32) -> String {
    format!(
        "Node.js {wanted} or newer with npm: this is Node.js {major}, and the system's packages brought no newer one; install it from https://nodejs.org/en/download, or with nvm: nvm install {wanted}",
        wanted = pins::NODE_MAJOR
    )
}

/// What a cluster of one node is started with.
const SLURM: [&str; 4] = ["munged", "slurmctld", "slurmd", "sbatch"];

fn snakemake_list() -> String {
    pins::SNAKEMAKE.join("\n")
}

/// The browser: `$CHROME`, or the first one found.
pub fn chromium(workspace: &Workspace) -> Option<PathBuf> {
    const MAC: &str = "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome";
    named("CHROME").or_else(|| {
        let names = ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable"];
        let mac = Some(PathBuf::from(MAC)).filter(|path| path.is_file());
        names.iter().find_map(|name| workspace.which(name)).or(mac)
    })
}

/// The browser's driver: `$CHROMEDRIVER`, or the one on the search path.
pub fn chromedriver(workspace: &Workspace) -> Option<PathBuf> {
    named("CHROMEDRIVER").or_else(|| workspace.which("chromedriver"))
}

fn named(variable: &str) -> Option<PathBuf> {
    env::var_os(variable).map(PathBuf::from).filter(|path| path.is_file())
}

/// Whether the Vulkan loader would find the description of any driver.
fn has_vulkan_driver() -> bool {
    let folders = ["/usr/share/vulkan/icd.d", "/etc/vulkan/icd.d", "/usr/local/share/vulkan/icd.d"];
    let listed = folders.iter().filter_map(|folder| fs::read_dir(folder).ok());
    env::var_os("VK_ICD_FILENAMES").or_else(|| env::var_os("VK_DRIVER_FILES")).is_some()
        || listed.flatten().flatten().any(|entry| entry.path().extension().is_some_and(|extension| extension == "json"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [Need; 15] = [
        Need::WasmTarget,
        Need::Trunk,
        Need::WasmBindgen,
        Need::WasmPack,
        Need::Chromium,
        Need::Chromedriver,
        Need::Vulkan,
        Need::Node,
        Need::Playwright,
        Need::PageTools,
        Need::BenchPeers,
        Need::Python,
        Need::Snakemake,
        Need::Slurm,
        Need::StaticTarget,
    ];

    #[test]
    fn every_missing_tool_comes_with_an_install_command() {
        for need in ALL {
            let text = need.by_hand();
            assert!(
                ["install ", "rustup target add ", "npm ci"].iter().any(|command| text.contains(command)),
                "{text}"
            );
            for package in need.debian_packages() {
                assert!(text.contains(package), "{text} does not name {package}");
            }
        }
    }

    #[test]
    fn an_old_node_is_not_answered_with_the_command_that_brought_it() {
        let text = newer_node(18);
        assert!(text.contains("Node.js 20 or newer") && text.contains("this is Node.js 18"), "{text}");
        assert!(text.contains("nvm install 20") && !text.contains("apt-get"), "{text}");
    }
}
