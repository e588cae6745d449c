/* How the crowd elements look: the portal's colours and shapes (src/style.css). */

const COLOURS = `
  --bg: #faf9f7; --panel: #ffffff; --ink: #1c1917; --mute: #6a635b; --line: #e5e0d9;
  --accent: #b93c0a; --accent-ink: #ffffff; --accent-soft: #fdf0e9;
  --good: #157a3c; --bad: #b3201f; --bad-soft: #fdeceb;`;

const DARK = `
  --bg: #141416; --panel: #1d1d21; --ink: #ededf0; --mute: #a3a3ad; --line: #303037;
  --accent: #fb8f4d; --accent-ink: #1a0f08; --accent-soft: #2e211a;
  --good: #5cc98a; --bad: #ff8a85; --bad-soft: #381d1d;`;

/** For the document: :where() keeps it weaker than anything that the template says. */
const PAGE = `
:where(:root) { ${COLOURS} color-scheme: light; background: var(--bg); color: var(--ink);
  font: 16px/1.55 system-ui, -apple-system, 'Segoe UI', Roboto, 'Noto Sans', sans-serif; }
@media (prefers-color-scheme: dark) {
  :where(:root[data-hone-dark]) { ${DARK} color-scheme: dark; }
}
:where(body) { margin: 0; padding: clamp(0.75rem, 3vw, 2rem); }
:where(crowd-form) { display: block; max-width: 60rem; margin: 0 auto; }
:where(img, video) { max-width: 100%; }
short-instructions, full-instructions, classification-target, short-summary, detailed-instructions,
positive-example, negative-example { display: block; }
crowd-form:not(:defined), crowd-classifier:not(:defined) { visibility: hidden; }
`;

const SHARED = `
:host { display: block; }
:host([hidden]) { display: none; }
*, *::before, *::after { box-sizing: border-box; }
h2, h3, p { margin: 0; }
h2 { font-size: 1.25rem; line-height: 1.3; letter-spacing: -0.01em; }
h3 { font-size: 0.9375rem; }
button, input, textarea, select { font: inherit; color: inherit; }
button { cursor: pointer; border: 1px solid var(--line); border-radius: 8px; background: var(--panel);
  padding: 0.375rem 0.875rem; min-height: 2.5rem; }
button:hover { border-color: var(--mute); }
button:disabled { opacity: 0.6; cursor: default; }
.primary { background: var(--accent); border-color: var(--accent); color: var(--accent-ink); font-weight: 600; }
.primary:hover { border-color: var(--accent); filter: brightness(1.07); }
.link { border: 0; background: none; padding: 0; min-height: 0; color: var(--accent); text-decoration: underline;
  text-underline-offset: 2px; }
:focus-visible { outline: 2px solid var(--accent); outline-offset: 2px; }
.mute { color: var(--mute); }
.error { color: var(--bad); font-size: 0.875rem; }
.error:empty { display: none; }
.card { background: var(--panel); border: 1px solid var(--line); border-radius: 14px; }
kbd { font: 600 0.75rem/1 ui-monospace, 'SF Mono', Menlo, Consolas, monospace; border: 1px solid currentcolor;
  border-radius: 4px; padding: 0.1875rem 0.3125rem; opacity: 0.65; }
dialog { border: 1px solid var(--line); border-radius: 14px; padding: 1.5rem; background: var(--panel);
  color: var(--ink); width: min(40rem, calc(100vw - 2rem)); max-height: calc(100vh - 2rem); }
dialog::backdrop { background: rgb(0 0 0 / 45%); }
dialog .close { float: right; }

/* a form */
.submit { display: flex; align-items: center; gap: 1rem; margin-top: 1.5rem; }
.submit button { min-width: 8rem; display: inline-flex; align-items: center; justify-content: center; gap: 0.5rem; }

/* a classifier */
.layout { display: grid; gap: 1.25rem; }
.main { display: grid; gap: 1.25rem; min-width: 0; }
.target { padding: clamp(1rem, 3vw, 1.75rem); font-size: 1.125rem; line-height: 1.6; overflow-wrap: anywhere; }
.choices { display: grid; gap: 0.5rem; border: 0; margin: 0; padding: 0; min-width: 0; }
.choices legend { padding: 0; font-size: 0.875rem; color: var(--mute); margin-bottom: 0.5rem; }
.choice { display: flex; align-items: center; gap: 0.75rem; padding: 0.625rem 1rem; min-height: 3rem; cursor: pointer;
  background: var(--panel); border: 1px solid var(--line); border-radius: 10px; user-select: none; }
.choice:hover { border-color: var(--mute); }
.choice:has(:checked) { border-color: var(--accent); background: var(--accent-soft); box-shadow: inset 0 0 0 1px var(--accent); }
.choice:has(:focus-visible) { outline: 2px solid var(--accent); outline-offset: 2px; }
.choice input { accent-color: var(--accent); width: 1.125rem; height: 1.125rem; margin: 0; flex: none; outline: none; }
.choice .label { flex: 1; min-width: 0; overflow-wrap: anywhere; }
.choice.apart { margin-top: 0.5rem; }
.side { display: grid; gap: 0.75rem; align-content: start; padding: 1rem 1.25rem; font-size: 0.9375rem; }
.side[hidden] { display: none; }
.side ::slotted(*) { color: var(--mute); }
.side .link { justify-self: start; }
@media (max-width: 51.99rem) {
  .layout > .side { order: -1; padding: 0.625rem 1rem; gap: 0.25rem; }
  .side h3 { display: none; }
}
@media (min-width: 52rem) {
  .layout.sided { grid-template-columns: minmax(0, 1fr) 17rem; align-items: start; }
}
@media (hover: none) and (pointer: coarse) { kbd { display: none; } }

/* controls */
.field { display: grid; gap: 0.25rem; margin: 0.75rem 0; }
.field > span { font-size: 0.875rem; font-weight: 600; }
.field input, .field textarea { border: 1px solid var(--line); border-radius: 8px; background: var(--panel);
  padding: 0.5rem 0.75rem; width: 100%; }
.field input[type='range'] { padding: 0; accent-color: var(--accent); }
.tick { display: inline-flex; align-items: baseline; gap: 0.625rem; padding: 0.25rem 0; cursor: pointer; }
.tick input { accent-color: var(--accent); width: 1.0625rem; height: 1.0625rem; transform: translateY(0.125rem);
  margin: 0; flex: none; }
.alert { display: flex; gap: 1rem; justify-content: space-between; padding: 0.75rem 1rem; border-radius: 10px;
  border: 1px solid var(--line); border-left: 4px solid var(--mute); background: var(--panel); margin: 0.75rem 0; }
.alert.success { border-left-color: var(--good); }
.alert.error { border-left-color: var(--bad); color: var(--bad); font-size: inherit; }
.alert.warning { border-left-color: var(--accent); }
.cardbox { overflow: hidden; }
.cardbox img { display: block; width: 100%; }
.cardbox .body { padding: 1rem 1.25rem; display: grid; gap: 0.5rem; }
.badge { display: inline-block; min-width: 1.25rem; padding: 0 0.375rem; border-radius: 99px; text-align: center;
  font-size: 0.75rem; line-height: 1.25rem; background: var(--accent); color: var(--accent-ink); }
.tabs { display: flex; gap: 0.25rem; border-bottom: 1px solid var(--line); }
.tabs button { border: 0; border-radius: 0; background: none; border-bottom: 2px solid transparent; }
.tabs button[aria-selected='true'] { border-bottom-color: var(--accent); color: var(--accent); font-weight: 600; }
`;

let shared: CSSStyleSheet | null = null;

/** Give a shadow root the shared sheet: one object for all of them, where the browser can. */
export function sheet(root: ShadowRoot): void {
  if ('adoptedStyleSheets' in root && typeof CSSStyleSheet.prototype.replaceSync === 'function') {
    if (!shared) {
      shared = new CSSStyleSheet();
      shared.replaceSync(SHARED);
    }
    root.adoptedStyleSheets = [shared];
    return;
  }
  const style = document.createElement('style');
  style.textContent = SHARED;
  root.append(style);
}

export function themePage(): void {
  const style = document.createElement('style');
  style.dataset.hone = '';
  style.textContent = PAGE;
  document.head.prepend(style); // first, so that the template's own rules come after it
}

/** Dark only where the template brings no colours of its own: they were chosen for a white page. */
export function allowDark(): void {
  const coloured =
    document.querySelector('style:not([data-hone]), link[rel~="stylesheet"], [bgcolor]') !== null ||
    [...document.querySelectorAll<HTMLElement>('[style]')].some((element) =>
      /(^|[;\s])(color|background(-color)?)\s*:/i.test(element.getAttribute('style') ?? ''),
    );
  document.documentElement.toggleAttribute('data-hone-dark', !coloured);
}
