/* Small pieces that several pages share. */
import { useEffect, useRef, useState } from 'preact/hooks';
import type { ComponentChildren } from 'preact';
import { useWatch } from './emitter';
import { outbox } from './session';

export function Logo() {
  return (
    <svg class="logo" viewBox="0 0 32 32" aria-hidden="true">
      <rect width="32" height="32" rx="8" />
      <path d="M10.500 7v18M10.500 17c1.500-2.700 3.700-4.100 6.200-4.100 3.200 0 4.800 2 4.800 5.600V25" />
    </svg>
  );
}

/** What becomes of the answers: said to the eye and to a screen reader. */
export function SaveState() {
  useWatch(outbox);
  const count = outbox.waiting.length;
  const text = count ? (outbox.trouble ? `${count} not saved yet` : 'saving…') : outbox.savedCount ? 'saved' : '';
  return (
    <span class={`save ${count ? (outbox.trouble ? 'bad' : 'busy') : 'good'}`} role="status" data-testid="save">
      {text}
    </span>
  );
}

/** Answers that could not be saved; stays until they are, or until the reviewer has seen why not. */
export function Troubles() {
  useWatch(outbox);
  const count = outbox.waiting.length;
  return (
    <div role="alert">
      {outbox.trouble && count > 0 && (
        <p class="trouble">
          <span>
            {count === 1 ? 'One answer is' : `${count} answers are`} not saved yet: {outbox.trouble}. It is kept in
            this browser and sent again by itself.
          </span>
          <button onClick={() => outbox.retry()}>Try now</button>
        </p>
      )}
      {outbox.refused.map((entry) => (
        <p class="trouble" key={entry.task}>
          <span>
            Your answer to “{entry.title}” (task {entry.task}) was not taken: {entry.refused}.
          </span>
          <button onClick={() => outbox.dismiss(entry.task)}>Understood</button>
        </p>
      ))}
    </div>
  );
}

/** A form with one running action and the error it ended with. */
export function useAction<A extends unknown[]>(
  act: (...args: A) => Promise<void>,
): { run: (...args: A) => Promise<void>; busy: boolean; error: string } {
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState('');
  const run = async (...args: A) => {
    if (busy) return;
    setBusy(true);
    setError('');
    try {
      await act(...args);
    } catch (failure) {
      setError(failure instanceof Error ? failure.message : String(failure));
    }
    setBusy(false);
  };
  return { run, busy, error };
}

export function Field(props: {
  label: string;
  name: string;
  type?: string;
  value?: string;
  autocomplete?: string;
  hint?: string;
  minLength?: number;
  focus?: boolean;
  optional?: boolean;
}) {
  const ref = useRef<HTMLInputElement>(null);
  useEffect(() => {
    if (props.focus) ref.current?.focus();
  }, []);
  const id = `field-${props.name}`;
  const hintId = props.hint ? `${id}-hint` : undefined;
  return (
    <div class="field">
      <label for={id}>{props.label}</label>
      <input
        ref={ref}
        id={id}
        name={props.name}
        type={props.type ?? 'text'}
        defaultValue={props.value}
        autocomplete={props.autocomplete}
        autocapitalize="none"
        spellcheck={false}
        minLength={props.minLength}
        required={!props.optional}
        aria-describedby={hintId}
      />
      {props.hint && (
        <small id={hintId} class="mute">
          {props.hint}
        </small>
      )}
    </div>
  );
}

export function values(form: HTMLFormElement): Record<string, string> {
  const read: Record<string, string> = {};
  for (const [name, value] of new FormData(form)) if (typeof value === 'string') read[name] = value;
  return read;
}

/** A modal dialog: the browser's own, which keeps the focus inside and closes on Escape. */
export function Dialog(props: { title: string; onClose: () => void; children: ComponentChildren }) {
  const ref = useRef<HTMLDialogElement>(null);
  useEffect(() => {
    ref.current?.showModal();
  }, []);
  return (
    <dialog
      ref={ref}
      aria-labelledby="dialog-title"
      onClose={props.onClose}
      onClick={(event) => event.target === ref.current && ref.current?.close()}
    >
      <div class="dialog">
        <h2 id="dialog-title">{props.title}</h2>
        {props.children}
      </div>
    </dialog>
  );
}

const RELATIVE = new Intl.RelativeTimeFormat('en', { numeric: 'auto' });

/** "3 minutes ago", with the exact time as its title. */
export function Ago(props: { ms: number }) {
  const seconds = Math.round((props.ms - Date.now()) / 1000);
  const table: [Intl.RelativeTimeFormatUnit, number][] = [
    ['day', 86_400],
    ['hour', 3_600],
    ['minute', 60],
  ];
  const unit = table.find(([, size]) => -seconds >= size);
  const text = unit ? RELATIVE.format(Math.trunc(seconds / unit[1]), unit[0]) : 'just now';
  const date = new Date(props.ms);
  return (
    <time dateTime={date.toISOString()} title={date.toLocaleString()}>
      {text}
    </time>
  );
}
