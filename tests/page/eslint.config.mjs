// Types are tsc's affair and layout is prettier's; here is what neither sees.
import js from '@eslint/js';
import globals from 'globals';

export default [
  js.configs.recommended,
  {
    files: ['**/*.js'],
    languageOptions: { globals: globals.browser },
    rules: {
      eqeqeq: ['error', 'always', { null: 'ignore' }],
      'no-console': ['error', { allow: ['error'] }],
      'no-eval': 'error',
      'no-implied-eval': 'error',
      'no-var': 'error',
      'prefer-const': ['error', { destructuring: 'all' }],
      'no-unused-vars': ['error', { ignoreRestSiblings: true, argsIgnorePattern: '^_' }],
      'no-restricted-properties': [
        'error',
        { property: 'innerHTML', message: 'A label could become markup: text goes in as text nodes (ui/dom.js).' },
        { property: 'outerHTML', message: 'A label could become markup: text goes in as text nodes (ui/dom.js).' },
        { property: 'insertAdjacentHTML', message: 'A label could become markup: text goes in as text nodes (ui/dom.js).' },
      ],
      'no-restricted-globals': ['error', { name: 'event', message: 'Take it as a parameter.' }, { name: 'name', message: 'A property of the window.' }],
    },
  },
  { files: ['**/*.mjs'], languageOptions: { globals: globals.node } },
];
