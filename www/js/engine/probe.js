/** What the browser says about WebGPU, asked before the engine touches it. */

const SOFTWARE = /swiftshader|llvmpipe|lavapipe|basic render/i;

/** @returns {Promise<import('./protocol.js').Probe>} */
export async function probe() {
  const found = {
    secureContext: globalThis.isSecureContext,
    webgpu: Boolean(navigator.gpu),
    adapter: false,
    software: false,
    timestampQuery: false,
    name: '',
  };
  if (!navigator.gpu) return found;
  try {
    const adapter = await navigator.gpu.requestAdapter({ powerPreference: 'high-performance' });
    if (!adapter) return found;
    // Not every browser has `info`, and older ones say on the adapter itself whether it is a software one.
    const info = /** @type {Partial<GPUAdapterInfo>} */ (adapter.info ?? {});
    found.adapter = true;
    found.name = [info.vendor, info.architecture, info.device, info.description].filter(Boolean).join(' ');
    found.software = Boolean(info.isFallbackAdapter ?? Reflect.get(adapter, 'isFallbackAdapter')) || SOFTWARE.test(found.name);
    found.timestampQuery = adapter.features.has('timestamp-query');
  } catch (error) {
    found.name = String(error);
  }
  return found;
}

/** `?device=` of the address. @returns {import('./protocol.js').DeviceChoice} */
export function askedDevice() {
  switch (new URLSearchParams(location.search).get('device')) {
    case 'cpu':
      return 'cpu';
    case 'webgpu':
    case 'gpu':
      return 'gpu';
    case 'software':
      return 'software';
    default:
      return 'auto';
  }
}
