/* Something that changes, and those who watch it. */
import { useEffect, useReducer } from 'preact/hooks';

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

/** Draw the component again whenever one of these changes. */
export function useWatch(...watched: Emitter[]): void {
  const [, redraw] = useReducer((n: number) => n + 1, 0);
  useEffect(() => {
    const stops = watched.map((one) => one.watch(() => redraw(undefined as never)));
    return () => stops.forEach((stop) => stop());
  }, watched);
}
