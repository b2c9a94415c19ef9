export default { singleQuote: true, printWidth: 140 };
