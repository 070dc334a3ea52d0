/**
 * The check of options objects: a name that is not known is refused, never ignored.
 *
 * Rule: an option that the caller misspelt must not mean its default. Every options object says its
 * names with `NamesOf` its interface, and passes through here before anything is done. Inherited
 * properties count as own ones do, since both are read; what every object inherits is left aside.
 * Values are checked by whoever knows them, the common kinds below.
 */

import { invalidArgument, VarveError } from '../errors.ts';

/** Every name of an options interface: the compiler says when one is missing, or one too many. */
export type NamesOf<Options> = Readonly<Record<keyof Options & string, true>>;

const shownAs = Object.prototype.toString;
/** An object of any class, and what `import *` gives. Arrays, maps, promises and such are none. */
const isOptions: ReadonlySet<string> = new Set(['[object Object]', '[object Module]']);

/** Throws `VARVE_INVALID_ARGUMENT` for what is no object, and for a name that is not known. */
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

/** Throws `VARVE_INVALID_ARGUMENT` for what is no boolean. */
export function checkFlag(what: string, value: unknown, otherwise: boolean): boolean {
  if (value === undefined) return otherwise;
  if (typeof value !== 'boolean') throw invalidArgument(what, 'a boolean', value);
  return value;
}

/** Throws `VARVE_INVALID_ARGUMENT` for what is no AbortSignal. */
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
  const message = `${what} does not know '${name}'${guess} (it knows ${listOf(names)})`;
  return new VarveError('VARVE_INVALID_ARGUMENT', message, {
    expected: listOf(names),
    actual: name,
  });
}

/** One letter more, less, other, or moved by one. */
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
