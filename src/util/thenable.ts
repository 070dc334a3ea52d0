/**
 * Detects promises of any kind.
 *
 * Rule: a user's value may be anything, also a strict proxy, so reading its `then` may throw. Call
 * this where an error of the user's function is handled: such a result is a failure of that
 * function, with that error. It awaits nothing and calls nothing else.
 */

/** True for promises of any kind, also of other realms and libraries. Throws what `then` throws. */
export function isThenable(value: unknown): value is PromiseLike<unknown> {
  const isObject = (typeof value === 'object' && value !== null) || typeof value === 'function';
  return isObject && typeof (value as { then?: unknown }).then === 'function';
}

/** Ignores a promise that the user's function should not have returned, and its rejection. */
export function abandon(result: PromiseLike<unknown>): void {
  Promise.resolve(result).then(undefined, () => undefined);
}
