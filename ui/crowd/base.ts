/* What the crowd elements have in common. */
import { sheet } from './theme';

/** An element that answers under its name. */
export interface Answering extends HTMLElement {
  /** What goes into the form's answer; undefined: nothing. */
  answer(): unknown;
  /** Why it may not be submitted as it is, '' when it may. */
  problem(): string;
  /** Show the problem, and take the focus. */
  complain(problem: string): void;
  reset(): void;
}

export function isAnswering(element: Element): element is Answering {
  return 'answer' in element && typeof (element as Answering).answer === 'function' && 'problem' in element;
}

/** Something that number keys choose from. */
export interface Choosing extends HTMLElement {
  readonly choiceLabels: string[];
  choose(index: number): void;
  readonly isChosen: boolean;
}

export function isChoosing(element: Element): element is Choosing {
  return 'choiceLabels' in element;
}

/** The keys of choices: digits, then the letters that the page around does not use. */
export const CHOICE_KEYS = '1234567890abcefghjklmnoprtuvwxyz';

/** Run once the children are there: a custom element is made before they are read. */
export function whenParsed(act: () => void): void {
  if (document.readyState !== 'loading') queueMicrotask(act);
  else document.addEventListener('DOMContentLoaded', act, { once: true });
}

type Attributes = Record<string, string | boolean | number | null | undefined | ((event: never) => void)>;

/** <tag attributes>children</tag>; on<event> takes a function, false and null leave an attribute out. */
export function h<K extends keyof HTMLElementTagNameMap>(
  tag: K,
  attributes: Attributes = {},
  ...children: (Node | string | null | false)[]
): HTMLElementTagNameMap[K] {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === 'function') element.addEventListener(name.slice(2), value as EventListener);
    else if (value !== false && value !== null && value !== undefined) {
      element.setAttribute(name, value === true ? '' : String(value));
    }
  }
  element.append(...children.filter((child): child is Node | string => child !== null && child !== false));
  return element;
}

export abstract class CrowdElement extends HTMLElement {
  protected readonly root: ShadowRoot;
  private built = false;

  constructor() {
    super();
    this.root = this.attachShadow({ mode: 'open', delegatesFocus: true });
    sheet(this.root);
  }

  connectedCallback(): void {
    whenParsed(() => {
      if (this.built || !this.isConnected) return;
      this.built = true;
      this.build();
    });
  }

  attributeChangedCallback(): void {
    if (this.built) this.rebuild();
  }

  /** Fill the shadow root; called once, when the children are there. */
  protected abstract build(): void;

  /** An observed attribute has changed. */
  protected rebuild(): void {}

  protected flag(name: string): boolean {
    const value = this.getAttribute(name);
    return value !== null && value !== 'false';
  }

  protected text(name: string, fallback = ''): string {
    return this.getAttribute(name) ?? fallback;
  }

  protected changed(): void {
    this.dispatchEvent(new Event('change', { bubbles: true }));
  }

  get name(): string {
    return this.text('name');
  }

  set name(value: string) {
    this.setAttribute('name', value);
  }
}
