/**
 * Bytes that are no node, no record of a tree and no root of a forest, into the decoders: valid
 * encodings of every shape, with bits flipped, bytes put in, taken out and repeated, cut off.
 *
 * What comes out is VARVE_CORRUPT or what keeps a node's invariant (keys that rise, references to
 * something stored, numbers that are safe integers), and never takes more memory than a few times
 * the bytes. What is right comes back as it was. Nothing is read from a store here.
 * VARVE_FOREST_RUNS: how many of each.
 */

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { isVarveError } from '../../../src/errors.ts';
import { ForestCore } from '../../../src/forest/forest-core.ts';
import { coreOptions } from '../../../src/forest/forest-options.ts';
import {
  decodeForestRoot,
  decodeSealedRoot,
  encodeForestRoot,
  encodeSealedRoot,
} from '../../../src/forest/journal/forest-root.ts';
import {
  emptyRoot,
  NodeRef,
  type TreeNode,
  type TreeShape,
} from '../../../src/forest/nodes/node.ts';
import { decodeNode, NodeWriter } from '../../../src/forest/nodes/node-encoding.ts';
import { decodeRecord, encodeRecord, shapeOf } from '../../../src/forest/trees/tree-record.ts';
import { type GrainId, Store } from '../../../src/index.ts';
import { compareBytes } from '../../../src/util/bytes.ts';
import { ByteWriter } from '../../../src/util/cursor.ts';

const numRuns = Number(process.env['VARVE_FOREST_RUNS'] ?? 60) * 20;

const store = await Store.inMemory();
const vault = {
  name: 'none',
  seal: (bytes: Uint8Array) => bytes,
  open: (bytes: Uint8Array) => bytes,
};

/** How nodes are laid out where keys, values and a reducer's values have these lengths. */
function shapeFor(keyBytes: number, valueBytes: number, partBytes: number, sealed = false) {
  const small = { nodeBytes: 512, nodeCacheBytes: 0, journalBytes: 0 };
  const settings = coreOptions({ ...small, vault: sealed ? vault : undefined });
  const { limits } = new ForestCore(store, settings).state.context;
  const names = { keyCodec: 'key', valueCodec: 'value', reducer: '', versioned: false };
  return shapeOf({ ...names, keyBytes, valueBytes, partBytes }, limits);
}

const shapes: readonly (readonly [string, TreeShape])[] = [
  ['one length', shapeFor(8, 8, -1)],
  ['one length of keys', shapeFor(8, -1, 8)],
  ['one length of values', shapeFor(-1, 3, -1)],
  ['many lengths', shapeFor(-1, -1, 0)],
  ['many lengths, sealed', shapeFor(-1, -1, -1, true)],
  ['no bytes at all', shapeFor(0, 0, -1)],
];
const huge = shapeFor(2 ** 52, 2 ** 52, 2 ** 40);

// ── what is right, by the specification ──

function keysOf({ keyBytes }: TreeShape, least: number): fc.Arbitrary<Uint8Array[]> {
  const length = keyBytes < 0 ? { maxLength: 12 } : sized(keyBytes);
  return fc
    .array(fc.uint8Array(length), { minLength: least, maxLength: 12 })
    .map((keys) => keys.sort(compareBytes))
    .map((keys) => keys.filter((key, at) => at === 0 || !isSame(keys[at - 1], key)));
}

function isSame(one: Uint8Array | undefined, other: Uint8Array): boolean {
  return one !== undefined && compareBytes(one, other) === 0;
}

function sized(bytes: number): { minLength: number; maxLength: number } {
  return { minLength: bytes, maxLength: bytes };
}

function begun(level: number, parts: boolean, count: number): ByteWriter {
  const writer = new ByteWriter();
  writer.u8(level);
  writer.u8(parts ? 1 : 0);
  writer.u16(0);
  writer.u32(count);
  return writer;
}

function leafOf(shape: TreeShape): fc.Arbitrary<Uint8Array> {
  const { keyBytes, valueBytes } = shape;
  const value = fc.uint8Array(valueBytes < 0 ? { maxLength: 40 } : sized(valueBytes));
  return fc.tuple(keysOf(shape, 1), fc.infiniteStream(value)).map(([keys, all]) => {
    const entries = keys.map((key) => [key, all.next().value] as const);
    const writer = begun(0, false, keys.length);
    for (const [one, { length }] of entries) {
      if (keyBytes < 0) writer.varint(one.length);
      // Sixteen bytes may be where a long value is.
      if (valueBytes < 0) writer.varint(length * 2 + (length === 16 ? 1 : 0));
    }
    for (const both of entries) for (const bytes of both) writer.bytes(bytes);
    return writer.view().slice();
  });
}

interface Child {
  readonly low: number;
  readonly high: number;
  readonly seal: number;
  readonly count: number;
  readonly long: boolean;
  readonly part: Uint8Array;
}

function branchBytes(
  shape: TreeShape,
  level: number,
  keys: readonly Uint8Array[],
  children: readonly Child[],
): Uint8Array {
  const writer = begun(level, shape.partBytes >= 0, children.length);
  if (shape.keyBytes < 0) for (const { length } of keys) writer.varint(length);
  for (const key of keys) writer.bytes(key);
  for (const { low, high, seal, count, long, part } of children) {
    writer.u32(low);
    writer.u32(high);
    if (shape.sealed) writer.u64(BigInt(seal));
    writer.varint(count * 2 + (long ? 1 : 0));
    if (shape.partBytes < 0) continue;
    writer.varint(part.length);
    writer.bytes(part);
  }
  return writer.view().slice();
}

function branchOf(shape: TreeShape): fc.Arbitrary<Uint8Array> {
  const child: fc.Arbitrary<Child> = fc.record({
    low: fc.integer({ min: 1, max: 2 ** 32 - 1 }),
    high: fc.nat(2 ** 32 - 1),
    seal: fc.nat(2 ** 40),
    count: fc.integer({ min: 1, max: 2 ** 40 }),
    long: fc.boolean(),
    part: fc.uint8Array({ maxLength: 20 }),
  });
  const parts = fc.tuple(
    keysOf(shape, 0),
    fc.infiniteStream(child),
    fc.integer({ min: 1, max: 9 }),
  );
  return parts.map(([keys, all, level]) => {
    const children = Array.from({ length: keys.length + 1 }, () => all.next().value);
    return branchBytes(shape, level, keys, children);
  });
}

// ── what is not ──

type Wound = (bytes: Uint8Array) => Uint8Array;

// Doubles by chance would be next to 0.
const at = fc.nat(9999).map((share) => share / 10_000);

function joined(...parts: Uint8Array[]): Uint8Array {
  return Uint8Array.from(parts.flatMap((part) => [...part]));
}

const wounds: fc.Arbitrary<Wound[]> = fc.array(
  fc.oneof(
    fc.tuple(at, fc.nat(7)).map(
      ([place, bit]): Wound =>
        (bytes) => {
          const wounded = bytes.slice();
          const index = Math.floor(place * bytes.length);
          wounded[index] = (wounded[index] ?? 0) ^ (1 << bit);
          return wounded;
        },
    ),
    fc.tuple(at, fc.constantFrom(0, 1, 0x7f, 0x80, 0xff)).map(
      ([place, byte]): Wound =>
        (bytes) => {
          return bytes.with(Math.floor(place * Math.max(1, bytes.length - 1)), byte);
        },
    ),
    fc.tuple(at, fc.uint8Array({ maxLength: 12 })).map(
      ([place, more]): Wound =>
        (bytes) => {
          const index = Math.floor(place * bytes.length);
          return joined(bytes.subarray(0, index), more, bytes.subarray(index));
        },
    ),
    fc.tuple(at, at).map(
      ([place, share]): Wound =>
        (bytes) => {
          const index = Math.floor(place * bytes.length);
          const end = index + Math.ceil(share * Math.min(16, bytes.length - index));
          return joined(bytes.subarray(0, index), bytes.subarray(end));
        },
    ),
    at.map(
      (place): Wound =>
        (bytes) =>
          bytes.slice(0, Math.floor(place * bytes.length)),
    ),
    at.map(
      (place): Wound =>
        (bytes) =>
          joined(bytes, bytes.slice(Math.floor(place * bytes.length))),
    ),
  ),
  { minLength: 1, maxLength: 3 },
);

function wounded(bytes: Uint8Array, all: readonly Wound[]): Uint8Array {
  return all.reduce<Uint8Array>(
    (now, wound) => (now.length === 0 ? now : wound(now)),
    bytes.slice(),
  );
}

/** What `decode` gives; undefined where it says that the bytes are none of its kind. */
function decoded<T>(decode: () => T): T | undefined {
  try {
    return decode();
  } catch (error) {
    const told = ['VARVE_CORRUPT', 'VARVE_UNSUPPORTED_VERSION'] as const;
    if (told.some((code) => isVarveError(error, code))) return undefined;
    throw error;
  }
}

const encoder = new NodeWriter();
const encoded = (node: TreeNode, shape: TreeShape): Uint8Array =>
  encoder.write(node, shape).slice();
const ref = NodeRef.at(1, 1, 0);

function expectSound(node: TreeNode, bytes: Uint8Array, shape: TreeShape): void {
  const keys = node.leaf ? node.entries : node.separators;
  for (let index = 1; index < keys.count; index++) {
    expect(compareBytes(keys.key(index - 1), keys.key(index))).toBeLessThan(0);
  }
  expect(node.memoryBytes).toBeLessThan(bytes.length * 100 + 2000);
  expect(node.total).toBeGreaterThan(0);
  if (!node.leaf) {
    expect(keys.count).toBe(node.refs.length - 1);
    expect(node.refs.every(({ stored, seal }) => stored && Number.isSafeInteger(seal))).toBe(true);
    expect(node.counts.every((count) => Number.isSafeInteger(count) && count > 0)).toBe(true);
  }
  const again = decodeNode(encoded(node, shape), ref, shape);
  expect(encoded(again, shape)).toEqual(encoded(node, shape));
}

describe.each(shapes)('a node with keys and values of %s', (_, shape) => {
  const node = fc.oneof(leafOf(shape), branchOf(shape));

  it('comes back as it was', () => {
    fc.assert(
      fc.property(node, (bytes) => {
        const back = decodeNode(bytes.slice(), ref, shape);
        expect(encoded(back, shape)).toEqual(bytes);
        expectSound(back, bytes, shape);
      }),
      { numRuns: numRuns / 10 },
    );
  });

  it('is VARVE_CORRUPT or sound, whatever its bytes are', () => {
    fc.assert(
      fc.property(node, wounds, (right, all) => {
        const bytes = wounded(right, all);
        const back = decoded(() => decodeNode(bytes.slice(), ref, shape));
        if (back !== undefined) expectSound(back, bytes, shape);
      }),
      { numRuns },
    );
  });

  it('is VARVE_CORRUPT if the record says that they are huge', () => {
    fc.assert(
      fc.property(node, wounds, (right, all) => {
        const bytes = wounded(right, all);
        const back = decoded(() => decodeNode(bytes.slice(), ref, huge));
        // A branch with one child has no keys that are too long.
        if (back !== undefined) expectSound(back, bytes, huge);
      }),
      { numRuns: numRuns / 10 },
    );
  });
});

describe('a leaf', () => {
  it('is refused if a key between two with a common prefix lacks that prefix', () => {
    const shape = shapeFor(-1, 0, -1);
    const keys = ['prefix 1', 'another2', 'prefix 3'].map((key) => new TextEncoder().encode(key));
    const writer = begun(0, false, keys.length);
    for (const { length } of keys) writer.varint(length);
    for (const key of keys) writer.bytes(key);
    const read = () => decodeNode(writer.view().slice(), NodeRef.at(1, 0, 0), shape);
    expect(read).toThrow(expect.objectContaining({ code: 'VARVE_CORRUPT' }));
  });
});

describe('a branch with an impossible child', () => {
  const shape = shapeFor(-1, -1, -1, true);

  it.each([
    ['of no entries', 0, 1],
    ['of more entries than a number can say', 2 ** 54, 1],
    ['whose seal number is no safe integer', 1, 2 ** 60],
  ] as const)('%s is VARVE_CORRUPT', (_, count, seal) => {
    const child = { low: 5, high: 0, seal, count, long: false, part: new Uint8Array(0) };
    const bytes = branchBytes(shape, 1, [], [child]);
    expect(decoded(() => decodeNode(bytes, ref, shape))).toBe(undefined);
  });
});

// ── records and roots ──

const names = fc.string({ maxLength: 9, unit: 'grapheme' });
const root = fc
  .record({
    low: fc.integer({ min: 1, max: 2 ** 32 - 1 }),
    count: fc.nat(2 ** 40),
    long: fc.boolean(),
  })
  .map(({ low, count, long }) => {
    return { ref: count === 0 ? undefined : NodeRef.at(low, 3, 9), count, long: count > 0 && long };
  });
const records = fc
  .record({
    config: fc.record({
      keyCodec: names,
      valueCodec: names,
      reducer: names,
      versioned: fc.boolean(),
      keyBytes: fc.integer({ min: -1, max: 2 ** 40 }),
      valueBytes: fc.integer({ min: -1, max: 2 ** 40 }),
      partBytes: fc.integer({ min: -1, max: 2 ** 40 }),
    }),
    main: root,
    history: root,
    sequence: fc.nat(2 ** 40),
  })
  .map((record) => (record.config.versioned ? record : { ...record, history: emptyRoot }));
const changes = fc.record({ tree: names, log: fc.uint8Array({ maxLength: 40 }) });
const ids = fc.array(
  fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }).map((id) => id as GrainId),
  { maxLength: 5 },
);
const forests = fc
  .record({
    catalog: root,
    shares: root,
    nextSeal: fc.nat(2 ** 50),
    pending: ids,
    written: ids,
    depth: fc.nat(600),
    id: fc.bigInt({ min: 1n, max: 2n ** 64n - 1n }),
    seal: fc.nat(2 ** 50),
    listed: fc.nat(600),
    changes: fc.array(changes, { maxLength: 4 }),
  })
  .map(({ id, seal, ...rest }) => {
    const listed = Math.min(rest.listed, rest.depth);
    const earlier = rest.depth === 0 ? undefined : { id: id as GrainId, seal };
    return { ...rest, listed, earlier };
  });

describe('a record of a tree, and the root of a forest', () => {
  it('come back as they were', () => {
    fc.assert(
      fc.property(records, forests, names, (record, forest, name) => {
        const bytes = encodeRecord(record).slice();
        expect(encodeRecord(decodeRecord(bytes))).toEqual(bytes);
        const body = encodeForestRoot(forest).slice();
        expect(encodeForestRoot(decodeForestRoot(body))).toEqual(body);
        const sealed = { vault: name, seal: forest.nextSeal, body };
        expect(decodeSealedRoot(encodeSealedRoot(sealed))).toEqual(sealed);
      }),
      { numRuns: numRuns / 10 },
    );
  });

  it('are VARVE_CORRUPT or valid, whatever their bytes are', () => {
    fc.assert(
      fc.property(records, forests, wounds, (record, forest, all) => {
        const told = decoded(() => decodeRecord(wounded(encodeRecord(record), all)));
        if (told !== undefined) expect(decodeRecord(encodeRecord(told))).toEqual(told);
        const body = encodeForestRoot(forest).slice();
        const said = decoded(() => decodeForestRoot(wounded(body, all)));
        if (said !== undefined) {
          // Logs of one tree that follow each other are one log from then on.
          const again = encodeForestRoot(said).slice();
          expect(encodeForestRoot(decodeForestRoot(again))).toEqual(again);
        }
        const whole = encodeSealedRoot({ vault: '', seal: 7, body });
        decoded(() => decodeSealedRoot(wounded(whole, all)));
      }),
      { numRuns },
    );
  });
});
