/* The frame's half of the conversation with the page around it (docs/api.md, 'The frame'), and
 * the keys: choices, Enter, instructions; what is left goes to the page. */
import { CHOICE_KEYS, isChoosing, type Choosing } from './base';
import { CrowdForm } from './form';
import type { CrowdInstructions } from './display';
import type { Instructions } from './regions';

function tell(message: Record<string, unknown>): void {
  // '*': only our own page may embed a frame, which its response says; nobody else listens
  if (parent !== window) parent.postMessage(message, '*');
}

function form(): CrowdForm | null {
  return document.querySelector<CrowdForm>('crowd-form');
}

/** What the keys choose from: where the focus is, else what is still open, else the first. */
function chooser(): Choosing | null {
  const all = [...document.querySelectorAll('*')].filter(isChoosing);
  const focused = document.activeElement?.closest('crowd-classifier, crowd-classifier-multi-select, crowd-radio-group');
  return all.find((one) => one === focused) ?? all.find((one) => !one.isChosen) ?? all[0] ?? null;
}

function choose(key: string): boolean {
  const index = CHOICE_KEYS.indexOf(key.toLowerCase());
  const from = chooser();
  if (key.length !== 1 || index < 0 || !from || index >= from.choiceLabels.length) return false;
  from.choose(index);
  return true;
}

type WithInstructions = Element & { instructions?: Instructions };

function instructions(): { toggle(): void } | null {
  for (const element of document.querySelectorAll<WithInstructions>('crowd-form, crowd-form *')) {
    if (element.instructions?.exist) return element.instructions;
    if (element.localName === 'crowd-instructions') return element as CrowdInstructions;
  }
  return null;
}

/** The element that has the focus, also inside of shadows. */
function target(event: KeyboardEvent): Element | null {
  const inner = event.composedPath()[0];
  return inner instanceof Element ? inner : null;
}

const TICKS = ['radio', 'checkbox', 'range', 'button', 'submit', 'reset', 'file', 'color', 'image'];

function isText(element: Element | null): boolean {
  if (element instanceof HTMLInputElement) return !TICKS.includes(element.type);
  return element?.matches('textarea, select, [contenteditable]:not([contenteditable="false"])') ?? false;
}

/** Enter submits, unless it means something where the focus is. */
function enterSubmits(element: Element | null): boolean {
  return !element?.matches('button, a[href], textarea, summary, [contenteditable]:not([contenteditable="false"])');
}

function onKey(event: KeyboardEvent): void {
  if (event.defaultPrevented || event.isComposing || event.repeat) return;
  const at = target(event);
  const command = event.ctrlKey || event.metaKey;
  if (event.key === 'Enter' && !event.altKey && (command || enterSubmits(at))) {
    event.preventDefault();
    form()?.submit();
    return;
  }
  if (command || event.altKey) return;
  if (isText(at)) {
    if (event.key === 'Escape') (document.activeElement as HTMLElement | null)?.blur();
    return;
  }
  if (choose(event.key)) {
    event.preventDefault();
  } else if (event.key === 'i' && instructions()) {
    instructions()?.toggle();
  } else if (event.key.length === 1 || event.key === 'Escape') {
    tell({ hone: 'key', key: event.key });
  }
}

function onMessage(event: MessageEvent): void {
  if (event.source !== parent || parent === window) return;
  const message = event.data as { hone?: unknown; key?: unknown } | null;
  switch (message?.hone) {
    case 'submit':
      form()?.submit();
      break;
    case 'choose':
      if (typeof message.key === 'string') choose(message.key);
      break;
    case 'focus':
      if (!document.activeElement || document.activeElement === document.body) window.focus();
      break;
    case 'instructions':
      instructions()?.toggle();
      break;
  }
}

/** Tell the page what there is, once all elements stand. */
export function begin(): void {
  CrowdForm.deliver = (answer) => tell({ hone: 'answer', answer });
  addEventListener('message', onMessage);
  document.addEventListener('keydown', onKey);
}

export function ready(): void {
  const from = chooser();
  const labels = from?.choiceLabels ?? [];
  tell({
    hone: 'ready',
    choices: labels.slice(0, CHOICE_KEYS.length).map((label, index) => ({ key: CHOICE_KEYS[index], label })),
    instructions: instructions() !== null,
  });
  new ResizeObserver(() => tell({ hone: 'height', height: document.documentElement.scrollHeight })).observe(document.body);
}
