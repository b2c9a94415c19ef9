//! For formats that are zip archives themselves. Several files are zipped by the page, which can do so without holding them.

use std::io::{Cursor, Write};

use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

use crate::error::{Error, Result};
use crate::export::NamedBytes;

/// The files in one zip archive; the same files give the same bytes.
///
/// # Errors
/// Two files of one name.
pub(super) fn zip(files: &[NamedBytes]) -> Result<Vec<u8>> {
    let failed =
        |name: &str, reason: &dyn std::fmt::Display| Error::Io { path: name.to_owned(), reason: reason.to_string() };
    // The default time is the beginning of 1980, where the format's calendar starts.
    let options = SimpleFileOptions::default().compression_method(CompressionMethod::Deflated);
    let mut archive = ZipWriter::new(Cursor::new(Vec::new()));
    for file in files {
        archive.start_file(file.name.as_str(), options).map_err(|e| failed(&file.name, &e))?;
        archive.write_all(&file.bytes).map_err(|e| failed(&file.name, &e))?;
    }
    Ok(archive.finish().map_err(|e| failed("archive", &e))?.into_inner())
}
