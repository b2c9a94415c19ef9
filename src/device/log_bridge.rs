//! Makes errors fatal that the GPU layers only log.
//!
//! On the web a validation error or a shader that does not compile ends as a line in the log, and the computation continues with
//! the old contents of the buffer. This logger keeps the first such line until [`take_fault`] reads it.

use std::sync::Mutex;

use log::{Level, LevelFilter, Log, Metadata, Record};

static FAULT: Mutex<Option<String>> = Mutex::new(None);

struct Bridge;

impl Bridge {
    /// Whether a log target belongs to the layers between burn and the driver.
    fn is_gpu_layer(target: &str) -> bool {
        ["wgpu", "naga", "cubecl", "burn"].iter().any(|layer| target.starts_with(layer))
    }
}

impl Log for Bridge {
    fn enabled(&self, metadata: &Metadata) -> bool {
        metadata.level() <= Level::Warn
    }

    fn log(&self, record: &Record) {
        if !self.enabled(record.metadata()) {
            return;
        }
        let line = format!("{} {}: {}", record.level(), record.target(), record.args());
        if record.level() == Level::Error && Self::is_gpu_layer(record.target()) {
            fault_slot().get_or_insert_with(|| record.args().to_string());
        }
        write_line(record.level(), &line);
    }

    fn flush(&self) {}
}

#[cfg(target_arch = "wasm32")]
fn write_line(level: Level, line: &str) {
    match level {
        Level::Error => web_sys::console::error_1(&line.into()),
        _ => web_sys::console::warn_1(&line.into()),
    }
}

#[cfg(not(target_arch = "wasm32"))]
#[allow(clippy::disallowed_macros, reason = "standard error is the native console")]
fn write_line(_: Level, line: &str) {
    eprintln!("{line}");
}

/// A poisoned lock only means that a thread panicked while logging; the line in it is intact.
fn fault_slot() -> std::sync::MutexGuard<'static, Option<String>> {
    FAULT.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

/// Installs the logger. A second call does nothing; a logger that a program installed before stays in place.
pub fn install() {
    static BRIDGE: Bridge = Bridge;
    if log::set_logger(&BRIDGE).is_ok() {
        log::set_max_level(LevelFilter::Warn);
    }
}

/// Takes the first error that the GPU layers have logged since the last call.
pub fn take_fault() -> Option<String> {
    fault_slot().take()
}

/// The fault is global to the process, so tests that set or take one must not run in parallel.
#[cfg(test)]
pub(super) fn alone() -> std::sync::MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_errors_of_the_gpu_layers_are_faults() {
        let _alone = alone();
        install();
        log::error!(target: "some_app", "not ours");
        log::warn!(target: "wgpu_core::device", "only a warning");
        assert_eq!(take_fault(), None);
        log::error!(target: "cubecl_wgpu::compute", "shader does not compile");
        log::error!(target: "wgpu_core", "a second one");
        assert_eq!(take_fault().as_deref(), Some("shader does not compile"));
        assert_eq!(take_fault(), None);
    }
}
