/* What only shows something: alerts, cards, instructions, tabs. */
import { CrowdElement, h } from './base';
import { closeDialog, openDialog, region } from './regions';

export class CrowdAlert extends CrowdElement {
  protected build(): void {
    const type = this.text('type', 'info');
    const box = h('div', { class: `alert ${type}`, role: type === 'error' ? 'alert' : 'status' }, h('div', {}, h('slot')));
    if (this.flag('dismissible')) {
      box.append(h('button', { type: 'button', class: 'link', 'aria-label': 'Dismiss', onclick: () => this.remove() }, '×'));
    }
    this.root.append(box);
  }
}

export class CrowdBadge extends CrowdElement {
  protected build(): void {
    this.style.display ||= 'inline-block';
    this.root.append(h('span', { class: 'badge' }, this.text('label') || h('slot')));
  }
}

export class CrowdCard extends CrowdElement {
  protected build(): void {
    const body = h('div', { class: 'body' });
    if (this.hasAttribute('heading')) body.append(h('h3', {}, this.text('heading')));
    body.append(h('slot'));
    const box = h('div', { class: 'card cardbox' });
    if (this.hasAttribute('image')) box.append(h('img', { src: this.text('image'), alt: '' }));
    box.append(body);
    this.root.append(box);
  }
}

/** The sections of crowd-instructions, with the titles that they have when they bring none. */
const SECTIONS: [string, string][] = [
  ['short-summary', 'Summary'],
  ['detailed-instructions', 'Detailed instructions'],
  ['positive-example', 'Good example'],
  ['negative-example', 'Bad example'],
];

export class CrowdInstructions extends CrowdElement {
  private dialog = h('dialog', { 'aria-label': 'Instructions' });

  protected build(): void {
    const text = this.text('link-text', 'View instructions');
    const kind = this.text('link-type') === 'button' ? '' : 'link';
    this.root.append(h('button', { type: 'button', class: kind, onclick: () => this.toggle() }, text), this.dialog);
    this.dialog.append(
      h('button', { type: 'button', class: 'close', onclick: () => closeDialog(this.dialog) }, 'Close'),
      h('h2', {}, 'Instructions'),
    );
    for (const [tag, title] of SECTIONS) {
      const child = region(this, tag);
      if (!child) continue;
      child.slot = tag;
      this.dialog.append(h('h3', {}, child.getAttribute('header') ?? title), h('slot', { name: tag }));
    }
    this.dialog.append(h('slot'));
  }

  toggle(): void {
    if (this.dialog.open) closeDialog(this.dialog);
    else openDialog(this.dialog);
  }
}

export class CrowdModal extends CrowdElement {
  private dialog = h('dialog', {}, h('slot'));

  protected build(): void {
    const close = h('button', { type: 'button', class: 'close', onclick: () => this.close() }, 'Close');
    this.dialog.prepend(close);
    this.root.append(this.dialog);
  }

  open(): void {
    openDialog(this.dialog);
  }

  close(): void {
    closeDialog(this.dialog);
  }
}

export class CrowdToast extends CrowdElement {
  protected build(): void {
    const box = h('div', { class: 'alert', role: 'status' }, this.text('text'), h('slot'));
    this.root.append(box);
    const ms = Number(this.text('duration', '0'));
    if (ms > 0) setTimeout(() => this.remove(), ms);
  }
}

export class CrowdTab extends CrowdElement {
  protected build(): void {
    this.setAttribute('role', 'tabpanel');
    this.root.append(h('slot'));
  }
}

export class CrowdTabs extends CrowdElement {
  private bar = h('div', { class: 'tabs', role: 'tablist' });

  protected build(): void {
    this.root.append(this.bar, h('slot'));
    this.tabs().forEach((tab, index) => {
      const title = tab.getAttribute('header') ?? `${index + 1}`;
      this.bar.append(h('button', { type: 'button', role: 'tab', onclick: () => this.select(index) }, title));
    });
    this.select(0);
  }

  private tabs(): HTMLElement[] {
    return [...this.querySelectorAll<HTMLElement>(':scope > crowd-tab')];
  }

  select(at: number): void {
    this.tabs().forEach((tab, index) => (tab.hidden = index !== at));
    [...this.bar.children].forEach((button, index) => button.setAttribute('aria-selected', String(index === at)));
  }
}
