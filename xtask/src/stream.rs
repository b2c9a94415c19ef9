//! Runs a command, passes its output on immediately, and keeps the test runner's closing lines.

use std::io::{self, IsTerminal, Read, Write};
use std::process::{Command, Stdio};
use std::thread;

use anyhow::{Context, Result, anyhow};

use crate::tally::{Tally, closing_line, skipped_test};

/// A line longer than this says nothing of a test; its start is enough to know that.
const LONGEST_LINE: usize = 4096;

/// What a command left behind.
pub struct Finished {
    pub success: bool,
    pub tally: Tally,
    /// The runner's closing lines, as printed.
    pub closing: Vec<String>,
    /// Tests that were left out, each with the reason.
    pub skipped: Vec<String>,
}

/// Runs the command to its end with its output passed on and watched.
pub fn watched(command: &mut Command) -> Result<Finished> {
    announce(command);
    if io::stdout().is_terminal() {
        // cargo sees a pipe, not the terminal behind it.
        command.env("CARGO_TERM_COLOR", "always").env("FORCE_COLOR", "1");
    }
    let mut child =
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().with_context(|| start_error(command))?;
    let out = child.stdout.take().context("no pipe for the output")?;
    let err = child.stderr.take().context("no pipe for the errors")?;
    let errors = thread::spawn(move || pass_on(err, io::stderr()));
    let mut lines = pass_on(out, io::stdout())?;
    lines.extend(errors.join().map_err(|_| anyhow!("the thread that reads the errors failed"))??);
    let skipped = lines.iter().filter_map(|line| skipped_test(line)).collect();
    lines.retain(|line| closing_line(line).is_some());
    let mut tally = Tally::default();
    for line in &lines {
        tally += closing_line(line).unwrap_or_default();
    }
    Ok(Finished { success: child.wait()?.success(), tally, closing: lines, skipped })
}

/// Runs the command to its end on this terminal; an error when it fails.
pub fn plain(command: &mut Command) -> Result<()> {
    announce(command);
    let status = command.status().with_context(|| start_error(command))?;
    if status.success() { Ok(()) } else { Err(anyhow!("`{}` failed ({status})", line(command))) }
}

/// The command as a person would type it.
pub fn line(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words.map(|word| word.to_string_lossy().into_owned()).collect::<Vec<_>>().join(" ")
}

fn announce(command: &Command) {
    eprintln!("\n$ {}", line(command));
}

fn start_error(command: &Command) -> String {
    format!("cannot start `{}`", command.get_program().to_string_lossy())
}

/// Copies `from` to `to` immediately, byte by byte, and returns the closing lines and skipped tests that went by.
fn pass_on(mut from: impl Read, mut to: impl Write) -> io::Result<Vec<String>> {
    let mut kept = Vec::new();
    let mut pending = Vec::new();
    let mut keep = |line: &[u8]| {
        let line = String::from_utf8_lossy(line);
        if closing_line(&line).is_some() || skipped_test(&line).is_some() {
            kept.push(line.trim_end().to_owned());
        }
    };
    let mut buffer = [0; 8192];
    loop {
        let read = match from.read(&mut buffer) {
            Ok(0) => break,
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        to.write_all(&buffer[..read])?;
        to.flush()?;
        for &byte in &buffer[..read] {
            if byte == b'\n' {
                keep(&pending);
                pending.clear();
            } else if pending.len() < LONGEST_LINE {
                pending.push(byte);
            }
        }
    }
    keep(&pending);
    Ok(kept)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Gives its bytes in pieces of three, as a pipe may.
    struct Pieces<'a>(&'a [u8]);

    impl Read for Pieces<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let count = self.0.len().min(3);
            buffer[..count].copy_from_slice(&self.0[..count]);
            self.0 = &self.0[count..];
            Ok(count)
        }
    }

    #[test]
    fn output_is_passed_on_unchanged_and_closing_lines_are_kept() {
        let long = "x".repeat(2 * LONGEST_LINE);
        let text =
            format!("running 1 test\r\n\u{1f52c} {long}\nℹ pass 2\ntest result: ok. 1 passed; 0 failed; 0 ignored");
        let mut copy = Vec::new();
        let closing = pass_on(Pieces(text.as_bytes()), &mut copy).unwrap();
        assert_eq!(copy, text.as_bytes());
        assert_eq!(closing, ["ℹ pass 2", "test result: ok. 1 passed; 0 failed; 0 ignored"]);
    }

    #[test]
    fn a_missing_command_is_an_error() {
        let error = watched(&mut Command::new("cytobox-no-such-program")).err().unwrap();
        assert_eq!(error.to_string(), "cannot start `cytobox-no-such-program`");
    }
}
