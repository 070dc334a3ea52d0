/**
 * How the numbers of a program become keys and values, and the vaults: codecs of every kind that the
 * contract allows, counted so that each call can fail.
 *
 * Invariant: `encode` and `decode` of one value agree, and keys sort as their numbers do.
 */

import {
  type Codec,
  codecs,
  type KeyCodec,
  type Reducer,
  reducers,
  type TreeOptions,
  type Vault,
} from '../../../src/forest/index.ts';
import { aesGcm, compressed } from '../../../src/vault/index.ts';
import type { VaultKind } from '../model/plan.ts';
import { Chaos } from './chaos.ts';

export interface Dialect {
  readonly options: TreeOptions<number, number, number>;
  readonly reducer: Reducer<number, number, number> | undefined;
  readonly versioned: boolean;
}

/** Two bytes of number, and up to seven more. */
function raggedKeys(chaos: Chaos): KeyCodec<number> {
  return {
    name: 'ragged keys',
    ordered: true,
    encode(value) {
      chaos.call('codec');
      const bytes = new Uint8Array(2 + (value % 8)).fill(7);
      bytes[0] = value >>> 8;
      bytes[1] = value;
      return bytes;
    },
    decode(bytes) {
      chaos.call('codec');
      return (bytes[0] as number) * 256 + (bytes[1] as number);
    },
  };
}

/** Multiples of it have long encodings, if the codec is a ragged one. */
export const longFactor = 13;

/** The length of what encodes a value: some are too long for a node, one in 40 for a page. */
function raggedLength(value: number): number {
  if (value % 90 === 1) return 4000 + (value % 900);
  return 4 + (value % longFactor === 0 ? 400 + (value % 900) : value % 60);
}

function raggedValues(chaos: Chaos): Codec<number> {
  return {
    name: 'ragged values',
    encode(value) {
      chaos.call('codec');
      const bytes = new Uint8Array(raggedLength(value)).fill(value);
      new DataView(bytes.buffer).setUint32(0, value);
      return bytes;
    },
    decode(bytes) {
      chaos.call('codec');
      const value = new DataView(bytes.buffer, bytes.byteOffset).getUint32(0);
      const fits = bytes.length === raggedLength(value);
      const [middle, last] = [bytes[Math.max(4, bytes.length >> 1)], bytes.at(-1)];
      if (!fits || (bytes.length > 4 && (middle !== last || last !== (value & 255)))) {
        throw new Error(`bytes that encode no value: ${bytes.length}, of ${value}`);
      }
      return value;
    },
  };
}

/** Fixed numbers whose codec gives the same memory each time, as the contract allows. */
function reusing(chaos: Chaos): KeyCodec<number> {
  const memory = new Uint8Array(4);
  const view = new DataView(memory.buffer);
  return {
    name: 'reusing',
    ordered: true,
    byteLength: 4,
    encode(value) {
      chaos.call('codec');
      view.setUint32(0, value);
      return memory;
    },
    decode(bytes) {
      chaos.call('codec');
      return new DataView(bytes.buffer, bytes.byteOffset).getUint32(0);
    },
  };
}

function counted(
  chaos: Chaos,
  inner: Reducer<number, number, number>,
): Reducer<number, number, number> {
  return {
    name: inner.name,
    byteLength: inner.byteLength,
    encode: (value) => inner.encode(value),
    decode: (bytes) => inner.decode(bytes),
    map(key, value) {
      chaos.call('reducer');
      return inner.map(key, value);
    },
    reduce(parts) {
      chaos.call('reducer');
      return inner.reduce(parts);
    },
  };
}

const sameValue = (_key: number, value: number): number => value;

const makers: readonly ((chaos: Chaos) => TreeOptions<number, number, number>)[] = [
  () => ({ key: codecs.u32, value: codecs.u32 }),
  () => ({ key: codecs.uint, value: codecs.uint }),
  (chaos) => ({
    key: codecs.u32,
    value: raggedValues(chaos),
    reducer: counted(chaos, reducers.sum(sameValue)),
  }),
  (chaos) => ({ key: raggedKeys(chaos), value: raggedValues(chaos) }),
  (chaos) => ({ key: raggedKeys(chaos), value: raggedValues(chaos), versioned: true }),
  (chaos) => ({
    key: raggedKeys(chaos),
    value: codecs.u32,
    reducer: counted(chaos, reducers.max(sameValue)),
    versioned: true,
  }),
  (chaos) => ({ key: reusing(chaos), value: raggedValues(chaos) }),
];
/** The last one, of a codec for keys and values that reuses its memory, may be left out. */
const reusingMaker = (chaos: Chaos): TreeOptions<number, number, number> => {
  const codec = reusing(chaos);
  return { key: codec, value: codec };
};

export const dialectCount = makers.length + 1;

/** Dialects without a reducer: changes of their trees can be logged. */
export const loggedDialects = [0, 1, 3, 4, 6] as const;

export function isVersioned(dialect: number): boolean {
  return makers[dialect]?.(new Chaos()).versioned === true;
}

function uncounted({ name }: { readonly name: string }): Reducer<number, number, number> {
  const all = [reducers.sum(sameValue), reducers.max(sameValue)];
  return all.find((reducer) => reducer.name === name) as Reducer<number, number, number>;
}

export function dialectOf(number: number, chaos: Chaos, leaveOutReused: boolean): Dialect {
  const maker = makers[number] ?? (leaveOutReused ? makers[0]! : reusingMaker);
  const options = maker(chaos);
  const versioned = options.versioned === true;
  // The model's own sums are no calls of the forest's.
  const reducer = options.reducer === undefined ? undefined : uncounted(options.reducer);
  return { options, reducer, versioned };
}

const sumBytes = 4;

/** A vault that adds up context and bytes, so that whatever is swapped or changed is refused. */
function checkedVault(): Vault & { readonly overheadBytes: number } {
  const sumOf = (plain: Uint8Array, context: Uint8Array): number => {
    let sum = 7;
    for (const byte of context) sum = (Math.imul(sum, 31) + byte) >>> 0;
    for (const byte of plain) sum = (Math.imul(sum, 31) + byte) >>> 0;
    return sum;
  };
  return {
    name: 'checked',
    overheadBytes: sumBytes,
    seal(plain, context) {
      const sealed = new Uint8Array(sumBytes + plain.length);
      new DataView(sealed.buffer).setUint32(0, sumOf(plain, context));
      for (let at = 0; at < plain.length; at++)
        sealed[sumBytes + at] = (plain[at] as number) ^ 0x5a;
      return sealed;
    },
    open(sealed, context) {
      if (sealed.length < sumBytes) throw new Error('too short to be sealed');
      const plain = sealed.slice(sumBytes);
      for (let at = 0; at < plain.length; at++) plain[at] = (plain[at] as number) ^ 0x5a;
      const sum = new DataView(sealed.buffer, sealed.byteOffset).getUint32(0);
      if (sum !== sumOf(plain, context)) throw new Error('sealed in another context, or changed');
      return plain;
    },
  };
}

/** The vault of a forest; each of its calls may fail. */
export function vaultOf(kind: VaultKind, chaos: Chaos): Vault | undefined {
  if (kind === 'none') return undefined;
  const inner =
    kind === 'checked'
      ? checkedVault()
      : kind === 'aes'
        ? aesGcm({ key: new Uint8Array(32).fill(9) })
        : compressed();
  return {
    name: inner.name,
    overheadBytes: (inner as { overheadBytes?: number }).overheadBytes,
    seal(plain: Uint8Array, context: Uint8Array) {
      chaos.call('vault');
      return inner.seal(plain, context);
    },
    open(sealed: Uint8Array, context: Uint8Array) {
      chaos.call('vault');
      return inner.open(sealed, context);
    },
  } as Vault;
}
