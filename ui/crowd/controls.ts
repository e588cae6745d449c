/* The small controls: text, ticks, sliders, buttons. */
import { CrowdElement, h, type Answering, type Choosing } from './base';

/* --- crowd-input, crowd-text-area ------------------------------------------ */

abstract class TextControl extends CrowdElement implements Answering {
  static observedAttributes = ['label', 'placeholder', 'disabled', 'required', 'value'];
  protected abstract readonly control: HTMLInputElement | HTMLTextAreaElement;
  private caption = h('span');
  private message = h('small', { class: 'error', role: 'alert' });
  protected count = h('small', { class: 'mute' });
  private touched = false;

  protected build(): void {
    const field = h('label', { class: 'field' }, this.caption, this.control, this.message, this.count);
    this.root.append(field);
    this.control.addEventListener('input', () => {
      this.touched = true;
      this.message.textContent = '';
      this.typed();
    });
    this.control.addEventListener('change', () => this.changed());
    this.rebuild();
    if (this.flag('auto-focus')) this.control.focus();
  }

  protected override rebuild(): void {
    this.caption.textContent = this.text('label') + (this.flag('required') && this.text('label') ? ' *' : '');
    this.caption.hidden = !this.text('label');
    this.control.placeholder = this.text('placeholder');
    this.control.disabled = this.flag('disabled');
    this.control.required = this.flag('required');
    if (this.hasAttribute('max-length')) this.control.maxLength = Number(this.text('max-length')) || -1;
    if (!this.touched && this.hasAttribute('value')) this.control.value = this.text('value');
    this.typed();
  }

  /** After each change of the text. */
  protected typed(): void {
    this.count.hidden = !this.flag('char-counter');
    this.count.textContent = `${this.control.value.length}${this.hasAttribute('max-length') ? ` / ${this.text('max-length')}` : ''}`;
  }

  get value(): string {
    return this.control.value;
  }

  set value(value: string) {
    this.touched = true;
    this.control.value = value ?? '';
    this.typed();
  }

  get disabled(): boolean {
    return this.flag('disabled');
  }

  set disabled(value: boolean) {
    this.toggleAttribute('disabled', value);
  }

  answer(): unknown {
    return this.control.value === '' ? undefined : this.control.value;
  }

  problem(): string {
    const { value } = this.control;
    if (this.disabled) return '';
    if (value === '') return this.flag('required') ? this.said('This is required.') : '';
    if (value.length < Number(this.text('min-length', '0'))) {
      return this.said(`At least ${this.text('min-length')} characters are needed.`);
    }
    return this.formProblem();
  }

  protected formProblem(): string {
    return '';
  }

  protected said(fallback: string): string {
    return this.text('error-message') || fallback;
  }

  complain(problem: string): void {
    this.message.textContent = problem;
    this.control.focus();
  }

  reset(): void {
    this.touched = false;
    this.control.value = this.text('value');
    this.message.textContent = '';
    this.typed();
  }
}

export class CrowdInput extends TextControl {
  protected readonly control = h('input', { part: 'input' });
  private good = '';

  protected override rebuild(): void {
    const type = this.text('type', 'text');
    this.control.type = ['text', 'number', 'email', 'url', 'password', 'date', 'tel'].includes(type) ? type : 'text';
    for (const name of ['min', 'max', 'step']) {
      if (this.hasAttribute(name)) this.control.setAttribute(name, this.text(name));
    }
    super.rebuild();
  }

  /** auto-validate with allowed-pattern: what does not fit is not typed. */
  protected override typed(): void {
    if (this.flag('auto-validate') && this.hasAttribute('allowed-pattern')) {
      if (!matches(this.text('allowed-pattern'), this.control.value)) this.control.value = this.good;
      this.good = this.control.value;
    }
    super.typed();
  }

  protected override formProblem(): string {
    return this.control.checkValidity() ? '' : this.said(this.control.validationMessage || 'This does not fit.');
  }
}

/** Does each character fit the pattern? A pattern that is none lets all pass. */
function matches(pattern: string, value: string): boolean {
  try {
    const one = new RegExp(`^(?:${pattern})$`);
    return one.test(value) || [...value].every((char) => one.test(char));
  } catch {
    return true;
  }
}

export class CrowdTextArea extends TextControl {
  protected readonly control = h('textarea', { part: 'textarea', rows: 3 });

  protected override rebuild(): void {
    this.control.rows = Math.min(Math.max(Number(this.text('rows', '3')) || 3, 1), 40);
    super.rebuild();
  }
}

/* --- crowd-checkbox, crowd-toggle-button, crowd-radio-button ------------------ */

abstract class Tick extends CrowdElement implements Answering {
  static observedAttributes = ['disabled', 'checked'];
  protected abstract readonly type: 'checkbox' | 'radio';
  protected input = h('input', {});
  private message = h('small', { class: 'error', role: 'alert' });

  protected build(): void {
    this.input.type = this.type;
    this.input.checked = this.flag('checked');
    this.root.append(h('label', { class: 'tick' }, this.input, h('span', {}, h('slot'))), this.message);
    this.input.addEventListener('change', () => {
      this.message.textContent = '';
      this.ticked();
      this.changed();
    });
    this.input.disabled = this.disabled;
  }

  protected override rebuild(): void {
    this.input.disabled = this.disabled;
    this.input.checked = this.flag('checked');
  }

  protected ticked(): void {}

  get checked(): boolean {
    return this.input.checked || (!this.root.querySelector('input') && this.flag('checked'));
  }

  set checked(value: boolean) {
    this.input.checked = value;
    if (value) this.ticked();
  }

  get value(): string {
    return this.text('value', 'on');
  }

  set value(value: string) {
    this.setAttribute('value', value);
  }

  get disabled(): boolean {
    return this.flag('disabled');
  }

  set disabled(value: boolean) {
    this.toggleAttribute('disabled', value);
  }

  answer(): unknown {
    return { [this.value]: this.checked };
  }

  problem(): string {
    return this.flag('required') && !this.checked && !this.disabled ? 'This is required.' : '';
  }

  complain(problem: string): void {
    this.message.textContent = problem;
    this.input.focus();
  }

  reset(): void {
    this.input.checked = this.flag('checked');
    this.message.textContent = '';
  }
}

export class CrowdCheckbox extends Tick {
  protected readonly type = 'checkbox';
}

export class CrowdToggleButton extends Tick {
  protected readonly type = 'checkbox';

  protected override build(): void {
    super.build();
    this.input.setAttribute('role', 'switch');
  }
}

export class CrowdRadioButton extends Tick {
  protected readonly type = 'radio';

  protected override ticked(): void {
    const group = this.closest<CrowdRadioGroup>('crowd-radio-group');
    for (const other of group?.buttons ?? []) if (other !== this) other.checked = false;
  }
}

export class CrowdRadioGroup extends CrowdElement implements Choosing {
  protected build(): void {
    this.root.append(h('slot'));
    this.setAttribute('role', 'radiogroup');
    this.addEventListener('keydown', (event) => this.arrow(event));
  }

  get buttons(): CrowdRadioButton[] {
    return [...this.querySelectorAll<CrowdRadioButton>('crowd-radio-button')];
  }

  get choiceLabels(): string[] {
    return this.buttons.map((button) => button.textContent?.trim() || button.value);
  }

  get isChosen(): boolean {
    return this.buttons.some((button) => button.checked);
  }

  choose(index: number): void {
    const button = this.buttons[index];
    if (!button || button.disabled) return;
    button.checked = true;
    button.focus();
    button.dispatchEvent(new Event('change', { bubbles: true }));
  }

  /** The buttons live in shadows of their own, so the browser does not know them for one group. */
  private arrow(event: KeyboardEvent): void {
    const step = { ArrowDown: 1, ArrowRight: 1, ArrowUp: -1, ArrowLeft: -1 }[event.key];
    if (!step) return;
    event.preventDefault();
    const buttons = this.buttons.filter((button) => !button.disabled);
    const at = buttons.indexOf(event.target as CrowdRadioButton);
    const next = buttons[(at + step + buttons.length) % buttons.length];
    if (next) this.choose(this.buttons.indexOf(next));
  }
}

/* --- crowd-slider ------------------------------------------------------------ */

export class CrowdSlider extends CrowdElement implements Answering {
  private input = h('input', { type: 'range' });
  private shown = h('output');
  private moved = false;
  private message = h('small', { class: 'error', role: 'alert' });

  protected build(): void {
    for (const name of ['min', 'max', 'step', 'value']) {
      if (this.hasAttribute(name)) this.input.setAttribute(name, this.text(name));
    }
    this.input.disabled = this.flag('disabled');
    this.input.setAttribute('aria-label', this.text('label', this.name));
    this.root.append(h('label', { class: 'field' }, this.input, this.shown, this.message));
    this.input.addEventListener('input', () => {
      this.moved = true;
      this.message.textContent = '';
      this.show();
    });
    this.input.addEventListener('change', () => this.changed());
    this.show();
  }

  private show(): void {
    this.shown.textContent = this.flag('pin') || this.flag('editable') ? this.input.value : '';
  }

  get value(): number {
    return Number(this.input.value);
  }

  set value(value: number) {
    this.input.value = String(value);
    this.show();
  }

  answer(): unknown {
    return this.value;
  }

  problem(): string {
    return this.flag('required') && !this.moved && !this.hasAttribute('value') ? 'Move the slider first.' : '';
  }

  complain(problem: string): void {
    this.message.textContent = problem;
    this.input.focus();
  }

  reset(): void {
    this.moved = false;
    this.input.value = this.text('value', '50');
    this.show();
  }
}

/* --- crowd-button -------------------------------------------------------------- */

export class CrowdButton extends CrowdElement {
  static observedAttributes = ['disabled', 'loading'];
  private button = h('button', { type: 'button', part: 'button' });

  protected build(): void {
    const primary = this.text('variant') === 'primary' || this.text('form-action') === 'submit';
    this.button.classList.toggle('primary', primary && this.text('variant') !== 'link');
    this.button.classList.toggle('link', this.text('variant') === 'link');
    this.button.append(h('slot'));
    this.root.append(this.button);
    this.style.display ||= 'inline-block';
    this.rebuild();
  }

  protected override rebuild(): void {
    this.button.disabled = this.disabled;
  }

  get disabled(): boolean {
    return this.flag('disabled') || this.flag('loading');
  }

  set disabled(value: boolean) {
    this.toggleAttribute('disabled', value);
  }
}
