/**
 * Reads everything that a snapshot or the present shows, and holds it against a state of the model.
 *
 * Invariant: everything is read in one turn, before anything is compared, so that several states
 * can be compared with one reading.
 */

import type { Forest, ReadableTree, Tree } from '../../src/forest/index.ts';
import type { GrainId } from '../../src/index.ts';
import type { Random } from '../support/random.ts';
import {
  bytesOf,
  emptyState,
  inRange,
  lastOf,
  type ModelTree,
  type Pushed,
  type State,
} from './model/model-state.ts';
import { familySize, keysMax, type PlanRange, treeNames } from './model/plan.ts';
import type { Dialect } from './world/dialects.ts';

type Entries = readonly (readonly [number, number])[];
export type Handle = Tree<number, number, number>;

/** How the trees of a life are read. */
export interface Handles {
  readonly forest: Forest;
  readonly trees: readonly Handle[];
  readonly dialects: readonly [Dialect, Dialect];
}

function dialectAt({ dialects }: Handles, tree: number): Dialect {
  return dialects[tree < familySize ? 0 : 1];
}

interface TreeReading {
  readonly forward: Entries | undefined;
  readonly backward: Entries | undefined;
  readonly part: { readonly range: PlanRange; readonly entries: Entries };
  readonly count: number;
  readonly reduced: number | undefined;
  readonly ends: readonly [Entries[0] | undefined, Entries[0] | undefined];
  readonly gets: readonly { readonly key: number; readonly value: number | undefined }[];
}

export type Reading = readonly TreeReading[];

/** How a reading is made: the share of trees that are read from one end to the other. */
export interface ReadHow {
  readonly random: Random;
  readonly share: number;
}

/** Throws what the reads throw. */
export function readAll(
  handles: Handles,
  readable: (handle: Handle) => ReadableTree<number, number, number>,
  { random, share }: ReadHow,
): Reading {
  return treeNames.map((_, at) => {
    const tree = readable(handles.trees[at] as Handle);
    const low = random.below(keysMax);
    const range = { gte: low, lt: low + 20, reverse: random.chance(0.5) };
    const keys = [low, random.below(keysMax)];
    const { reducer } = dialectAt(handles, at);
    return {
      forward: random.chance(share) ? [...tree.range()] : undefined,
      backward: random.chance(share / 3) ? [...tree.range({ reverse: true })] : undefined,
      part: { range, entries: [...tree.range(range)] },
      count: tree.count({ gte: low, lt: low + 20 }),
      reduced: reducer === undefined ? undefined : tree.reduce({ gte: low, lt: low + 20 }),
      ends: [tree.first(), tree.last()],
      gets: keys.map((key) => ({ key, value: tree.get(key) })),
    };
  });
}

/** How a reading differs from a state; undefined where it does not. */
export function difference(handles: Handles, reading: Reading, state: State): string | undefined {
  for (const [at, tree] of reading.entries()) {
    const differs = differenceOfTree(tree, state.trees.get(at), dialectAt(handles, at));
    if (differs !== undefined) return `tree ${treeNames[at]}: ${differs}`;
  }
  return undefined;
}

function differenceOfTree(
  tree: TreeReading,
  model: ModelTree | undefined,
  dialect: Dialect,
): string | undefined {
  const all = inRange(model, {});
  const { forward, backward, part, count, reduced, ends, gets } = tree;
  const whole = inRange(model, part.range, true);
  const summary = dialect.reducer?.reduce(whole.map(([, value]) => summaryOf(dialect, value)));
  return (
    (forward && entriesDiffer('range', forward, all)) ??
    (backward && entriesDiffer('range in reverse', backward, [...all].reverse())) ??
    entriesDiffer('part', part.entries, inRange(model, part.range)) ??
    valuesDiffer('count', count, whole.length) ??
    valuesDiffer('reduce', reduced, summary) ??
    entriesDiffer('first', listOf(ends[0]), listOf(all[0])) ??
    entriesDiffer('last', listOf(ends[1]), listOf(all.at(-1))) ??
    gets
      .map(({ key, value }) => valuesDiffer('get', value, model?.entries.get(key)))
      .find((differs) => differs !== undefined)
  );
}

/** Both reducers of the dialects map an entry to its value. */
function summaryOf(_dialect: Dialect, value: number): number {
  return value;
}

function listOf<T>(one: T | undefined): T[] {
  return one === undefined ? [] : [one];
}

function valuesDiffer(what: string, found: unknown, expected: unknown): string | undefined {
  return Object.is(found, expected) ? undefined : `${what} is ${found}, expected ${expected}`;
}

export function entriesDiffer(what: string, found: Entries, expected: Entries): string | undefined {
  const length = Math.max(found.length, expected.length);
  for (let at = 0; at < length; at++) {
    const [one, other] = [found[at], expected[at]];
    if (one?.[0] === other?.[0] && one?.[1] === other?.[1]) continue;
    const counts = `${found.length} entries, expected ${expected.length}`;
    return `${what} has ${one ?? 'nothing'} at ${at}, expected ${other ?? 'nothing'} (${counts})`;
  }
  return undefined;
}

/** The bytes of a pushed value, as `Forest.get` gives them. */
export function readPushed(forest: Forest, id: GrainId): Uint8Array | undefined {
  const { get } = forest as { get?: (id: GrainId) => Uint8Array | undefined };
  return get === undefined ? forest.store.get(id) : get.call(forest, id);
}

/**
 * How the pushed values of a state differ from what the forest gives. An id says where, not when:
 * the id of a push that failed may be another user's by now, and a forest with a vault refuses it.
 * Then this state is not the one. Throws what else the reads throw.
 */
export function pushedDiffer(
  read: (id: GrainId) => Uint8Array | undefined,
  state: State,
): string | undefined {
  for (const [id, pushed] of state.pushed) {
    let found: Uint8Array | undefined;
    try {
      found = read(id);
    } catch (error) {
      if (!isOfAnother(error, id)) throw error;
      return `pushed value ${id} is a value of somebody else`;
    }
    if (found === undefined) return `pushed value ${id} is not there`;
    if (Buffer.compare(found, bytesOf(pushed)) !== 0) return `pushed value ${id} has other bytes`;
  }
  return undefined;
}

/** The forest says that no transaction has pushed what is there. A vault's own error has a cause. */
function isOfAnother(error: unknown, id: GrainId): boolean {
  const { code, grainId, cause } = error as { code?: string; grainId?: GrainId; cause?: unknown };
  return code === 'VARVE_VAULT' && grainId === id && cause === undefined;
}

/** Whether a pushed value can be read. */
export function isValueThere(forest: Forest, [id, value]: readonly [GrainId, Pushed]): boolean {
  const one = { ...emptyState, pushed: new Map([[id, value]]) };
  return pushedDiffer((read) => readPushed(forest, read), one) === undefined;
}

/** How the names of the trees that there are differ from a state. */
export function namesDiffer(names: readonly string[], { trees }: State): string | undefined {
  const expected = [...trees.keys()].map((at) => treeNames[at] as string).sort();
  const found = [...names].sort();
  return found.join() === expected.join() ? undefined : `${found}, expected ${expected}`;
}

/** How the histories of versioned trees, there or not, differ from a state. */
export function historiesDiffer(handles: Handles, state: State): string | undefined {
  for (const [at, handle] of handles.trees.entries()) {
    if (!dialectAt(handles, at).versioned) continue;
    const differs = historyDiffers(handle, state, at);
    if (differs !== undefined) return `tree ${treeNames[at]}: ${differs}`;
  }
  return undefined;
}

function historyDiffers(handle: Handle, state: State, index: number): string | undefined {
  const last = lastOf(state, index);
  const changes = state.trees.get(index)?.changes ?? [];
  const { lastSequence } = handle;
  if (lastSequence !== last) return `lastSequence is ${lastSequence}, expected ${last}`;
  const found = [...handle.changes()];
  for (let at = 0; at < Math.max(found.length, changes.length); at++) {
    const [one, other] = [JSON.stringify(found[at]), JSON.stringify(changes[at])];
    if (one !== other) return `change ${one} at ${at}, expected ${other}`;
  }
  return followersDiffer(handle, (changes[0]?.sequence ?? last + 1) - 1, changes.length);
}

/** Who stands right before the oldest change gets all that are kept; who stands before is told. */
function followersDiffer(handle: Handle, before: number, count: number): string | undefined {
  if ([...handle.changes({ after: before })].length !== count) {
    return `changes after ${before} are not all that are kept`;
  }
  if (before < 2) return undefined;
  try {
    handle.changes({ after: before - 1 }).next();
  } catch (error) {
    if ((error as { code?: string }).code === 'VARVE_LOG_TRUNCATED') return undefined;
    throw error;
  }
  return 'changes skips trimmed history silently';
}
