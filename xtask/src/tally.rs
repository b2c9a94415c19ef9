//! Counts tests from the closing lines of the runners.

use std::fmt;
use std::ops::AddAssign;

/// The number of tests that a runner reports.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Tally {
    pub passed: u64,
    pub failed: u64,
    pub skipped: u64,
}

impl AddAssign for Tally {
    fn add_assign(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.skipped += other.skipped;
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} passed, {} failed, {} skipped", self.passed, self.failed, self.skipped)
    }
}

/// Reads one line of output: the closing line of `cargo test` and of wasm-bindgen's runner, or one of the closing lines
/// of `node --test`. `None` for any other line.
pub fn closing_line(line: &str) -> Option<Tally> {
    let line = strip_colours(line);
    let line = line.trim();
    let mut tally = Tally::default();
    if let Some(counts) = line.strip_prefix("test result: ") {
        // "ok. 3 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.01s"
        let counts = counts.split_once(". ")?.1;
        for part in counts.split(';') {
            match part.trim().split_once(' ') {
                Some((count, "passed")) => tally.passed = count.parse().ok()?,
                Some((count, "failed")) => tally.failed = count.parse().ok()?,
                Some((count, "ignored")) => tally.skipped = count.parse().ok()?,
                _ => {}
            }
        }
        return Some(tally);
    }
    let (name, count) = line.strip_prefix("ℹ ")?.split_once(' ')?;
    let count = count.parse().ok()?;
    match name {
        "pass" => tally.passed = count,
        "fail" | "cancelled" => tally.failed = count,
        "skipped" | "todo" => tally.skipped = count,
        _ => return None,
    }
    Some(tally)
}

/// A test that was left out: its name and why, as the runners print them.
pub fn skipped_test(line: &str) -> Option<String> {
    let line = strip_colours(line);
    let line = line.trim();
    if let Some((name, reason)) = line.strip_prefix("test ").and_then(|rest| rest.split_once(" ... ignored")) {
        return Some(named(name, reason.trim_start_matches(", ")));
    }
    // "﹣ name (0.1ms) # reason"
    let (name, reason) = line.strip_prefix("﹣ ")?.rsplit_once(" # ")?;
    Some(named(name.rsplit_once(" (").map_or(name, |(name, _)| name), reason))
}

fn named(name: &str, reason: &str) -> String {
    let reason = if reason.is_empty() { "no reason given" } else { reason };
    format!("{name}: {reason}")
}

/// What a reason for leaving a test out begins with where no data and no setting can help.
const MACHINE: &str = "this machine has no ";

/// Whether a test was left out that could have been run, by what [`skipped_test`] says of it.
pub fn could_run(skipped: &str) -> bool {
    !skipped.split_once(": ").is_some_and(|(_, reason)| reason.contains(MACHINE))
}

/// Drops `ESC [ ... letter`, which runners put round words when they print to a terminal.
fn strip_colours(line: &str) -> String {
    let mut plain = String::with_capacity(line.len());
    let mut chars = line.chars();
    while let Some(c) = chars.next() {
        if c == '\u{1b}' {
            chars.by_ref().skip(1).find(char::is_ascii_alphabetic);
        } else {
            plain.push(c);
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn closing_lines_of_cargo_are_counted() {
        let line = "test result: ok. 31 passed; 0 failed; 2 ignored; 0 measured; 5 filtered out; finished in 0.01s";
        assert_eq!(closing_line(line), Some(Tally { passed: 31, failed: 0, skipped: 2 }));
        let line = "test result: \u{1b}[31mFAILED\u{1b}[0m. 1 passed; 4 failed; 0 ignored; 0 filtered out";
        assert_eq!(closing_line(line), Some(Tally { passed: 1, failed: 4, skipped: 0 }));
    }

    #[test]
    fn closing_lines_of_node_are_counted() {
        let mut sum = Tally::default();
        for line in
            ["ℹ tests 9", "ℹ pass 5", "ℹ fail 1", "ℹ cancelled 1", "ℹ skipped 2", "ℹ todo 0", "ℹ duration_ms 8.5"]
        {
            sum += closing_line(line).unwrap_or_default();
        }
        assert_eq!(sum, Tally { passed: 5, failed: 2, skipped: 2 });
        assert_eq!(closing_line("\u{1b}[34mℹ pass 5\u{1b}[39m"), Some(Tally { passed: 5, failed: 0, skipped: 0 }));
    }

    #[test]
    fn other_lines_are_not() {
        for line in ["", "test boxes::tests::iou ... ok", "running 3 tests", "ℹ tests 9", "ℹ pass many", "3 passed"]
        {
            assert_eq!(closing_line(line), None, "{line:?}");
        }
    }

    #[test]
    fn skipped_tests_are_named_with_their_reason() {
        let found = |line| skipped_test(line).unwrap();
        assert_eq!(found("test a::b ... ignored, minutes"), "a::b: minutes");
        assert_eq!(found("test a::b ... \u{1b}[33mignored\u{1b}[0m"), "a::b: no reason given");
        assert_eq!(
            found("  ﹣ boxes (by mouse) (0.12ms) # skipped: no real data"),
            "boxes (by mouse): skipped: no real data"
        );
        for line in ["test a ... ok", "✔ boxes (1.5ms)", "﹣ begun", "test result: ok. 1 passed; 0 failed; 1 ignored"]
        {
            assert_eq!(skipped_test(line), None, "{line}");
        }
        assert!(could_run("boxes: skipped: no real data") && could_run("boxes"));
        assert!(!could_run("boxes: this machine has no graphics card"));
    }

    #[test]
    fn the_summary_is_the_plain_closing_line() {
        assert_eq!(Tally { passed: 3, failed: 1, skipped: 2 }.to_string(), "3 passed, 1 failed, 2 skipped");
    }
}
