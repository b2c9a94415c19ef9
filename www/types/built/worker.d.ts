// What wasm-bindgen writes beside the page when it is built, as far as the page uses it.

/** Loads the module and runs it. */
export default function init(options: { module_or_path: URL }): Promise<unknown>;
