//! The web worker that owns the device and the detector.

#![warn(clippy::expect_used, clippy::unwrap_used)]

fn main() {
    #[cfg(target_arch = "wasm32")]
    {
        run_constructors();
        cytobox::web::start();
    }
    #[cfg(not(target_arch = "wasm32"))]
    eprintln!("This program is the page's web worker; `cargo xtask serve` builds and serves it.");
}

/// Runs the crates' constructors once. If a program does not call them itself, wasm-ld wraps every export and runs them again at
/// each call from JavaScript, which costs 0.65 ms for every string passed.
#[cfg(target_arch = "wasm32")]
fn run_constructors() {
    unsafe extern "C" {
        fn __wasm_call_ctors();
    }
    // SAFETY: the linker generates this function; it takes no arguments and is called only here, before anything else.
    unsafe { __wasm_call_ctors() }
}
