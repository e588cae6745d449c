/* crowd-classifier: one of several categories.  {"label": "Positive"}
 * crowd-classifier-multi-select: any of them.   {"labels": ["Positive"]}, or the exclusion category alone */
import { CHOICE_KEYS, CrowdElement, h, type Answering, type Choosing } from './base';
import { parseLiteral, parseNames } from './literal';
import { Instructions, assignRegions, region } from './regions';

abstract class Classifier extends CrowdElement implements Answering, Choosing {
  static observedAttributes = ['categories', 'header', 'exclusion-category'];

  protected chosen = new Set<string>();
  /** It was said that nothing is chosen. */
  protected warned = false;
  private layout = h('div', { class: 'layout' });
  private main = h('div', { class: 'main' });
  private heading = h('h2');
  private choices = h('fieldset', { class: 'choices' });
  private message = h('p', { class: 'error', role: 'alert' });
  readonly instructions = new Instructions(this);

  protected abstract readonly single: boolean;

  protected build(): void {
    const target = h('div', { class: 'target card' }, h('slot', { name: 'target' }));
    this.main.append(this.heading, target, h('slot'), this.choices, this.message);
    this.layout.append(this.main, this.instructions.side);
    this.root.append(this.layout, this.instructions.dialog);
    this.choices.addEventListener('change', (event) => this.clicked(event.target as HTMLInputElement));
    assignRegions(this, () => {
      this.instructions.update(this.layout);
      target.hidden = region(this, 'classification-target') === null;
    });
    keepLines(region(this, 'classification-target'));
    this.rebuild();
  }

  protected override rebuild(): void {
    this.heading.textContent = this.text('header');
    this.heading.hidden = !this.text('header');
    this.draw();
  }

  /** The categories, or why there are none. */
  private read(): { names: string[]; exclusion: string; wrong: string } {
    const result = { names: [] as string[], exclusion: '', wrong: '' };
    try {
      result.names = parseNames(this.text('categories', '[]'));
    } catch (error) {
      result.wrong = `categories: ${(error as Error).message}`;
    }
    if (this.single || !this.hasAttribute('exclusion-category')) return result;
    try {
      const value = parseLiteral(this.text('exclusion-category'));
      if (typeof value === 'object' && value !== null && 'text' in value) result.exclusion = String(value.text);
      else if (typeof value === 'string') result.exclusion = value;
    } catch (error) {
      result.wrong = `exclusion-category: ${(error as Error).message}`;
    }
    return result;
  }

  get choiceLabels(): string[] {
    const { names, exclusion } = this.read();
    return exclusion ? [...names, exclusion] : names;
  }

  get isChosen(): boolean {
    return this.chosen.size > 0;
  }

  private draw(): void {
    const { wrong, exclusion } = this.read();
    const labels = this.choiceLabels;
    const legend = this.single ? 'Select an option' : 'Select all that apply';
    this.choices.replaceChildren(h('legend', {}, legend));
    this.message.textContent = wrong || (labels.length ? '' : 'This template gives no categories.');
    labels.forEach((label, index) => {
      const input = h('input', { type: this.single ? 'radio' : 'checkbox', name: 'choice', value: label });
      input.checked = this.chosen.has(label);
      const key = CHOICE_KEYS[index];
      this.choices.append(
        h(
          'label',
          { class: exclusion && index === labels.length - 1 ? 'choice apart' : 'choice' },
          input,
          h('span', { class: 'label' }, label),
          key ? h('kbd', { 'aria-hidden': 'true' }, key) : null,
        ),
      );
    });
  }

  private clicked(input: HTMLInputElement): void {
    this.set(input.value, input.checked);
  }

  choose(index: number): void {
    const label = this.choiceLabels[index];
    if (label === undefined) return;
    this.set(label, this.single || !this.chosen.has(label));
    this.inputs()[index]?.focus();
  }

  private set(label: string, on: boolean): void {
    const { exclusion } = this.read();
    if (on && (this.single || label === exclusion)) this.chosen.clear();
    if (on && exclusion && label !== exclusion) this.chosen.delete(exclusion);
    if (on) this.chosen.add(label);
    else this.chosen.delete(label);
    this.message.textContent = '';
    this.warned = false;
    this.show();
    this.changed();
  }

  protected show(): void {
    for (const input of this.inputs()) input.checked = this.chosen.has(input.value);
  }

  private inputs(): HTMLInputElement[] {
    return [...this.choices.querySelectorAll('input')];
  }

  /** Chosen labels in the order of the categories. */
  protected labels(): string[] {
    return this.choiceLabels.filter((label) => this.chosen.has(label));
  }

  abstract answer(): unknown;
  abstract problem(): string;

  complain(problem: string): void {
    this.message.textContent = problem;
    this.inputs()[0]?.focus();
  }

  reset(): void {
    this.chosen.clear();
    this.message.textContent = '';
    this.warned = false;
    this.show();
  }
}

/** A target that is text alone keeps its line breaks, without those of the template around it. */
function keepLines(target: HTMLElement | null): void {
  if (!target || target.childElementCount > 0) return;
  target.textContent = (target.textContent ?? '').trim();
  target.style.whiteSpace = 'pre-line';
}

export class CrowdClassifier extends Classifier {
  protected readonly single = true;

  get value(): { label: string } | undefined {
    const [label] = this.labels();
    return label === undefined ? undefined : { label };
  }

  set value(value: { label: string } | undefined) {
    this.chosen = new Set(value?.label === undefined ? [] : [value.label]);
    this.show();
  }

  answer(): unknown {
    return this.value;
  }

  problem(): string {
    return this.isChosen ? '' : 'Choose one of the categories first.';
  }
}

export class CrowdClassifierMultiSelect extends Classifier {
  protected readonly single = false;

  get value(): { labels: string[] } {
    return { labels: this.labels() };
  }

  set value(value: { labels: string[] } | undefined) {
    this.chosen = new Set(value?.labels ?? []);
    this.show();
  }

  answer(): unknown {
    return this.value;
  }

  /** Nothing may be an answer where no category says so; not by accident, though. */
  problem(): string {
    if (this.isChosen) return '';
    if (this.hasAttribute('exclusion-category')) return 'Choose at least one of the categories first.';
    if (this.warned) return '';
    return 'Nothing is chosen. Submit again if none of them applies.';
  }

  override complain(problem: string): void {
    super.complain(problem);
    this.warned = !this.hasAttribute('exclusion-category');
  }
}
