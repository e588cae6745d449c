/* The instructions that an element carries: the short ones beside the work, the full ones in a
 * dialog. Regions are children that stay where they are; a slot shows them. */
import { h } from './base';

const SLOTS: Record<string, string> = {
  'classification-target': 'target',
  'short-instructions': 'short',
  'full-instructions': 'full',
};

/** Say of each child where it belongs, also of those that come later. */
export function assignRegions(host: HTMLElement, onChange: () => void): void {
  const assign = () => {
    for (const child of host.children) {
      const slot = SLOTS[child.localName];
      if (slot && child.slot !== slot) child.slot = slot;
    }
    onChange();
  };
  new MutationObserver(assign).observe(host, { childList: true });
  assign();
}

/** The child region that a tag names. */
export function region(host: HTMLElement, tag: string): HTMLElement | null {
  return [...host.children].find((child): child is HTMLElement => child.localName === tag) ?? null;
}

export function openDialog(dialog: HTMLDialogElement): void {
  if (typeof dialog.showModal === 'function') dialog.showModal();
  else dialog.setAttribute('open', '');
}

export function closeDialog(dialog: HTMLDialogElement): void {
  if (typeof dialog.close === 'function') dialog.close();
  else dialog.removeAttribute('open');
}

export class Instructions {
  readonly side: HTMLElement;
  readonly dialog: HTMLDialogElement;
  private more: HTMLButtonElement;
  private shortTitle = h('h3');
  private fullTitle = h('h2');
  private hidden = false;

  constructor(private host: HTMLElement) {
    this.more = h('button', { type: 'button', class: 'link', onclick: () => this.toggle() }, 'Full instructions');
    this.side = h('aside', { class: 'side card', 'aria-label': 'Instructions' });
    this.side.append(this.shortTitle, h('slot', { name: 'short' }), this.more);
    this.dialog = h('dialog', { 'aria-label': 'Instructions' });
    const close = h('button', { type: 'button', class: 'close', onclick: () => closeDialog(this.dialog) }, 'Close');
    this.dialog.append(close, this.fullTitle, h('slot', { name: 'full' }));
  }

  get exist(): boolean {
    return this.hasShort || this.hasFull;
  }

  private get hasShort(): boolean {
    return region(this.host, 'short-instructions') !== null;
  }

  private get hasFull(): boolean {
    return region(this.host, 'full-instructions') !== null;
  }

  /** Look at the regions again. */
  update(layout: HTMLElement): void {
    const title = (tag: string) => region(this.host, tag)?.getAttribute('header') ?? 'Instructions';
    this.shortTitle.textContent = this.hasShort ? title('short-instructions') : title('full-instructions');
    this.fullTitle.textContent = title('full-instructions');
    this.more.hidden = !this.hasFull;
    this.side.hidden = this.hidden || !this.exist;
    layout.classList.toggle('sided', !this.side.hidden);
  }

  /** Open or close: the dialog where there are full instructions, else what stands beside. */
  toggle(): void {
    if (!this.hasFull) {
      this.hidden = !this.hidden;
      this.update(this.side.parentElement ?? this.side);
    } else if (this.dialog.open) {
      closeDialog(this.dialog);
    } else {
      openDialog(this.dialog);
    }
  }
}
