/**
 * The codec of JSON: it stores values that `JSON.parse` gives back equal, and no others.
 *
 * Rule: `JSON.stringify` silently replaces or leaves out values that JSON does not have. Therefore
 * one walk over the value comes first. It refuses, with place and reason, each part that would come
 * back different. Plain objects of another realm are accepted. An object without a prototype comes
 * back with the same properties and the usual prototype.
 */

import { VarveError } from '../errors.ts';
import { type Codec, type QuickCodec, traits } from './codec.ts';

const toUtf8 = new TextEncoder();
const fromUtf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/**
 * JSON. Refuses with `VARVE_CODEC` every value that `JSON.parse` would not give back equal:
 * - undefined (a property too), NaN, infinities, -0, holes, bigint, symbols, functions;
 * - Date, Map, Set, bytes, class instances, objects with `toJSON`;
 * - properties that JSON leaves out, cycles.
 */
export function json<T>(): Codec<T> {
  return Object.freeze<QuickCodec<T>>({
    name: 'json',
    // The value may be a proxy or have getters.
    [traits]: { gives: 'new', quiet: false },
    encode: (value) => toUtf8.encode(textOf(value)),
    decode: (stored) => JSON.parse(fromUtf8.decode(stored)) as T,
  });
}

/** Throws `VARVE_CODEC`. */
function textOf(value: unknown): string {
  try {
    new JsonWalk().check(value, 0);
    return JSON.stringify(value);
  } catch (cause) {
    throw cause instanceof VarveError ? cause : failure(cause);
  }
}

/** The error for a value that is too deep or too long, or whose getter throws. */
function failure(cause: unknown): VarveError {
  const reason = cause instanceof Error ? cause.message : 'an error without a message';
  return new VarveError('VARVE_CODEC', `json cannot store the value: ${reason}`, { cause });
}

/** From this depth on cycles are searched; a value with a cycle always gets there. */
const depthOfCycles = 100;
const plainName = /^[A-Za-z_$][\w$]*$/;

class JsonWalk {
  /** The path to the current part: names and indexes. */
  readonly #path: (string | number)[] = [];
  /** The objects on that path. */
  readonly #above: object[] = [];

  check(value: unknown, depth: number): void {
    switch (typeof value) {
      case 'string':
      case 'boolean':
        return;
      case 'number':
        if (!Number.isFinite(value)) this.#refuse(depth, `${value}`);
        if (Object.is(value, -0)) this.#refuse(depth, '-0');
        return;
      case 'object':
        if (value !== null) this.#object(value, depth);
        return;
      default:
        this.#refuse(depth, typeof value === 'undefined' ? 'undefined' : `a ${typeof value}`);
    }
  }

  #object(value: object, depth: number): void {
    if (depth >= depthOfCycles) this.#refuseCycle(value, depth);
    this.#above[depth] = value;
    if (typeof (value as { toJSON?: unknown }).toJSON === 'function') {
      this.#refuse(depth, 'an object with toJSON');
    }
    const isArray = Array.isArray(value);
    const prototype: unknown = Object.getPrototypeOf(value);
    if (!(isArray ? isArrayPrototype(prototype) : isPlainPrototype(prototype))) {
      this.#refuse(depth, `an instance of ${value.constructor?.name ?? 'a class'}`);
    }
    if (isArray) this.#elements(value, depth);
    else this.#properties(value as Record<string, unknown>, depth);
  }

  #elements(all: readonly unknown[], depth: number): void {
    for (let index = 0; index < all.length; index++) {
      this.#path[depth] = index;
      const element = all[index];
      if (element === undefined && !Object.hasOwn(all, index)) this.#refuse(depth + 1, 'a hole');
      this.check(element, depth + 1);
    }
    // Hidden names are not checked: `getOwnPropertyNames` would make a name for each element.
    if (Object.keys(all).length > all.length || hasSymbols(all)) {
      this.#refuse(depth, 'an array with other properties than its elements');
    }
  }

  #properties(value: Record<string, unknown>, depth: number): void {
    const names = Object.keys(value);
    for (const name of names) {
      this.#path[depth] = name;
      this.check(value[name], depth + 1);
    }
    // Two calls, since `Reflect.ownKeys` takes ten times as long.
    if (Object.getOwnPropertyNames(value).length > names.length || hasSymbols(value)) {
      this.#refuse(depth, 'an object with symbols or hidden properties');
    }
  }

  #refuseCycle(value: object, depth: number): void {
    if (!this.#above.slice(0, depth).includes(value)) return;
    const again = this.#above.findIndex((one, at) => this.#above.indexOf(one) < at);
    this.#refuse(again < 0 ? depth : again, 'an object that it is a part of');
  }

  #refuse(depth: number, what: string): never {
    const place = this.#path.slice(0, depth).map((part) => {
      if (typeof part === 'number') return `[${part}]`;
      return plainName.test(part) ? `.${part}` : `[${JSON.stringify(part)}]`;
    });
    const message = `json would not give back value${place.join('')}: it is ${what}`;
    throw new VarveError('VARVE_CODEC', message, { actual: what });
  }
}

function hasSymbols(value: object): boolean {
  return Object.getOwnPropertySymbols(value).length > 0;
}

/** The prototype of a plain object of any realm, or null. */
function isPlainPrototype(prototype: unknown): boolean {
  if (prototype === Object.prototype || prototype === null) return true;
  // Only an Object.prototype has no prototype and this method.
  const isLast = Object.getPrototypeOf(prototype) === null;
  return isLast && Object.hasOwn(prototype as object, 'propertyIsEnumerable');
}

/** The prototype of a plain array of any realm: an Array.prototype is an array itself. */
function isArrayPrototype(prototype: unknown): boolean {
  if (prototype === Array.prototype) return true;
  return Array.isArray(prototype) && isPlainPrototype(Object.getPrototypeOf(prototype));
}
