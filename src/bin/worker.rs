//! The web worker that owns the device and the detector.

fn main() {
    #[cfg(target_arch = "wasm32")]
    {
        run_constructors();
        cytobox::web::start();
    }
    #[cfg(not(target_arch = "wasm32"))]
    eprintln!("This program is the page's web worker; `cargo xtask serve` builds and serves it.");
}

/// Does what crates want done before `main`, once. Of a program that does not do this by itself wasm-ld wraps every
/// export, and it is done again at each call from JavaScript: 0.65 ms for every string that crosses over.
#[cfg(target_arch = "wasm32")]
fn run_constructors() {
    unsafe extern "C" {
        fn __wasm_call_ctors();
    }
    // SAFETY: the linker makes this function; it takes nothing, and it is called here alone, before anything else.
    unsafe { __wasm_call_ctors() }
}
