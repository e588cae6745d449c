/* crowd-form: gathers what its named children say, and submits it.
 *
 * It is no <form> (a sandboxed frame may not submit one), but behaves like one: `submit` is fired
 * and may be prevented, `required` is checked, a button is added where the template has none. What
 * submit listeners write into hidden controls is in the answer: it is gathered after them. */
import { CrowdElement, h, isAnswering } from './base';
import { Instructions, assignRegions } from './regions';

type Control = HTMLInputElement | HTMLSelectElement | HTMLTextAreaElement;

function isControl(element: Element): element is Control {
  return element.matches('input, select, textarea');
}

/** What a plain HTML control says; undefined: nothing. */
function controlAnswer(control: Control): unknown {
  if (control instanceof HTMLInputElement) {
    switch (control.type) {
      case 'radio':
      case 'checkbox':
        return { [control.value]: control.checked };
      case 'submit':
      case 'button':
      case 'reset':
      case 'image':
      case 'file':
        return undefined;
    }
  }
  if (control instanceof HTMLSelectElement && control.multiple) {
    return [...control.selectedOptions].map((option) => option.value);
  }
  return control.value === '' ? undefined : control.value;
}

function isPlain(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

export class CrowdForm extends CrowdElement {
  private message = h('span', { class: 'error', role: 'alert' });
  private row = h('div', { class: 'submit' });
  readonly instructions = new Instructions(this);
  /** Where an answer goes; crowd/talk.ts sets it. */
  static deliver: (answer: Record<string, unknown>) => void = () => {};

  protected build(): void {
    const button = h('button', { type: 'button', class: 'primary', onclick: () => this.submit() }, 'Submit');
    button.append(h('kbd', { 'aria-hidden': 'true' }, 'Enter'));
    this.row.append(button, this.message);
    const main = h('div', {}, h('slot'), this.row);
    const layout = h('div', { class: 'layout' }, main, this.instructions.side);
    this.root.append(layout, this.instructions.dialog);
    assignRegions(this, () => {
      this.instructions.update(layout);
      button.hidden = this.hasButton();
    });
    this.addEventListener('click', (event) => this.clicked(event));
    this.addEventListener('change', () => (this.message.textContent = ''));
  }

  private hasButton(): boolean {
    return this.querySelector('crowd-button[form-action="submit"], [type="submit"]') !== null;
  }

  /** The template's own buttons. */
  private clicked(event: MouseEvent): void {
    const button = (event.target as Element).closest('crowd-button, [type="submit"], [type="reset"]');
    if (!button || event.defaultPrevented || (button as HTMLButtonElement).disabled) return;
    const action = button.getAttribute('form-action') ?? button.getAttribute('type');
    if (action === 'submit') this.submit();
    if (action === 'reset') this.reset();
  }

  /** The named children's answers in one object; what has the same name is merged. */
  gather(): Record<string, unknown> {
    const answer = new Map<string, unknown>();
    for (const element of this.querySelectorAll('*')) {
      const name = (element as HTMLElement & { name?: unknown }).name ?? element.getAttribute('name');
      if (typeof name !== 'string' || name === '' || (element as HTMLInputElement).disabled === true) continue;
      const value = isAnswering(element) ? element.answer() : isControl(element) ? controlAnswer(element) : undefined;
      if (value === undefined) continue;
      const before = answer.get(name);
      answer.set(name, isPlain(before) && isPlain(value) ? { ...before, ...value } : value);
    }
    return Object.fromEntries(answer);
  }

  /** The first child that may not be submitted as it is, told so. */
  private complain(): boolean {
    for (const element of this.querySelectorAll<HTMLElement>('*')) {
      if (isAnswering(element)) {
        const problem = element.problem();
        if (!problem) continue;
        element.complain(problem);
        return true;
      }
      if (isControl(element) && !element.checkValidity()) {
        this.message.textContent = `${labelOf(element)}${element.validationMessage || 'is required'}`;
        element.focus();
        return true;
      }
    }
    return false;
  }

  submit(): void {
    this.message.textContent = '';
    if (this.complain()) return;
    const event = new Event('submit', { bubbles: true, cancelable: true });
    if (!this.dispatchEvent(event)) return;
    CrowdForm.deliver(this.gather());
  }

  reset(): void {
    for (const element of this.querySelectorAll('*')) {
      if (isAnswering(element)) element.reset();
      else if (element instanceof HTMLInputElement) {
        element.value = element.defaultValue;
        element.checked = element.defaultChecked;
      } else if (element instanceof HTMLTextAreaElement) element.value = element.defaultValue;
      else if (element instanceof HTMLSelectElement) {
        for (const option of element.options) option.selected = option.defaultSelected;
      }
    }
    this.message.textContent = '';
    this.dispatchEvent(new Event('reset', { bubbles: true }));
  }
}

function labelOf(control: Control): string {
  const label = control.labels?.[0]?.textContent?.trim() || control.name;
  return label ? `${label}: ` : '';
}
