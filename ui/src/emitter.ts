/* Something that changes, and those who watch it. */
import { useLayoutEffect, useReducer } from 'preact/hooks';

export class Emitter {
  private watchers = new Set<() => void>();

  watch(act: () => void): () => void {
    this.watchers.add(act);
    return () => this.watchers.delete(act);
  }

  protected changed(): void {
    for (const act of [...this.watchers]) act();
  }
}

/** Draw the component again whenever one of these changes. It watches from the moment it is drawn: an
 * effect would begin after the paint, and miss an answer that comes before. */
export function useWatch(...watched: Emitter[]): void {
  const [, redraw] = useReducer((n: number) => n + 1, 0);
  useLayoutEffect(() => {
    const stops = watched.map((one) => one.watch(() => redraw(undefined as never)));
    return () => stops.forEach((stop) => stop());
  }, watched);
}
