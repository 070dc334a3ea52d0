/**
 * The ready-made codecs.
 *
 * Invariant: the encodings of a key codec sort as bytes exactly as the values do, and values that
 * differ have different encodings. A value that a codec does not take is refused with
 * `VARVE_INVALID_ARGUMENT` (by `json` with `VARVE_CODEC`), never rounded or replaced.
 */

import { invalidArgument, VarveError } from '../errors.ts';
import { assert } from '../util/assert.ts';
import {
  getU32BigEndian,
  getU64BigEndian,
  setU32BigEndian,
  setU64BigEndian,
} from '../util/big-endian.ts';
import { halves, highHalf, lowHalf, wide } from '../util/bigint-halves.ts';
import { isBytes } from '../util/bytes.ts';
import {
  CodecUse,
  decodeAt,
  encodeInto,
  type KeyCodec,
  ownBytes,
  type QuickCodec,
  traits,
} from './codec.ts';
import { json } from './json-codec.ts';

type QuickKeyCodec<T> = QuickCodec<T> & KeyCodec<T>;

const u64Max = 0xffff_ffff_ffff_ffffn;
const i64Sign = 0x8000_0000_0000_0000n;

function wrongLength(name: string, expected: number, actual: number): VarveError {
  const message = `decode of the codec '${name}': ${expected} bytes expected, ${actual} found`;
  return new VarveError('VARVE_CODEC', message, { expected, actual });
}

/** Makes a key codec of one length. */
function fixed<T>(
  name: string,
  byteLength: number,
  write: (value: T, target: Uint8Array) => void,
  read: (bytes: Uint8Array, at: number) => T,
): QuickKeyCodec<T> {
  return Object.freeze<QuickKeyCodec<T>>({
    name,
    byteLength,
    ordered: true,
    encode(value) {
      const bytes = new Uint8Array(byteLength);
      write(value, bytes);
      return bytes;
    },
    decode(bytes) {
      if (bytes.length !== byteLength) throw wrongLength(name, byteLength, bytes.length);
      return read(bytes, 0);
    },
    [traits]: { gives: 'new', quiet: true },
    [encodeInto]: write,
    [decodeAt](bytes, at, length) {
      if (length !== byteLength) throw wrongLength(name, byteLength, length);
      return read(bytes, at);
    },
  });
}

const bytes: QuickKeyCodec<Uint8Array> = Object.freeze<QuickKeyCodec<Uint8Array>>({
  name: 'bytes',
  ordered: true,
  encode(value) {
    if (!isBytes(value)) throw invalidArgument('bytes', 'a Uint8Array that is not detached', value);
    return value;
  },
  decode: (stored) => stored,
  [traits]: { gives: 'given', quiet: true },
  [decodeAt]: ownBytes,
});

const toUtf8 = new TextEncoder();
const fromUtf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

const utf8: KeyCodec<string> = Object.freeze<QuickKeyCodec<string>>({
  name: 'utf8',
  ordered: true,
  encode(value) {
    if (typeof value !== 'string') throw invalidArgument('utf8', 'a string', value);
    // A lone surrogate has no encoding: it would come back as another character.
    if (loneSurrogate.test(value)) throw invalidArgument('utf8', 'well-formed Unicode', value);
    return toUtf8.encode(value);
  },
  decode: (stored) => fromUtf8.decode(stored),
  [traits]: { gives: 'new', quiet: true },
});
const loneSurrogate = /\p{Surrogate}/u;

const u32 = fixed<number>(
  'u32',
  4,
  (value, target) => {
    if (typeof value !== 'number' || value >>> 0 !== value) {
      throw invalidArgument('u32', 'a whole number from 0 to 4294967295', value);
    }
    setU32BigEndian(target, 0, value);
  },
  getU32BigEndian,
);

const uint = fixed<number>(
  'uint',
  8,
  (value, target) => {
    if (!Number.isSafeInteger(value) || value < 0) {
      throw invalidArgument('uint', 'a safe integer from 0', value);
    }
    setU64BigEndian(target, 0, value);
  },
  getU64BigEndian,
);

function writeU64(value: bigint, target: Uint8Array): void {
  wide[0] = value;
  setU32BigEndian(target, 0, halves[highHalf] as number);
  setU32BigEndian(target, 4, halves[lowHalf] as number);
}

function readU64(stored: Uint8Array, at: number): bigint {
  halves[highHalf] = getU32BigEndian(stored, at);
  halves[lowHalf] = getU32BigEndian(stored, at + 4);
  return wide[0] as bigint;
}

const u64 = fixed<bigint>(
  'u64',
  8,
  (value, target) => {
    if (typeof value !== 'bigint' || value < 0n || value > u64Max) {
      throw invalidArgument('u64', 'a bigint from 0 to 2^64 - 1', value);
    }
    writeU64(value, target);
  },
  readU64,
);

const i64 = fixed<bigint>(
  'i64',
  8,
  (value, target) => {
    if (typeof value !== 'bigint' || BigInt.asIntN(64, value) !== value) {
      throw invalidArgument('i64', 'a bigint from -2^63 to 2^63 - 1', value);
    }
    writeU64(BigInt.asUintN(64, value) ^ i64Sign, target);
  },
  (stored, at) => BigInt.asIntN(64, readU64(stored, at) ^ i64Sign),
);

const double = new Float64Array(wide.buffer);

const f64 = fixed<number>(
  'f64',
  8,
  (value, target) => {
    if (typeof value !== 'number' || Number.isNaN(value)) {
      throw invalidArgument('f64', 'a number that is not NaN', value);
    }
    // -0 differs from 0 in its sign only, and sorts directly before it.
    double[0] = value;
    const top = halves[highHalf] as number;
    const rest = halves[lowHalf] as number;
    const negative = top >>> 31 === 1;
    setU32BigEndian(target, 0, negative ? ~top : top ^ 0x8000_0000);
    setU32BigEndian(target, 4, negative ? ~rest : rest);
  },
  (stored, at) => {
    const top = getU32BigEndian(stored, at);
    const rest = getU32BigEndian(stored, at + 4);
    const positive = top >>> 31 === 1;
    halves[highHalf] = positive ? top ^ 0x8000_0000 : ~top;
    halves[lowHalf] = positive ? rest : ~rest;
    return double[0] as number;
  },
);

/**
 * Keys of several parts, which sort by their parts in turn. In a part of varying length that is not
 * the last, each zero is followed by 0xFF, and 0, 1 is its end. FoundationDB's tuple layer does the
 * same with strings.
 */
function tuple<T extends readonly unknown[]>(
  ...parts: { [I in keyof T]: KeyCodec<T[I]> }
): KeyCodec<T> {
  const codecsOfParts = parts as unknown as readonly KeyCodec<unknown>[];
  const uses = codecsOfParts.map((codec, index) => useOfPart(codec, index));
  const isFixed = codecsOfParts.every(({ byteLength }) => byteLength !== undefined);
  const sum = codecsOfParts.reduce((total, { byteLength }) => total + (byteLength ?? 0), 0);
  const last = codecsOfParts.length - 1;
  return Object.freeze<QuickKeyCodec<T>>({
    name: `tuple(${codecsOfParts.map(({ name }) => name).join(',')})`,
    byteLength: isFixed ? sum : undefined,
    ordered: true,
    encode(value) {
      if (!Array.isArray(value) || value.length !== codecsOfParts.length) {
        throw invalidArgument('tuple', `an array of ${codecsOfParts.length} parts`, value);
      }
      const encoded = uses.map((use, index) => {
        // The next part may have the same codec, with the same memory.
        const part = use.encodeKept(value[index]);
        return use.codec.byteLength !== undefined || index === last ? part : escaped(part);
      });
      return joined(encoded);
    },
    decode(stored) {
      let at = 0;
      const value = codecsOfParts.map((codec, index) => {
        const part = partAt(stored, at, codec.byteLength, index === last);
        at += part.stored;
        return codec.decode(part.bytes);
      });
      if (at !== stored.length) throw wrongLength('tuple', at, stored.length);
      return value as unknown as T;
    },
    [traits]: { gives: 'new', quiet: uses.every(({ isQuiet }) => isQuiet) },
  });
}

function useOfPart(codec: KeyCodec<unknown>, index: number): CodecUse<unknown> {
  const use = new CodecUse(`tuple: part ${index}`, codec);
  if (codec.ordered !== true) throw invalidArgument(`tuple: part ${index}`, 'a key codec', codec);
  return use;
}

function joined(parts: readonly Uint8Array[]): Uint8Array {
  const all = new Uint8Array(parts.reduce((total, { length }) => total + length, 0));
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  assert(at === all.length, 'the parts of a tuple fill its encoding');
  return all;
}

function escaped(part: Uint8Array): Uint8Array {
  const out: number[] = [];
  for (const byte of part) {
    out.push(byte);
    if (byte === 0) out.push(0xff);
  }
  out.push(0, 1);
  return Uint8Array.from(out);
}

/** One part of a tuple, and the number of its stored bytes. */
function partAt(
  stored: Uint8Array,
  from: number,
  byteLength: number | undefined,
  isLast: boolean,
): { bytes: Uint8Array; stored: number } {
  if (byteLength !== undefined) {
    const part = stored.slice(from, from + byteLength);
    if (part.length !== byteLength) throw wrongLength('tuple', byteLength, part.length);
    return { bytes: part, stored: byteLength };
  }
  if (isLast) return { bytes: stored.slice(from), stored: stored.length - from };
  const out: number[] = [];
  for (let at = from; at < stored.length; at++) {
    const byte = stored[at] as number;
    if (byte !== 0) out.push(byte);
    else {
      at += 1;
      if (stored[at] === 1) return { bytes: Uint8Array.from(out), stored: at + 1 - from };
      if (stored[at] !== 0xff) break;
      out.push(0);
    }
  }
  const message = "decode of the codec 'tuple': a part has no end mark";
  throw new VarveError('VARVE_CODEC', message, { actual: stored.length });
}

/** Ready-made codecs. `uint`: safe integers from 0; `u64`, `i64`: bigint. */
export const codecs: {
  readonly bytes: KeyCodec<Uint8Array>;
  readonly utf8: KeyCodec<string>;
  readonly uint: KeyCodec<number>;
  readonly u32: KeyCodec<number>;
  readonly u64: KeyCodec<bigint>;
  readonly i64: KeyCodec<bigint>;
  readonly f64: KeyCodec<number>;
  readonly tuple: typeof tuple;
  readonly json: typeof json;
} = Object.freeze({ bytes, utf8, uint, u32, u64, i64, f64, tuple, json });
