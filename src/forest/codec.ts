/**
 * Codecs and reducers: how a user's keys, values and summaries become bytes, and the one place
 * where they are called.
 *
 * Invariant: what a user's code throws comes out as `VARVE_CODEC` with it as `cause`, and bytes
 * that it is given to decode are its own. Bytes that it gave are not kept: whoever stores them
 * copies them. It does not know trees.
 */

import { invalidArgument, VarveError } from '../errors.ts';
import { ResultMemory } from '../util/bytes.ts';

/** Turns values into bytes and back. */
export interface Codec<T> {
  /** Kept with the tree: a tree is not opened with a codec of another name. */
  readonly name: string;
  /** Every encoding has this length: no lengths are stored, and searching is quicker. */
  readonly byteLength?: number | undefined;
  encode(value: T): Uint8Array;
  /** `bytes` are the codec's own. */
  decode(bytes: Uint8Array): T;
}

/** `encode(a)` sorts before `encode(b)` as bytes exactly where `a` sorts before `b`. */
export interface KeyCodec<T> extends Codec<T> {
  readonly ordered: true;
}

/** A value kept in every node over the entries below it; encoded and decoded as a `Codec` does. */
export interface Reducer<K, V, R> extends Codec<R> {
  map(key: K, value: V): R;
  /** Associative; `reduce([])` is the neutral element. */
  reduce(parts: readonly R[]): R;
}

/** As `encode`, into memory that is there: of a codec whose encodings all have one length. */
export const encodeInto: unique symbol = Symbol('encodeInto');
/** As `decode`, of bytes that lie among others and are not the codec's own. */
export const decodeAt: unique symbol = Symbol('decodeAt');

/** What varve's own codecs can do beside, so that a key costs no array of its own. */
export interface QuickCodec<T> extends Codec<T> {
  [encodeInto]?: (value: T, target: Uint8Array) => void;
  [decodeAt]?: (bytes: Uint8Array, at: number, length: number) => T;
}

const memory = new ResultMemory();

/** A copy of bytes, the caller's own. */
export function ownBytes(from: Uint8Array, at: number, length: number): Uint8Array<ArrayBuffer> {
  return memory.copy(from, at, length);
}

/** A codec as a tree uses it. */
export class CodecUse<T> {
  readonly codec: Codec<T>;
  readonly #quick: QuickCodec<T>;
  readonly #scratch: Uint8Array | undefined;
  readonly #length: number | undefined;

  constructor(what: string, codec: Codec<T>) {
    checkCodec(what, codec);
    this.codec = codec;
    this.#quick = codec;
    this.#length = codec.byteLength;
    const { byteLength } = codec;
    if (this.#quick[encodeInto] !== undefined && byteLength !== undefined) {
      this.#scratch = new Uint8Array(byteLength);
    }
  }

  /** The encoding: valid until the next one is made. Throws `VARVE_CODEC`. */
  encode(value: T): Uint8Array {
    const quick = this.#scratch;
    if (quick !== undefined) {
      this.#quick[encodeInto]?.(value, quick);
      return quick;
    }
    const bytes = guarded(this.codec, 'encode', () => this.codec.encode(value));
    if (!(bytes instanceof Uint8Array)) {
      throw codecError(this.codec, 'encode', 'gave no Uint8Array', undefined);
    }
    if (this.#length !== undefined && bytes.length !== this.#length) {
      const told = `gave ${bytes.length} bytes where its byteLength is ${this.#length}`;
      throw codecError(this.codec, 'encode', told, undefined);
    }
    return bytes;
  }

  /** The encoding, in memory of its own. */
  encodeKept(value: T): Uint8Array {
    return this.encode(value).slice();
  }

  /** Throws `VARVE_CODEC`. */
  decode(bytes: Uint8Array, at: number, length: number): T {
    const quick = this.#quick[decodeAt];
    if (quick !== undefined) return quick(bytes, at, length);
    return guarded(this.codec, 'decode', () => this.codec.decode(ownBytes(bytes, at, length)));
  }
}

/** Runs a function of the user's: its error becomes `VARVE_CODEC`, varve's own stay as they are. */
export function guarded<T>(codec: { readonly name: string }, what: string, run: () => T): T {
  try {
    return run();
  } catch (error) {
    if (error instanceof VarveError) throw error;
    throw codecError(codec, what, 'threw an error', error);
  }
}

function codecError(
  { name }: { readonly name: string },
  what: string,
  told: string,
  cause: unknown,
): VarveError {
  return new VarveError('VARVE_CODEC', `${what} of the codec '${name}' ${told}`, { cause });
}

function checkCodec(what: string, codec: Codec<unknown>): void {
  const isCodec =
    typeof codec === 'object' &&
    codec !== null &&
    typeof codec.name === 'string' &&
    typeof codec.encode === 'function' &&
    typeof codec.decode === 'function';
  if (!isCodec) throw invalidArgument(what, 'a codec with name, encode and decode', codec);
  const { byteLength } = codec;
  if (byteLength !== undefined && !(Number.isSafeInteger(byteLength) && byteLength >= 0)) {
    throw invalidArgument(`${what}: byteLength`, 'a whole number of bytes', byteLength);
  }
}
