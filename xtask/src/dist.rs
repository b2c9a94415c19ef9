//! The archives of a release, with their checksums.

use std::fs::{self, File};
use std::io::{self, BufReader, BufWriter, Read, Seek, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use clap::Args;
use flate2::{Compression, write::GzEncoder};
use sha2::{Digest, Sha256};
use zip::{CompressionMethod, DateTime, ZipWriter, write::SimpleFileOptions};

use crate::install::{Installer, Need};
use crate::page::{self, BuildOptions, Profile};
use crate::pins::STATIC_TARGET;
use crate::stream;
use crate::workspace::Workspace;

#[derive(Args, Debug, PartialEq)]
pub struct DistOptions {
    /// Folder for the archives [default: target/release-archives]
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// Build the static Linux program too, and put it where Containerfile takes it from. It computes on the CPU only.
    #[arg(long)]
    pub static_linux: bool,
    /// Leave the page out.
    #[arg(long)]
    pub no_page: bool,
    /// cargo profile to build with.
    #[arg(long, value_enum, default_value = "dist")]
    pub profile: Profile,
}

/// What goes into the program's archive beside the program.
const PAPERS: [&str; 4] = ["README.md", "CHANGELOG.md", "LICENSE-APACHE", "LICENSE-MIT"];

/// A file for an archive: its name there, where it is, and whether it is a program.
struct Entry {
    name: String,
    path: PathBuf,
    program: bool,
}

pub fn run(workspace: &Workspace, installer: &mut Installer, options: &DistOptions) -> Result<()> {
    let out = match &options.out {
        Some(out) => std::path::absolute(out)?,
        None => workspace.target.join("release-archives"),
    };
    fs::create_dir_all(&out).with_context(|| format!("cannot create {}", out.display()))?;
    let manifest = fs::read_to_string(workspace.root.join("Cargo.toml"))?;
    let version = version(&manifest)?;
    let mut archives = Vec::new();

    let host = host(workspace)?;
    let program = build(workspace, options.profile, None)?;
    archives.push(program_archive(workspace, &out, &format!("cytobox-{version}-{host}"), &program)?);
    if options.static_linux {
        installer.ensure(&[Need::StaticTarget])?;
        let program = build(workspace, options.profile, Some(STATIC_TARGET))?;
        archives.push(program_archive(workspace, &out, &format!("cytobox-{version}-{STATIC_TARGET}"), &program)?);
        let image = out.join("image");
        fs::create_dir_all(&image)?;
        fs::copy(&program, image.join("cytobox")).context("cannot copy the static program")?;
    }
    if !options.no_page {
        // Beside the page that the tests use, which may have been built with another profile.
        let dist = workspace.target.join("release-page");
        page::build(workspace, installer, &BuildOptions { dist: Some(dist.clone()), profile: options.profile })?;
        let name = format!("cytobox-{version}-page");
        let archive = out.join(format!("{name}.zip"));
        zip(BufWriter::new(File::create(&archive)?), &files_below(&dist, &name)?)?;
        archives.push(archive);
    }

    let sums = archives.iter().map(|archive| sum_line(archive)).collect::<Result<String>>()?;
    fs::write(out.join("SHA256SUMS"), &sums)?;
    print!("{sums}");
    eprintln!("the archives are in {}", out.display());
    Ok(())
}

/// Builds the program; its path. The static one by a target of its own.
fn build(workspace: &Workspace, profile: Profile, target: Option<&str>) -> Result<PathBuf> {
    let name = match profile {
        Profile::Release => "release",
        Profile::Dist => "dist",
    };
    let mut cargo = workspace.command("cargo");
    cargo.args(["build", "--locked", "--package", "cytobox", "--bin", "cytobox", "--profile", name]);
    let mut folder = workspace.target.clone();
    if let Some(target) = target {
        cargo.args(["--target", target]);
        folder.push(target);
    }
    stream::plain(&mut cargo)?;
    Ok(folder.join(name).join(format!("cytobox{}", std::env::consts::EXE_SUFFIX)))
}

/// `NAME.tar.gz` with the folder `NAME`.
fn program_archive(workspace: &Workspace, out: &Path, name: &str, program: &Path) -> Result<PathBuf> {
    let file = program.file_name().context("the program has no name")?.to_string_lossy();
    let mut entries = vec![Entry { name: format!("{name}/{file}"), path: program.to_owned(), program: true }];
    entries.extend(PAPERS.map(|paper| {
        let path = workspace.root.join(paper);
        Entry { name: format!("{name}/{paper}"), path, program: false }
    }));
    let archive = out.join(format!("{name}.tar.gz"));
    tar_gz(BufWriter::new(File::create(&archive)?), &entries)?;
    Ok(archive)
}

/// The same files give the same bytes, whoever packs them and when.
fn tar_gz(to: impl Write, entries: &[Entry]) -> Result<()> {
    let mut tar = tar::Builder::new(GzEncoder::new(to, Compression::best()));
    for entry in entries {
        let (file, size) = open(entry)?;
        let mut header = tar::Header::new_gnu();
        header.set_size(size);
        header.set_mode(if entry.program { 0o755 } else { 0o644 });
        tar.append_data(&mut header, &entry.name, file)?;
    }
    tar.into_inner()?.finish()?.flush()?;
    Ok(())
}

/// As [`tar_gz`].
fn zip(to: impl Write + Seek, entries: &[Entry]) -> Result<()> {
    let mut zip = ZipWriter::new(to);
    for entry in entries {
        let (mut file, _) = open(entry)?;
        let options = SimpleFileOptions::default()
            .compression_method(CompressionMethod::Deflated)
            .last_modified_time(DateTime::default())
            .unix_permissions(0o644);
        zip.start_file(&entry.name, options)?;
        io::copy(&mut file, &mut zip)?;
    }
    zip.finish()?.flush()?;
    Ok(())
}

fn open(entry: &Entry) -> Result<(BufReader<File>, u64)> {
    let path = &entry.path;
    let file = File::open(path).with_context(|| format!("cannot read {}", path.display()))?;
    let size = file.metadata()?.len();
    Ok((BufReader::new(file), size))
}

/// All files of a folder and of those below it, in order of name, as `NAME/...`. Not the hidden ones: trunk leaves `.stage` behind
/// when it is interrupted.
fn files_below(folder: &Path, name: &str) -> Result<Vec<Entry>> {
    let mut entries = Vec::new();
    let listed = fs::read_dir(folder).with_context(|| format!("cannot list {}", folder.display()))?;
    for found in listed {
        let path = found?.path();
        let file = path.file_name().map(|file| file.to_string_lossy()).unwrap_or_default();
        if file.starts_with('.') {
            continue;
        }
        let name = format!("{name}/{file}");
        if path.is_dir() {
            entries.extend(files_below(&path, &name)?);
        } else {
            entries.push(Entry { name, path, program: false });
        }
    }
    entries.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(entries)
}

/// The line of a file that `sha256sum --check` reads.
fn sum_line(path: &Path) -> Result<String> {
    let mut file = File::open(path)?;
    let mut hash = Sha256::new();
    let mut buffer = vec![0; 1 << 16];
    loop {
        match file.read(&mut buffer)? {
            0 => break,
            read => hash.update(&buffer[..read]),
        }
    }
    let hex: String = hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
    Ok(format!("{hex}  {}\n", path.file_name().context("the archive has no name")?.to_string_lossy()))
}

/// The package's version in its manifest.
fn version(manifest: &str) -> Result<&str> {
    let line = manifest.lines().find_map(|line| line.strip_prefix("version = \""));
    line.and_then(|rest| rest.strip_suffix('"')).context("Cargo.toml has no version")
}

/// The target that cargo builds for when it is told none.
fn host(workspace: &Workspace) -> Result<String> {
    let text = workspace.ask("rustc", &["--version", "--verbose"]).unwrap_or_default();
    match text.lines().find_map(|line| line.strip_prefix("host: ")) {
        Some(host) => Ok(host.to_owned()),
        None => bail!("`rustc --version --verbose` names no host"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Cursor;

    /// A folder of its own, removed at the end.
    struct Folder(PathBuf);

    impl Folder {
        fn new(name: &str) -> Self {
            let path = std::env::temp_dir().join(format!("xtask-{name}-{}", std::process::id()));
            fs::create_dir_all(path.join("js")).unwrap();
            fs::create_dir_all(path.join(".stage")).unwrap();
            fs::write(path.join(".stage/b.txt"), "of an interrupted build").unwrap();
            fs::write(path.join("b.txt"), "b").unwrap();
            fs::write(path.join("js/a.js"), "a".repeat(1000)).unwrap();
            Self(path)
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            fs::remove_dir_all(&self.0).ok();
        }
    }

    #[test]
    fn the_page_s_archive_has_every_file_and_the_same_bytes_each_time() {
        let folder = Folder::new("zip");
        let entries = files_below(&folder.0, "page").unwrap();
        let pack = || {
            let mut bytes = Cursor::new(Vec::new());
            zip(&mut bytes, &entries).unwrap();
            bytes.into_inner()
        };
        assert_eq!(pack(), pack());
        let mut archive = zip::ZipArchive::new(Cursor::new(pack())).unwrap();
        let names: Vec<String> = archive.file_names().map(|name| name.unwrap().into_owned()).collect();
        assert_eq!(names, ["page/b.txt", "page/js/a.js"]);
        let mut text = String::new();
        archive.by_name("page/js/a.js").unwrap().read_to_string(&mut text).unwrap();
        assert_eq!(text, "a".repeat(1000));
    }

    #[test]
    fn the_program_s_archive_keeps_the_program_executable_and_has_the_same_bytes_each_time() {
        let folder = Folder::new("tar");
        let entry = |name: &str, file, program| Entry { name: name.into(), path: folder.0.join(file), program };
        let pack = || {
            let mut bytes = Vec::new();
            tar_gz(&mut bytes, &[entry("c/cytobox", "js/a.js", true), entry("c/README.md", "b.txt", false)]).unwrap();
            bytes
        };
        let bytes = pack();
        assert_eq!(bytes, pack());
        let mut archive = tar::Archive::new(flate2::read::GzDecoder::new(bytes.as_slice()));
        let found: Vec<(String, u32, u64)> = archive
            .entries()
            .unwrap()
            .map(|entry| {
                let entry = entry.unwrap();
                let name = entry.path().unwrap().to_string_lossy().into_owned();
                (name, entry.header().mode().unwrap(), entry.size())
            })
            .collect();
        assert_eq!(found, [("c/cytobox".into(), 0o755, 1000), ("c/README.md".into(), 0o644, 1)]);
    }

    #[test]
    fn the_sums_are_those_of_sha256sum() {
        let folder = Folder::new("sums");
        let expected = "3e23e8160039594a33894f6564e1b1348bbd7a0088d42c4acb73eeaed59c009d  b.txt\n";
        assert_eq!(sum_line(&folder.0.join("b.txt")).unwrap(), expected);
    }

    #[test]
    fn the_version_is_the_package_s() {
        assert_eq!(version("[package]\nname = \"a\"\nversion = \"1.2.3\"\n").unwrap(), "1.2.3");
        assert!(version("[package]\nname = \"a\"\n").is_err());
    }
}
