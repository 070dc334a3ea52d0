/**
 * A forest as plain maps, and lives of one as plain data: what the trees of a real forest are held
 * against.
 *
 * Invariant: a life says nothing of nodes, batches or caches, so that every engine that keeps the
 * contract gives the same answers to it. The model copies everything before each transaction and
 * puts the copy back where that fails.
 */

import fc from 'fast-check';
import {
  codecs,
  type KeyCodec,
  type Range,
  reducers,
  type TreeOptions,
} from '../../../src/forest/index.ts';

/** A tree of the model: entries in key order come from sorting. */
export interface ModelTree {
  readonly entries: Map<number, number>;
  readonly changes: { sequence: number; key: number; value: number | undefined }[];
  sequence: number;
}

export class Model extends Map<string, ModelTree> {
  /** Of trees that were dropped: the sequence numbers that they had come to. */
  readonly left = new Map<string, number>();
}

export function copyModel(model: Model): Model {
  const copy = new Model();
  for (const [name, sequence] of model.left) copy.left.set(name, sequence);
  for (const [name, { entries, changes, sequence }] of model) {
    copy.set(name, { entries: new Map(entries), changes: [...changes], sequence });
  }
  return copy;
}

/** How the model's numbers are kept in a tree. */
export interface Dialect {
  readonly name: string;
  readonly options: TreeOptions<number, number, number>;
  readonly versioned: boolean;
}

/** Keys of 1 to 9 bytes that sort as their numbers do. */
const raggedKeys: KeyCodec<number> = {
  name: 'ragged',
  ordered: true,
  encode(value) {
    const bytes = new Uint8Array(2 + (value % 8)).fill(7);
    bytes[0] = value >>> 8;
    bytes[1] = value;
    return bytes;
  },
  decode: (bytes) => (bytes[0] as number) * 256 + (bytes[1] as number),
};

/** Values whose length is part of what they say: some are too long for a leaf. */
const raggedValues = {
  name: 'ragged values',
  encode(value: number) {
    const bytes = new Uint8Array(4 + (value % 11 === 0 ? 700 + (value % 900) : value % 90));
    new DataView(bytes.buffer).setUint32(0, value);
    return bytes;
  },
  decode(bytes: Uint8Array) {
    const value = new DataView(bytes.buffer, bytes.byteOffset).getUint32(0);
    if (this.encode(value).length !== bytes.length) throw new Error('a value of another length');
    return value;
  },
};

const numberOf = (_key: number, value: number): number => value;

export const dialects: readonly Dialect[] = [
  { name: 'fixed', versioned: false, options: { key: codecs.uint, value: codecs.uint } },
  {
    name: 'fixed with a sum',
    versioned: false,
    options: { key: codecs.u32, value: codecs.uint, reducer: reducers.sum(numberOf) },
  },
  {
    name: 'ragged, versioned, with a greatest',
    versioned: true,
    options: {
      key: raggedKeys,
      value: raggedValues,
      reducer: reducers.max(numberOf),
      versioned: true,
    },
  },
  { name: 'ragged', versioned: false, options: { key: raggedKeys, value: raggedValues } },
  {
    name: 'ragged, versioned',
    versioned: true,
    options: { key: raggedKeys, value: raggedValues, versioned: true },
  },
];

/** Bytes of changes that stay out of the nodes: none, some, as many as there are. */
export const journals: readonly (number | undefined)[] = [undefined, 700, 0];

export type Change =
  | { readonly do: 'put'; readonly tree: string; readonly key: number; readonly value: number }
  | {
      readonly do: 'puts';
      readonly tree: string;
      readonly key: number;
      readonly step: number;
      readonly count: number;
    }
  | { readonly do: 'delete'; readonly tree: string; readonly key: number }
  | { readonly do: 'deleteRange'; readonly tree: string; readonly range: Range<number> }
  | { readonly do: 'trim'; readonly tree: string; readonly share: number }
  | { readonly do: 'fork'; readonly tree: string; readonly to: string }
  | { readonly do: 'drop'; readonly tree: string };

export type Step =
  | {
      readonly step: 'transaction';
      readonly changes: readonly Change[];
      readonly ends: 'well' | 'throws' | 'later';
    }
  | { readonly step: 'together'; readonly parts: readonly (readonly Change[])[] }
  | { readonly step: 'snapshot' }
  | { readonly step: 'release'; readonly which: number }
  | { readonly step: 'iterate'; readonly tree: string; readonly range: Range<number> }
  /** `closes`: the forest is closed before, not only its store. */
  | { readonly step: 'reopen'; readonly closes: boolean };

const keysMax = 1500;
const names = ['oak', 'elm', 'ash'];

function rangeArbitrary(): fc.Arbitrary<Range<number>> {
  const key = fc.nat(keysMax);
  const low = fc.oneof(fc.constant({}), fc.record({ gt: key }), fc.record({ gte: key }));
  const high = fc.oneof(fc.constant({}), fc.record({ lt: key }), fc.record({ lte: key }));
  const rest = fc.record(
    { reverse: fc.boolean(), limit: fc.oneof(fc.nat(5), fc.nat(400)) },
    { requiredKeys: [] },
  );
  return fc.tuple(low, high, rest).map((parts) => Object.assign({}, ...parts));
}

/** One kind of a union, and how often it comes. */
function weighted<T>(
  weight: number,
  parts: { [K in keyof T]: fc.Arbitrary<T[K]> },
): fc.WeightedArbitrary<T> {
  return { weight, arbitrary: fc.record(parts) as fc.Arbitrary<T> };
}

const is = <const T>(value: T): fc.Arbitrary<T> => fc.constant(value);

function changeArbitrary(): fc.Arbitrary<Change> {
  const tree = fc.constantFrom(...names);
  const key = fc.nat(keysMax);
  const step = fc.constantFrom(1, -1, 7, 613);
  return fc.oneof(
    weighted(4, { do: is('put'), tree, key, value: fc.nat(5000) }),
    weighted(3, { do: is('puts'), tree, key, step, count: fc.nat(250) }),
    weighted(3, { do: is('delete'), tree, key }),
    weighted(2, { do: is('deleteRange'), tree, range: rangeArbitrary() }),
    weighted(1, { do: is('trim'), tree, share: fc.nat(10) }),
    weighted(2, { do: is('fork'), tree, to: tree }),
    weighted(1, { do: is('drop'), tree }),
  );
}

export function stepArbitrary(): fc.Arbitrary<Step> {
  const changes = fc.array(changeArbitrary(), { maxLength: 6 });
  const ends = fc.constantFrom(
    'well' as const,
    'well' as const,
    'throws' as const,
    'later' as const,
  );
  const parts = fc.array(changes, { minLength: 2, maxLength: 4 });
  return fc.oneof(
    weighted(6, { step: is('transaction'), changes, ends }),
    weighted(2, { step: is('together'), parts }),
    weighted(1, { step: is('snapshot') }),
    weighted(1, { step: is('release'), which: fc.nat(3) }),
    weighted(1, { step: is('iterate'), tree: fc.constantFrom(...names), range: rangeArbitrary() }),
    weighted(2, { step: is('reopen'), closes: fc.boolean() }),
  );
}

function treeOf(model: Model, name: string): ModelTree {
  const known = model.get(name);
  if (known !== undefined) return known;
  const made = { entries: new Map(), changes: [], sequence: model.left.get(name) ?? 0 };
  model.set(name, made);
  return made;
}

function note(tree: ModelTree, key: number, value: number | undefined): void {
  tree.sequence += 1;
  tree.changes.push({ sequence: tree.sequence, key, value });
  if (value === undefined) tree.entries.delete(key);
  else tree.entries.set(key, value);
}

/** The keys that a `puts` change goes through, with their values. */
export function putsOf(change: Change & { do: 'puts' }): [number, number][] {
  return Array.from({ length: change.count }, (_, at) => {
    const key = (change.key + at * change.step + 20 * (keysMax + 1)) % (keysMax + 1);
    return [((key % (keysMax + 1)) + keysMax + 1) % (keysMax + 1), change.key + at];
  });
}

/** Entries of a range, in its order. */
export function inRange(tree: ModelTree | undefined, range: Range<number>): [number, number][] {
  const { gt, gte, lt, lte, reverse, limit } = range;
  const all = [...(tree?.entries ?? [])].filter(
    ([key]) =>
      (gt === undefined || key > gt) &&
      (gte === undefined || key >= gte) &&
      (lt === undefined || key < lt) &&
      (lte === undefined || key <= lte),
  );
  all.sort(([one], [other]) => (reverse === true ? other - one : one - other));
  return all.slice(0, limit ?? all.length);
}

/** What the model says to a change: how many entries a `deleteRange` took, whether a key was there. */
export function applyToModel(model: Model, change: Change): unknown {
  const { tree: name } = change;
  switch (change.do) {
    case 'put':
      note(treeOf(model, name), change.key, change.value);
      return undefined;
    case 'puts':
      for (const [key, value] of putsOf(change)) note(treeOf(model, name), key, value);
      return undefined;
    case 'delete': {
      const tree = model.get(name);
      if (tree?.entries.has(change.key) !== true) return false;
      note(tree, change.key, undefined);
      return true;
    }
    case 'deleteRange': {
      const tree = model.get(name);
      const gone = inRange(tree, change.range).map(([key]) => key);
      gone.sort((one, other) => one - other);
      for (const key of gone) note(tree as ModelTree, key, undefined);
      return gone.length;
    }
    case 'trim': {
      const tree = model.get(name);
      if (tree === undefined) return undefined;
      const through = trimPoint(tree.sequence, change.share);
      const kept = tree.changes.filter(({ sequence }) => sequence > through);
      tree.changes.splice(0, tree.changes.length, ...kept);
      return undefined;
    }
    case 'fork': {
      if (model.has(change.to)) return 'VARVE_EXISTS';
      const from = model.get(name);
      if (from === undefined) return undefined;
      const to = treeOf(model, change.to);
      for (const [key, value] of from.entries) to.entries.set(key, value);
      to.changes.push(...from.changes);
      to.sequence = Math.max(to.sequence, from.sequence);
      return undefined;
    }
    case 'drop':
      model.left.set(name, model.get(name)?.sequence ?? model.left.get(name) ?? 0);
      model.delete(name);
      return undefined;
  }
}

/** The changes after `after`, or why they are refused. */
export function changesAfter(
  { changes, sequence }: Pick<ModelTree, 'changes' | 'sequence'>,
  after: number,
): ModelTree['changes'] | string {
  if (after > sequence) return 'VARVE_INVALID_ARGUMENT';
  const oldest = changes[0]?.sequence ?? sequence + 1;
  if (after !== 0 && after < oldest - 1) return 'VARVE_LOG_TRUNCATED';
  return changes.filter((change) => change.sequence > after);
}

export function trimPoint(sequence: number, share: number): number {
  return Math.floor((sequence * share) / 10);
}
