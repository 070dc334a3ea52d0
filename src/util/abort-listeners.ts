/**
 * Listeners of AbortSignals: one on each signal, for any number of waiters.
 *
 * Node takes more than ten listeners of one signal for a leak and prints a warning; a service may
 * stop more followers than that by one signal. Invariant: a signal without waiters has no listener.
 */

interface Listeners {
  readonly waiting: Set<() => void>;
  readonly listener: () => void;
}

const listenersOf = new WeakMap<AbortSignal, Listeners>();

/** Calls `abort` once when the signal aborts. The returned function cancels that. */
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
  // A new function each time: the same `abort` may wait twice.
  const own = (): void => abort();
  waiting.add(own);
  return () => {
    if (!waiting.delete(own) || waiting.size > 0) return;
    signal.removeEventListener('abort', listener);
    if (listenersOf.get(signal)?.waiting === waiting) listenersOf.delete(signal);
  };
}
