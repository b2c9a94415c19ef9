//! Printing to standard output.

use std::{
    fmt,
    io::{ErrorKind, Write, stdout},
};

/// Like `println!`, but a closed pipe (such as `head`) is not an error, and a full disk is reported instead of causing a panic.
macro_rules! say {
    ($($text:tt)*) => {
        $crate::output::line(format_args!($($text)*))
    };
}
pub(crate) use say;

pub fn line(text: fmt::Arguments) {
    if let Err(error) = writeln!(stdout(), "{text}")
        && error.kind() != ErrorKind::BrokenPipe
    {
        eprintln!("cytobox: cannot write the output: {error}");
        std::process::exit(1);
    }
}
