//! The pinned versions of all tools, in one place, and how a tool's `--version` output is parsed.

/// One program from crates.io.
#[derive(Debug)]
pub struct Tool {
    /// The package's name on crates.io.
    pub package: &'static str,
    /// The program that it installs; `PROGRAM --version` tells its version.
    pub program: &'static str,
    pub version: &'static str,
    /// Whether `cargo install --locked` works for it. wasm-bindgen-cli's own lock file names a withdrawn package.
    pub locked: bool,
}

pub const TRUNK: Tool = Tool { package: "trunk", program: "trunk", version: "0.21.14", locked: true };
/// Must be the version of the `wasm-bindgen` crate in Cargo.lock; a test here watches over it.
pub const WASM_BINDGEN: Tool =
    Tool { package: "wasm-bindgen-cli", program: "wasm-bindgen", version: "0.2.130", locked: false };
pub const WASM_PACK: Tool = Tool { package: "wasm-pack", program: "wasm-pack", version: "0.15.1", locked: true };

/// How the tools are built. They run for seconds; trunk's own profile (fat LTO, one codegen unit) does not pay.
pub const TOOL_PROFILE: [(&str, &str); 4] = [
    ("CARGO_PROFILE_RELEASE_CODEGEN_UNITS", "16"),
    ("CARGO_PROFILE_RELEASE_DEBUG", "0"),
    ("CARGO_PROFILE_RELEASE_LTO", "off"),
    ("CARGO_PROFILE_RELEASE_OPT_LEVEL", "1"),
];

pub const WASM_TARGET: &str = "wasm32-unknown-unknown";

/// Oldest Node.js that the end-to-end tests run on; playwright-core asks for it.
pub const NODE_MAJOR: u32 = 20;

/// What the scripts of the golden values import, as `(module, requirement)`.
pub const PYTHON: [(&str, &str); 10] = [
    ("torch", "torch==2.15.0"),
    ("torchvision", "torchvision==0.29.2"),
    ("pycocotools", "pycocotools==2.0.11"),
    ("safetensors", "safetensors==0.8.0"),
    ("skimage", "scikit-image==0.26.0"),
    ("scipy", "scipy==1.17.1"),
    ("roifile", "roifile==2026.2.10"),
    ("tifffile", "tifffile==2026.3.3"),
    ("shapely", "shapely==2.2.0"),
    ("h5py", "h5py==3.16.0"),
];

/// What the workflows are run and checked with. Their environment is one of its own: Snakemake brings 60 packages.
pub const SNAKEMAKE: [&str; 3] = ["snakemake==9.27.1", "snakemake-executor-plugin-slurm==2.8.0", "snakefmt==2.1.0"];

/// The target of a Linux program that needs no library of the system.
pub const STATIC_TARGET: &str = "x86_64-unknown-linux-musl";

/// The version in a line such as `trunk 0.21.14`, `wasm-bindgen 0.2.130 (c1b2)` or `v20.20.2`.
pub fn version_in(output: &str) -> Option<(u32, u32, u32)> {
    output.lines().next()?.split_whitespace().find_map(parse_version)
}

fn parse_version(word: &str) -> Option<(u32, u32, u32)> {
    let core = word.strip_prefix('v').unwrap_or(word).split(['-', '+']).next()?;
    let mut parts = core.split('.').map(|part| part.parse().ok());
    let version = (parts.next()??, parts.next()??, parts.next()??);
    parts.next().is_none().then_some(version)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_found_in_what_tools_print() {
        assert_eq!(version_in("trunk 0.21.14\n"), Some((0, 21, 14)));
        assert_eq!(version_in("wasm-bindgen 0.2.130 (abcdef)"), Some((0, 2, 130)));
        assert_eq!(version_in("v20.20.2"), Some((20, 20, 2)));
        assert_eq!(version_in("tool 1.2.3-beta.1+build"), Some((1, 2, 3)));
        for nothing in ["", "\n1.2.3", "trunk", "tool 1.2", "tool 1.2.3.4", "tool 1.x.3"] {
            assert_eq!(version_in(nothing), None, "{nothing:?}");
        }
    }

    #[test]
    fn every_pin_is_a_version() {
        for tool in [TRUNK, WASM_BINDGEN, WASM_PACK] {
            assert!(parse_version(tool.version).is_some(), "{tool:?}");
        }
    }

    fn beside(file: &str) -> String {
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(file);
        std::fs::read_to_string(path).unwrap()
    }

    #[test]
    fn wasm_bindgen_is_the_version_of_the_lock_file() {
        let lock = beside("Cargo.lock").replace("\r\n", "\n");
        let entry = format!("name = \"wasm-bindgen\"\nversion = \"{}\"\n", WASM_BINDGEN.version);
        assert!(lock.contains(&entry), "Cargo.lock has another wasm-bindgen than xtask's {}", WASM_BINDGEN.version);
    }

    #[test]
    fn the_guide_names_the_versions() {
        let versions = [TRUNK, WASM_BINDGEN].map(|tool| format!("{}@{}", tool.package, tool.version));
        assert!(beside("CONTRIBUTING.md").contains(&format!("cargo binstall {}", versions.join(" "))));
    }

    #[test]
    fn trunk_is_the_version_that_its_settings_ask_for() {
        assert!(beside("Trunk.toml").contains(&format!("trunk-version = \"={}\"", TRUNK.version)));
    }

    #[test]
    fn the_toolchain_file_brings_the_wasm_target() {
        assert!(beside("rust-toolchain.toml").contains(WASM_TARGET));
    }
}
