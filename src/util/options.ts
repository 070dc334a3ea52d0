/**
 * Checks options objects: an unknown name is refused, never ignored.
 *
 * Rule: a misspelt option must not silently get its default. Every options object lists its names
 * with `NamesOf` its interface, and is checked here before anything is done. Inherited properties
 * count too, since they are also read; those that every object inherits do not. The callers check
 * values, with the functions below for common types.
 */

import { invalidArgument, VarveError } from '../errors.ts';

/** All names of an options interface: the compiler reports a missing or an extra one. */
export type NamesOf<Options> = Readonly<Record<keyof Options & string, true>>;

const shownAs = Object.prototype.toString;
/** An object of any class, or a module namespace; no arrays, maps, promises and so on. */
const isOptions: ReadonlySet<string> = new Set(['[object Object]', '[object Module]']);

/** Throws `VARVE_INVALID_ARGUMENT` for anything but an object, and for an unknown name. */
export function checkNames(
  what: string,
  options: unknown,
  names: Readonly<Record<string, true>>,
): void {
  if (typeof options !== 'object' || options === null || !isOptions.has(shownAs.call(options))) {
    throw invalidArgument(what, `an object with ${listOf(names)}`, options);
  }
  for (const name in options) {
    if (!Object.hasOwn(names, name) && !(name in Object.prototype))
      throw unknown(what, name, names);
  }
}

/** Throws `VARVE_INVALID_ARGUMENT` for anything but a boolean. */
export function checkFlag(what: string, value: unknown, otherwise: boolean): boolean {
  if (value === undefined) return otherwise;
  if (typeof value !== 'boolean') throw invalidArgument(what, 'a boolean', value);
  return value;
}

/** Throws `VARVE_INVALID_ARGUMENT` for anything but an AbortSignal. */
export function checkSignal(value: unknown): AbortSignal | undefined {
  if (value === undefined) return undefined;
  if (typeof value === 'object' && value !== null && 'throwIfAborted' in value) {
    return value as AbortSignal;
  }
  throw invalidArgument('signal', 'an AbortSignal', value);
}

function listOf(names: Readonly<Record<string, true>>): string {
  return Object.keys(names).join(', ');
}

function unknown(what: string, name: string, names: Readonly<Record<string, true>>): VarveError {
  const near = Object.keys(names).find((one) => isNear(one.toLowerCase(), name.toLowerCase()));
  const guess = near === undefined ? '' : `: did you mean '${near}'?`;
  const expected = listOf(names);
  const message = `${what} does not know '${name}'${guess} (it knows ${expected})`;
  return new VarveError('VARVE_INVALID_ARGUMENT', message, { expected, actual: name });
}

/** True if they differ by one letter added, removed or changed, or by two neighbours swapped. */
function isNear(one: string, other: string): boolean {
  const shared = Math.min(one.length, other.length);
  let start = 0;
  while (start < shared && one[start] === other[start]) start += 1;
  let end = 0;
  while (end < shared - start && one.at(-1 - end) === other.at(-1 - end)) end += 1;
  const [rest, otherRest] = [one.length - start - end, other.length - start - end];
  const isMoved = rest === 2 && otherRest === 2 && one[start] === other[start + 1];
  return Math.max(rest, otherRest) <= 1 || isMoved;
}
