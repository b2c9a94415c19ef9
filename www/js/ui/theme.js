/** Light or dark: the system's choice until the user makes one, which is kept in this browser. */
import { byId } from './dom.js';

const KEY = 'cytobox.theme';

function read() {
  try {
    return localStorage.getItem(KEY);
  } catch {
    return null;
  }
}

/** @param {string} theme */
function write(theme) {
  try {
    localStorage.setItem(KEY, theme);
  } catch {
    // A browser that keeps nothing still shows the theme until the page is closed.
  }
}

const system = matchMedia('(prefers-color-scheme: dark)');

/** Whether the page is dark now. */
export function isDark() {
  return (document.documentElement.dataset.theme ?? (system.matches ? 'dark' : 'light')) === 'dark';
}

export function startTheme() {
  const button = byId('theme');
  const draw = () => {
    const other = isDark() ? 'light' : 'dark';
    button.title = `Switch to the ${other} theme`;
    button.setAttribute('aria-label', button.title);
  };
  const saved = read();
  if (saved === 'light' || saved === 'dark') document.documentElement.dataset.theme = saved;
  button.addEventListener('click', () => {
    const theme = isDark() ? 'light' : 'dark';
    document.documentElement.dataset.theme = theme;
    write(theme);
    draw();
  });
  system.addEventListener('change', draw);
  draw();
}
