// As much of a browser as the page's pure parts touch when they are loaded.

globalThis.document = { hidden: false, addEventListener() {} };
globalThis.requestAnimationFrame = (run) => setTimeout(run);
