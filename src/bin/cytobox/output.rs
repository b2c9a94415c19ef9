//! What goes to standard output.

use std::{
    fmt,
    io::{ErrorKind, Write, stdout},
};

/// As `println!`; but a reader that has gone, such as `head`, is no failure, and a disk that is full is one with a sentence.
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
        eprintln!("cytobox: the output cannot be written: {error}");
        std::process::exit(1);
    }
}
