/**
 * Whether something has to be waited for.
 *
 * Rule: a value of the user's may be anything, a strict proxy too, so reading its `then` may throw.
 * Whoever asks does it where the user's own function would throw: such a result is a failure of the
 * function that gave it, with that error. It waits for nothing and calls nothing else.
 */

/** True for promises of any kind, of other realms and libraries too. Throws what `then` throws. */
export function isThenable(value: unknown): value is PromiseLike<unknown> {
  const isObject = (typeof value === 'object' && value !== null) || typeof value === 'function';
  return isObject && typeof (value as { then?: unknown }).then === 'function';
}

/** Takes what the user's function should not have given: nobody waits for it, nor hears it fail. */
export function abandon(result: PromiseLike<unknown>): void {
  Promise.resolve(result).then(undefined, () => undefined);
}
