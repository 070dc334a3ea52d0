/**
 * Whether something has to be waited for.
 *
 * Invariant: true for promises of any kind, of other realms and libraries too. It waits for nothing
 * and calls nothing.
 */

export function isThenable(value: unknown): value is PromiseLike<unknown> {
  const isObject = (typeof value === 'object' && value !== null) || typeof value === 'function';
  return isObject && typeof (value as { then?: unknown }).then === 'function';
}
