/**
 * Codecs and reducers: they turn a user's keys, values and summaries into bytes. User code of this
 * kind is called here only.
 *
 * Invariants:
 * - No later call of a codec changes an encoding that was returned here. Bytes of a user's codec
 *   are copied before anything else is called, since the codec may reuse its memory.
 * - An error of user code becomes `VARVE_CODEC` with it as `cause`. Bytes that user code decodes
 *   are its own.
 *
 * It does not know trees.
 */

import { invalidArgument, VarveError } from '../errors.ts';
import { assert } from '../util/assert.ts';
import { isBytes, ResultMemory } from '../util/bytes.ts';

/** Turns values into bytes and back. */
export interface Codec<T> {
  /** Kept with the tree: a tree is not opened with a codec of another name. */
  readonly name: string;
  /** Every encoding has this length: no lengths are stored, and searching is quicker. */
  readonly byteLength?: number | undefined;
  /** May return memory that the codec reuses: varve copies it before it calls any codec again. */
  encode(value: T): Uint8Array;
  /** `bytes` are the codec's own. */
  decode(bytes: Uint8Array): T;
}

/** `encode(a)` sorts before `encode(b)` as bytes if and only if `a` sorts before `b`. */
export interface KeyCodec<T> extends Codec<T> {
  readonly ordered: true;
}

/** A value kept in every node over the entries below it; encoded and decoded as a `Codec` does. */
export interface Reducer<K, V, R> extends Codec<R> {
  map(key: K, value: V): R;
  /** Associative; `reduce([])` is the neutral element. */
  reduce(parts: readonly R[]): R;
}

/** As `encode`, into given memory; only for codecs with a `byteLength`. */
export const encodeInto: unique symbol = Symbol('encodeInto');
/** As `decode`, for bytes within a larger array that the codec must not keep. */
export const decodeAt: unique symbol = Symbol('decodeAt');
/** Facts about varve's own codecs; of other codecs nothing is assumed. */
export const traits: unique symbol = Symbol('traits');

interface CodecTraits {
  /** The memory that `encode` returns: new each time, or the memory of its argument. */
  readonly gives: 'new' | 'given';
  /** It calls no user code. */
  readonly quiet: boolean;
}

/** More methods of varve's own codecs: with them a key costs no array of its own. */
export interface QuickCodec<T> extends Codec<T> {
  [encodeInto]?: (value: T, target: Uint8Array) => void;
  [decodeAt]?: (bytes: Uint8Array, at: number, length: number) => T;
  readonly [traits]?: CodecTraits;
}

const memory = new ResultMemory();
/** For encodings only. User code gets no part of it, so it cannot transfer the buffer. */
const encodings = new ResultMemory();

/** A copy of bytes, the caller's own. */
export function ownBytes(from: Uint8Array, at: number, length: number): Uint8Array<ArrayBuffer> {
  return memory.copy(from, at, length);
}

/** A codec as a tree uses it. */
export class CodecUse<T> {
  readonly codec: Codec<T>;
  /** Neither `encode` nor `decode` calls user code. */
  readonly isQuiet: boolean;
  readonly #quick: QuickCodec<T>;
  readonly #gives: CodecTraits['gives'] | undefined;
  readonly #length: number | undefined;
  /** Memory of a recycled encoding. */
  #free: Uint8Array | undefined;

  constructor(what: string, codec: Codec<T>) {
    checkCodec(what, codec);
    this.codec = codec;
    this.#quick = codec;
    this.#gives = this.#quick[traits]?.gives;
    this.isQuiet = this.#quick[traits]?.quiet === true;
    this.#length = codec.byteLength;
  }

  /**
   * The encoding; no codec changes it. The codec `bytes` returns the caller's own memory: use
   * `keep` if the encoding outlives the call. Throws `VARVE_CODEC`.
   */
  encode(value: T): Uint8Array {
    const write = this.#quick[encodeInto];
    if (write !== undefined && this.#length !== undefined) {
      const bytes = this.#free ?? new Uint8Array(this.#length);
      this.#free = undefined;
      write(value, bytes);
      return bytes;
    }
    const bytes = guarded(this.codec, 'encode', () => this.codec.encode(value));
    checkBytes(this.codec, bytes);
    if (this.#length !== undefined && bytes.length !== this.#length) {
      const failure = `returned ${bytes.length} bytes, but its byteLength is ${this.#length}`;
      throw codecError(this.codec, 'encode', failure, undefined);
    }
    return this.#gives === undefined ? encodings.copy(bytes, 0, bytes.length) : bytes;
  }

  /** The encoding, in memory that only varve has. Throws `VARVE_CODEC`. */
  encodeKept(value: T): Uint8Array {
    return this.keep(this.encode(value));
  }

  /** An encoding of `encode`, in memory that only varve has. */
  keep(bytes: Uint8Array): Uint8Array {
    return this.#gives === 'given' ? encodings.copy(bytes, 0, bytes.length) : bytes;
  }

  /**
   * Gives back the memory of an encoding for the next one; optional. Requires: the encoding is from
   * `encode`, is given back once, and is not used any more.
   */
  recycle(bytes: Uint8Array): void {
    if (this.#quick[encodeInto] === undefined) return;
    assert(
      bytes.length === this.#length,
      'memory that is given back has the length of an encoding',
    );
    this.#free = bytes;
  }

  /** Throws `VARVE_CODEC`. */
  decode(bytes: Uint8Array, at: number, length: number): T {
    const quick = this.#quick[decodeAt];
    if (quick !== undefined) return quick(bytes, at, length);
    return guarded(this.codec, 'decode', () => this.codec.decode(ownBytes(bytes, at, length)));
  }
}

/** The bytes of a reducer's value, valid until user code is called. */
export function encodePart<R>(reducer: Codec<R>, part: R): Uint8Array {
  const bytes = guarded(reducer, 'encode', () => reducer.encode(part));
  checkBytes(reducer, bytes);
  return bytes;
}

/** Throws `VARVE_CODEC`. */
function checkBytes(codec: { readonly name: string }, bytes: unknown): asserts bytes is Uint8Array {
  if (isBytes(bytes)) return;
  throw codecError(codec, 'encode', 'returned no Uint8Array, or a detached one', undefined);
}

/** Runs a user's function. Its error becomes `VARVE_CODEC`; varve's own errors stay as they are. */
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
  failure: string,
  cause: unknown,
): VarveError {
  return new VarveError('VARVE_CODEC', `${what} of the codec '${name}' ${failure}`, { cause });
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
