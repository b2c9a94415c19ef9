//! Which images a command is about: paths, a list, and the folder that names and shards are relative to.

use std::{
    fs,
    io::{BufRead, BufReader, Read, stdin},
    path::{Path, PathBuf},
};

use anyhow::Context;
use cytobox::{channels::Groups, scan::Names};

use crate::images::{self, Failures};

/// The images of a run.
#[derive(clap::Args)]
pub struct Inputs {
    /// Images or folders.
    #[arg(required_unless_present = "list")]
    paths: Vec<PathBuf>,
    /// A text file with images or folders, one path a line; `-` reads standard input.
    #[arg(long, value_name = "FILE")]
    list: Option<PathBuf>,
    /// The folder that names in the results and shards are relative to; when absent the given folder, or the innermost one
    /// that holds everything given. Give it with --list and --shard: then a longer list moves no image to another shard.
    #[arg(long, value_name = "FOLDER")]
    root: Option<PathBuf>,
}

/// The images that were found.
pub struct Found {
    pub groups: Groups,
    pub names: Names,
    pub failures: Failures,
}

impl Inputs {
    /// What is not an image, and what is odd about one, is said. A path of the list that does not exist is among the
    /// failures; one of the command line is an error.
    pub fn find(&self) -> anyhow::Result<Found> {
        let mut paths = self.paths.clone();
        let mut missing = Vec::new();
        if let Some(list) = &self.list {
            for path in read_list(list).with_context(|| format!("--list {}", list.display()))? {
                match fs::metadata(&path) {
                    Ok(_) => paths.push(path),
                    Err(e) => missing.push((path, e)),
                }
            }
        }
        let (groups, mut failures) = images::find(&paths)?;
        missing.iter().for_each(|(path, e)| failures.cannot_read(path.display().to_string(), e));
        let names = Names::below(&paths, self.root.as_deref(), &groups)?;
        Ok(Found { groups, names, failures })
    }
}

fn read_list(list: &Path) -> std::io::Result<Vec<PathBuf>> {
    let reader: Box<dyn Read> =
        if list == Path::new("-") { Box::new(stdin().lock()) } else { Box::new(fs::File::open(list)?) };
    let mut paths = Vec::new();
    for line in BufReader::new(reader).split(b'\n') {
        let line = line?;
        let line = line.strip_suffix(b"\r").unwrap_or(&line);
        if !line.trim_ascii().is_empty() {
            paths.push(path(line));
        }
    }
    Ok(paths)
}

/// Names of files need not be text.
#[cfg(unix)]
fn path(line: &[u8]) -> PathBuf {
    use std::os::unix::ffi::OsStrExt;
    PathBuf::from(std::ffi::OsStr::from_bytes(line))
}

#[cfg(not(unix))]
fn path(line: &[u8]) -> PathBuf {
    PathBuf::from(String::from_utf8_lossy(line).into_owned())
}
