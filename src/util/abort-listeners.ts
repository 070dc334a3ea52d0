/**
 * Listeners of AbortSignals: one on each signal, however many there are that wait for it.
 *
 * Node takes more than ten listeners of one signal for a leak and prints a warning; a service that
 * stops all its followers by one signal has more. Invariant: a signal that nobody waits for has no
 * listener.
 */

interface Listeners {
  readonly waiting: Set<() => void>;
  readonly listener: () => void;
}

const listenersOf = new WeakMap<AbortSignal, Listeners>();

/** Calls `abort` when the signal is aborted, once. Gives what takes it back. */
export function onAbort(signal: AbortSignal, abort: () => void): () => void {
  let listeners = listenersOf.get(signal);
  if (listeners === undefined) {
    const waiting = new Set<() => void>();
    const listener = (): void => {
      listenersOf.delete(signal);
      for (const one of waiting) one();
    };
    listeners = { waiting, listener };
    listenersOf.set(signal, listeners);
    signal.addEventListener('abort', listener, { once: true });
  }
  const { waiting, listener } = listeners;
  // An object of its own: the same function may wait twice.
  const own = (): void => abort();
  waiting.add(own);
  return () => {
    if (!waiting.delete(own) || waiting.size > 0) return;
    signal.removeEventListener('abort', listener);
    if (listenersOf.get(signal)?.waiting === waiting) listenersOf.delete(signal);
  };
}
