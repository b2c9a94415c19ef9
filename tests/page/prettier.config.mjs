// The layout of the page's scripts: lines may be long where a sentence is.
export default { singleQuote: true, printWidth: 160 };
