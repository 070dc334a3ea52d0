/**
 * Codecs and reducers: how a user's keys, values and summaries become bytes, and the one place
 * where they are called.
 *
 * Invariants:
 * - An encoding that leaves here is not changed by any later call of a codec: bytes of a user's
 *   codec are copied before anything else is called, since the codec may use their memory again.
 * - What a user's code throws comes out as `VARVE_CODEC` with it as `cause`, and bytes that it is
 *   given to decode are its own.
 *
 * It does not know trees.
 */

import { invalidArgument, VarveError } from '../errors.ts';
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
/** What varve's own codecs say of themselves; nothing is taken for granted of others. */
export const traits: unique symbol = Symbol('traits');

interface CodecTraits {
  /** Whose memory `encode` gives: its own and new each time, or what it was given. */
  readonly gives: 'new' | 'given';
  /** It calls no code of the user's. */
  readonly quiet: boolean;
}

/** What varve's own codecs can do beside, so that a key costs no array of its own. */
export interface QuickCodec<T> extends Codec<T> {
  [encodeInto]?: (value: T, target: Uint8Array) => void;
  [decodeAt]?: (bytes: Uint8Array, at: number, length: number) => T;
  readonly [traits]?: CodecTraits;
}

const memory = new ResultMemory();
/** For encodings: nobody else is given a part of it, so that nobody can take it away. */
const encodings = new ResultMemory();

/** A copy of bytes, the caller's own. */
export function ownBytes(from: Uint8Array, at: number, length: number): Uint8Array<ArrayBuffer> {
  return memory.copy(from, at, length);
}

/** A codec as a tree uses it. */
export class CodecUse<T> {
  readonly codec: Codec<T>;
  /** Neither `encode` nor `decode` calls code of the user's. */
  readonly isQuiet: boolean;
  readonly #quick: QuickCodec<T>;
  readonly #gives: CodecTraits['gives'] | undefined;
  readonly #length: number | undefined;
  /** Memory of an encoding that was given back. */
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
   * The encoding: no codec changes it. Only the codec `bytes` gives memory that is not ours, the
   * caller's own: `keep` copies it where it outlives the call. Throws `VARVE_CODEC`.
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
      const told = `gave ${bytes.length} bytes where its byteLength is ${this.#length}`;
      throw codecError(this.codec, 'encode', told, undefined);
    }
    return this.#gives === undefined ? encodings.copy(bytes, 0, bytes.length) : bytes;
  }

  /** The encoding, in memory that nobody else has. Throws `VARVE_CODEC`. */
  encodeKept(value: T): Uint8Array {
    return this.keep(this.encode(value));
  }

  /** An encoding that `encode` gave, in memory that nobody else has. */
  keep(bytes: Uint8Array): Uint8Array {
    return this.#gives === 'given' ? encodings.copy(bytes, 0, bytes.length) : bytes;
  }

  /**
   * Gives back the memory of an encoding, for the next one. Only for what `encode` gave, once, and
   * when nobody has it any more; it need not be called.
   */
  recycle(bytes: Uint8Array): void {
    if (this.#quick[encodeInto] !== undefined) this.#free = bytes;
  }

  /** Throws `VARVE_CODEC`. */
  decode(bytes: Uint8Array, at: number, length: number): T {
    const quick = this.#quick[decodeAt];
    if (quick !== undefined) return quick(bytes, at, length);
    return guarded(this.codec, 'decode', () => this.codec.decode(ownBytes(bytes, at, length)));
  }
}

/** The bytes of a reducer's value: valid until code of the user's is called. */
export function encodePart<R>(reducer: Codec<R>, part: R): Uint8Array {
  const bytes = guarded(reducer, 'encode', () => reducer.encode(part));
  checkBytes(reducer, bytes);
  return bytes;
}

/** Throws `VARVE_CODEC`. */
function checkBytes(codec: { readonly name: string }, bytes: unknown): asserts bytes is Uint8Array {
  if (isBytes(bytes)) return;
  throw codecError(codec, 'encode', 'gave no Uint8Array that has its bytes', undefined);
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
