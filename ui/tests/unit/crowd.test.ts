/* The crowd elements answer in A2I's shapes, from templates as people have them. */
import { afterEach, beforeAll, beforeEach, expect, test, vi } from 'vitest';
import { CrowdForm } from '../../crowd/form';
import { begin, ready } from '../../crowd/talk';

let answers: Record<string, unknown>[] = [];

beforeAll(async () => {
  vi.stubGlobal('ResizeObserver', class { observe() {} });
  await import('../../crowd/main');
});

beforeEach(() => {
  answers = [];
  CrowdForm.deliver = (answer) => void answers.push(answer);
});

afterEach(() => document.body.replaceChildren());

/** Put a template on the page; the elements stand when this resolves. */
async function load(html: string): Promise<CrowdForm> {
  document.body.innerHTML = html;
  await new Promise((done) => setTimeout(done));
  return document.querySelector<CrowdForm>('crowd-form')!;
}

function $<T extends HTMLElement>(selector: string): T & { value: unknown } {
  return document.querySelector<T & { value: unknown }>(selector)!;
}

const inside = (host: Element, selector: string) => [...host.shadowRoot!.querySelectorAll<HTMLElement>(selector)];

function press(key: string, options: KeyboardEventInit = {}, at: Element = document.body): KeyboardEvent {
  const event = new KeyboardEvent('keydown', { key, bubbles: true, cancelable: true, composed: true, ...options });
  at.dispatchEvent(event);
  return event;
}

const CLASSIFIER = `<crowd-form><crowd-classifier name="sentiment" header="Which?"
  categories='["Good", "Bad"]'><classification-target> a text </classification-target>
  <full-instructions header="All of it">full</full-instructions><short-instructions>short</short-instructions>
  </crowd-classifier></crowd-form>`;

const MULTI = (more = '') => `<crowd-form><crowd-classifier-multi-select name="category"
  categories="['Positive','Negative', 'Not Clear']" header="Select" ${more}>
  <classification-target>x</classification-target></crowd-classifier-multi-select></crowd-form>`;

test('crowd-classifier answers {label}, in A2I form', async () => {
  const form = await load(CLASSIFIER);
  const classifier = $('crowd-classifier');
  expect(classifier.value).toBeUndefined();
  inside(classifier, 'input')[1]!.click();
  expect(classifier.value).toEqual({ label: 'Bad' });
  form.submit();
  expect(answers).toEqual([{ sentiment: { label: 'Bad' } }]);
});

test('crowd-classifier-multi-select answers {labels} in the order of the categories', async () => {
  const form = await load(MULTI());
  press('3');
  press('1');
  form.submit();
  expect(answers).toEqual([{ category: { labels: ['Positive', 'Not Clear'] } }]);
  press('3'); // a second time takes it back
  expect($('crowd-classifier-multi-select').value).toEqual({ labels: ['Positive'] });
});

test('without a choice a classifier is not submitted, and says so', async () => {
  const form = await load(CLASSIFIER);
  form.submit();
  expect(answers).toEqual([]);
  expect(inside($('crowd-classifier'), '[role=alert]')[0]!.textContent).toMatch(/Choose one/);
});

test('nothing chosen of many needs a second submit; a category for it makes it an error', async () => {
  let form = await load(MULTI());
  form.submit();
  expect(answers).toEqual([]);
  form.submit();
  expect(answers).toEqual([{ category: { labels: [] } }]);

  form = await load(MULTI(`exclusion-category="{ text: 'None of them' }"`));
  form.submit();
  form.submit();
  expect(answers.length).toBe(1);
  press('1');
  press('4');
  expect($('crowd-classifier-multi-select').value).toEqual({ labels: ['None of them'] });
  press('2');
  expect($('crowd-classifier-multi-select').value).toEqual({ labels: ['Negative'] });
});

test('broken categories are said, and nothing is submitted', async () => {
  const form = await load(CLASSIFIER.replace(`'["Good", "Bad"]'`, '"[alert(1)]"'));
  expect(inside($('crowd-classifier'), '[role=alert]')[0]!.textContent).toMatch(/categories: 'alert' is not a value at character 7/);
  form.submit();
  expect(answers).toEqual([]);
});

test('regions, header and keys are shown', async () => {
  await load(CLASSIFIER);
  const classifier = $('crowd-classifier');
  expect(inside(classifier, 'h2')[0]!.textContent).toBe('Which?');
  expect($('classification-target').slot).toBe('target');
  expect($('classification-target').textContent).toBe('a text');
  expect($('short-instructions').slot).toBe('short');
  expect($('full-instructions').slot).toBe('full');
  expect(inside(classifier, 'kbd').map((key) => key.textContent)).toEqual(['1', '2']);
  const dialog = inside(classifier, 'dialog')[0]!;
  press('i');
  expect(dialog.hasAttribute('open')).toBe(true);
  press('i');
  expect(dialog.hasAttribute('open')).toBe(false);
});

test('Enter submits; it does not while one writes or where it means something', async () => {
  await load(`<crowd-form><crowd-classifier name="a" categories="['x']"></crowd-classifier>
    <crowd-text-area name="note"></crowd-text-area><button type="button">b</button></crowd-form>`);
  press('1');
  const area = inside($('crowd-text-area'), 'textarea')[0]!;
  press('Enter', {}, area);
  press('Enter', {}, $('button'));
  press('Enter', { repeat: true });
  press('Enter', { isComposing: true });
  expect(answers.length).toBe(0);
  press('1', {}, area); // a digit in a text is a digit
  expect($('crowd-classifier').value).toEqual({ label: 'x' });
  press('Enter', { ctrlKey: true }, area);
  press('Enter');
  expect(answers.length).toBe(2);
});

test('the page around hears what there is to choose, keys that are not used here, and the answer', async () => {
  const said: Record<string, unknown>[] = [];
  const page = { postMessage: (message: Record<string, unknown>) => said.push(message) };
  vi.stubGlobal('parent', page);
  const tell = (data: unknown, source: unknown = page) =>
    window.dispatchEvent(Object.defineProperty(new MessageEvent('message', { data }), 'source', { value: source }));
  try {
    await load(CLASSIFIER.replace('<classification-target>', '<crowd-input name="t"></crowd-input><classification-target>'));
    begin();
    ready();
    const choices = [{ key: '1', label: 'Good' }, { key: '2', label: 'Bad' }];
    expect(said).toEqual([{ hone: 'ready', choices, instructions: true }]);

    said.length = 0;
    press('s', {}, inside($('crowd-input'), 'input')[0]!);
    press('s', { ctrlKey: true });
    expect(said).toEqual([]);
    press('s');
    press('?');
    press('9'); // there is no such choice
    expect(said.map((message) => message.key)).toEqual(['s', '?', '9']);

    said.length = 0;
    for (const data of [{ hone: 'choose', key: '1' }, { hone: 'submit' }]) tell(data, window);
    expect($('crowd-classifier').value).toBeUndefined(); // not from the page: not heard
    for (const data of [null, 'text', {}, { hone: 'choose', key: 5 }, { hone: 'choose', key: '1' }]) tell(data);
    expect($('crowd-classifier').value).toEqual({ label: 'Good' });
    tell({ hone: 'instructions' });
    expect(inside($('crowd-classifier'), 'dialog')[0]!.hasAttribute('open')).toBe(true);
    tell({ hone: 'submit' });
    expect(said).toEqual([{ hone: 'answer', answer: { sentiment: { label: 'Good' } } }]);
  } finally {
    vi.stubGlobal('parent', window);
  }
});

test('submit is an event that may be prevented, and what it writes is in the answer', async () => {
  const form = await load(`<crowd-form><crowd-input name="t" value="1"></crowd-input>
    <input type="hidden" name="extra"></crowd-form>`);
  let prevent = true;
  form.onsubmit = (event) => {
    $<HTMLInputElement>('[name=extra]').value = `t is ${String($('crowd-input').value)}`;
    if (prevent) event.preventDefault();
  };
  form.submit();
  expect(answers).toEqual([]);
  prevent = false;
  form.submit();
  expect(answers).toEqual([{ t: '1', extra: 't is 1' }]);
});

test('plain HTML controls are gathered', async () => {
  const form = await load(`<crowd-form><input name="a" value="text"><input name="empty">
    <textarea name="b">two\nlines</textarea><select name="c"><option>x</option><option selected>y</option></select>
    <input type="radio" name="r" value="yes" checked><input type="radio" name="r" value="no">
    <input type="checkbox" name="k" checked><input name="off" value="1" disabled>
    <input type="submit" name="go" value="Go"></crowd-form>`);
  form.submit();
  expect(answers).toEqual([
    { a: 'text', b: 'two\nlines', c: 'y', r: { yes: true, no: false }, k: { on: true } },
  ]);
});

test('small crowd controls answer as documented', async () => {
  const form = await load(`<crowd-form>
    <crowd-input name="tag" label="Tag"></crowd-input><crowd-input name="none"></crowd-input>
    <crowd-text-area name="note" value="a\nb"></crowd-text-area>
    <crowd-checkbox name="image" value="blurry" checked>Blurry</crowd-checkbox>
    <crowd-checkbox name="image" value="dim">Dim</crowd-checkbox>
    <crowd-radio-group><crowd-radio-button name="tech" value="tech">Tech</crowd-radio-button>
    <crowd-radio-button name="sport" value="sport">Sport</crowd-radio-button></crowd-radio-group>
    <crowd-toggle-button name="toggle"></crowd-toggle-button>
    <crowd-slider name="much" min="0" max="10" value="7"></crowd-slider>
    <crowd-input name="__proto__" value="own"></crowd-input></crowd-form>`);
  $('crowd-input').value = 'word';
  press('1'); // the group of buttons is what keys choose from
  press('2');
  form.submit();
  const [answer] = answers;
  expect(Object.entries(answer!)).toEqual([
    ['tag', 'word'],
    ['note', 'a\nb'],
    ['image', { blurry: true, dim: false }],
    ['tech', { tech: false }],
    ['sport', { sport: true }],
    ['toggle', { on: false }],
    ['much', 7],
    ['__proto__', 'own'],
  ]);
});

test('required, min-length and form buttons', async () => {
  const form = await load(`<crowd-form><crowd-input name="t" required min-length="3" error-message="at least three"></crowd-input>
    <input name="plain" required><crowd-checkbox name="ok" required>ok</crowd-checkbox>
    <crowd-button form-action="submit">Send</crowd-button><crowd-button form-action="reset">Clear</crowd-button></crowd-form>`);
  const input = $('crowd-input');
  const send = document.querySelectorAll('crowd-button')[0] as HTMLElement;
  const clear = document.querySelectorAll('crowd-button')[1] as HTMLElement;
  expect(inside(form, '.submit button')[0]!.hidden).toBe(true); // the template brings its own
  send.click();
  expect(inside(input, '[role=alert]')[0]!.textContent).toBe('at least three');
  input.value = 'abc';
  send.click();
  expect(inside(form, '.submit [role=alert]')[0]!.textContent).toMatch(/^plain: /);
  $<HTMLInputElement>('[name=plain]').value = 'p';
  send.click();
  expect(answers).toEqual([]);
  ($('crowd-checkbox') as unknown as { checked: boolean }).checked = true;
  send.click();
  expect(answers).toEqual([{ t: 'abc', plain: 'p', ok: { on: true } }]);
  clear.click();
  expect(form.gather()).toEqual({ ok: { on: false } });
});

test('values that a script sets are shown and answered', async () => {
  const form = await load(MULTI());
  const classifier = $('crowd-classifier-multi-select');
  classifier.value = { labels: ['Negative', 'unknown'] };
  expect(inside(classifier, 'input').map((input) => (input as HTMLInputElement).checked)).toEqual([false, true, false]);
  classifier.setAttribute('categories', "['Negative']");
  form.submit();
  expect(answers).toEqual([{ category: { labels: ['Negative'] } }]);
});

test('what only shows something does', async () => {
  await load(`<crowd-form><crowd-alert type="warning" dismissible>mind</crowd-alert>
    <crowd-card heading="Title">body</crowd-card><crowd-badge label="3"></crowd-badge>
    <crowd-instructions link-text="Help"><detailed-instructions>do</detailed-instructions></crowd-instructions>
    <crowd-tabs><crowd-tab header="A">a</crowd-tab><crowd-tab header="B">b</crowd-tab></crowd-tabs></crowd-form>`);
  inside($('crowd-alert'), 'button')[0]!.click();
  expect($('crowd-alert')).toBeNull();
  expect(inside($('crowd-card'), 'h3')[0]!.textContent).toBe('Title');
  inside($('crowd-tabs'), 'button')[1]!.click();
  expect([...document.querySelectorAll<HTMLElement>('crowd-tab')].map((tab) => tab.hidden)).toEqual([true, false]);
  press('i');
  expect(inside($('crowd-instructions'), 'dialog')[0]!.hasAttribute('open')).toBe(true);
});
