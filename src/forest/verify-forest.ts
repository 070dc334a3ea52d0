/**
 * Walks every tree of a forest and yields what does not fit together.
 *
 * Invariant: it reads one durable state, changes nothing, and finds nothing in a sound forest. It
 * checks:
 * - each node against its parent: level, keys, counts, long values, the reducer's value;
 * - the references to each stored node and value against the shares;
 * - reducers' values only for trees that a handle with the reducer exists for.
 *
 * A part that cannot be read is a finding, and the walk goes on beside it. The event loop has a
 * turn at least every 10 ms of work.
 */

import { isVarveError, type VarveError } from '../errors.ts';
import { GrainId } from '../index.ts';
import { getU32BigEndian } from '../util/big-endian.ts';
import { Breather } from '../util/breather.ts';
import { compareBytes } from '../util/bytes.ts';
import { getU32 } from '../util/little-endian.ts';
import { checkFlag, checkNames, checkSignal, type NamesOf } from '../util/options.ts';
import type { ForestVersion } from './commits/forest-version.ts';
import type { ForestCore } from './forest-core.ts';
import type { NodeRef, TreeRoot } from './nodes/node.ts';
import { type Branch, longBit, type TreeNode, type TreeShape } from './nodes/node.ts';
import { longId } from './nodes/node-store.ts';
import { Summaries } from './reads/summaries.ts';
import { catalogEntries } from './trees/catalog.ts';
import { historyShapeOf, shapeOf, type TreeRecord, treeOf } from './trees/tree-record.ts';
import type { TreeSchema } from './trees/tree-schema.ts';
import { TreeCursor } from './trees/tree-search.ts';

export interface VerifyOptions {
  /** Also reads every long value, and checks each value's checksum. */
  deep?: boolean | undefined;
  signal?: AbortSignal | undefined;
  /** Called after the walk with the number of stored values that the trees reach. */
  tally?: ((values: number) => void) | undefined;
}

/** Throws `VARVE_INVALID_ARGUMENT`. */
export function checkedOptions(options: VerifyOptions): VerifyOptions {
  const names: NamesOf<VerifyOptions> = { deep: true, signal: true, tally: true };
  checkNames('Forest.verify', options, names);
  const { deep, signal, tally } = options;
  return { deep: checkFlag('deep', deep, false), signal: checkSignal(signal), tally };
}

interface Finding {
  readonly message: string;
}

/** The tree of a walk. */
interface Walked {
  readonly title: string;
  readonly shape: TreeShape;
  readonly summaries: Summaries<unknown, unknown, unknown> | undefined;
}

/** The facts that a node must agree with. */
interface Expected {
  readonly level: number | undefined;
  readonly count: number;
  readonly long: boolean;
  /** Keys are at or after `low`, and before `high`. */
  readonly low: Uint8Array | undefined;
  readonly high: Uint8Array | undefined;
}

/** The findings in the trees, then those in the store. */
export async function* verifyAll(
  core: ForestCore,
  options: VerifyOptions,
): AsyncGenerator<Finding> {
  core.checkOpen();
  yield* verifyForest(core, options);
  const { deep, signal } = options;
  yield* core.store.verify({ deep, signal });
}

async function* verifyForest(core: ForestCore, options: VerifyOptions): AsyncGenerator<Finding> {
  const version = core.durable;
  // Values that stay until the nodes are written.
  const { waitingValues } = core.state.journal;
  const hold = version.hold(() => core.checkOpen());
  try {
    const walk = new ForestWalk(core, version, options);
    yield* walk.all();
    options.tally?.(walk.reached + waitingValues);
  } finally {
    hold.release();
  }
}

class ForestWalk {
  readonly #core: ForestCore;
  readonly #version: ForestVersion;
  readonly #options: Readonly<VerifyOptions>;
  /** Number of referents of each stored node and value. */
  readonly #referents = new Map<GrainId, number>();
  readonly #breather = new Breather();
  /** Some tree could not be walked: the numbers of referents are incomplete. */
  #isPartial = false;

  constructor(core: ForestCore, version: ForestVersion, options: VerifyOptions) {
    this.#core = core;
    this.#version = version;
    this.#options = options;
  }

  /** Stored nodes and values that something refers to. */
  get reached(): number {
    return this.#referents.size;
  }

  async *all(): AsyncGenerator<Finding> {
    const version = this.#version;
    const { catalog, shares, pending } = version.roots;
    const { catalogShape, sharesShape } = this.#core.state.context;
    const own = [
      ['the catalog', catalogShape, catalog],
      ['the shares', sharesShape, shares],
    ] as const;
    let sound = true;
    for (const [title, shape, root] of own) {
      for await (const finding of this.#tree({ title, shape, summaries: undefined }, root)) {
        sound = false;
        yield finding;
      }
    }
    // Without these two the rest cannot be checked.
    if (!sound) return;
    try {
      for (const { name } of catalogEntries(this.#version.nodes, catalogShape, catalog)) {
        await this.#breathe();
        yield* this.#record(name, version);
      }
      if (!this.#isPartial) yield* this.#shares(shares);
      for (const id of pending) {
        if (!this.#referents.has(id)) continue;
        const name = GrainId.format(id);
        yield { message: `the root lists ${name} as pending, and a tree refers to it` };
      }
    } catch (error) {
      this.#core.checkOpen();
      if (!isFinding(error)) throw error;
      yield { message: `the catalog cannot be read: ${error.message}` };
    }
  }

  /** Called in each step: gives the event loop its turn and obeys the caller's signal. */
  async #breathe(): Promise<void> {
    if (this.#breather.due) await this.#breather.turn();
    this.#options.signal?.throwIfAborted();
    this.#core.checkOpen();
  }

  async *#record(name: string, version: ForestVersion): AsyncGenerator<Finding> {
    const { limits } = this.#core.state.context;
    const title = `the tree '${name}'`;
    let record: TreeRecord;
    try {
      record = version.record(name) as TreeRecord;
    } catch (error) {
      if (!isFinding(error)) throw error;
      this.#isPartial = true;
      yield { message: `${title} cannot be read: ${error.message}` };
      return;
    }
    if (treeOf(record) === undefined) return;
    const { config, main, history } = record;
    const summaries = this.#summaries(name, config.reducer);
    yield* this.#tree({ title, shape: shapeOf(config, limits), summaries }, main);
    const shape = historyShapeOf(config, limits);
    yield* this.#tree({ title: `the history of ${title}`, shape, summaries: undefined }, history);
  }

  #summaries(name: string, reducer: string): Summaries<unknown, unknown, unknown> | undefined {
    const schema: TreeSchema<unknown, unknown, unknown> | undefined =
      this.#core.handles.askedFor(name);
    if (schema?.reducer === undefined || schema.config.reducer !== reducer) return undefined;
    return new Summaries(this.#version.nodes, schema, schema.reducer);
  }

  async *#tree(walked: Walked, { ref, count, long }: TreeRoot): AsyncGenerator<Finding> {
    if (ref === undefined) return;
    const nothing = { level: undefined, low: undefined, high: undefined };
    yield* this.#node(walked, ref, { ...nothing, count, long });
  }

  async *#node(walked: Walked, ref: NodeRef, expected: Expected): AsyncGenerator<Finding> {
    await this.#breathe();
    const { title, shape } = walked;
    // A node that is not stored has one referent only.
    if (ref.stored && this.#refer(ref.id) > 1) return;
    const name = ref.stored ? GrainId.format(ref.id) : 'in memory';
    const where = `${title}: the node ${name}`;
    let node: TreeNode;
    try {
      node = await this.#version.nodes.loadAsync(ref, shape);
    } catch (error) {
      if (!isFinding(error)) throw error;
      this.#core.checkOpen();
      yield { message: `${where} cannot be read: ${error.message}` };
      return;
    }
    const { level, count, long, low, high } = expected;
    if (level !== undefined && node.level !== level) {
      yield { message: `${where} has level ${node.level}, its parent has level ${level + 1}` };
      return;
    }
    if (node.total !== count) {
      yield { message: `${where} has ${node.total} entries instead of ${count}` };
    }
    if (node.long && !long)
      yield { message: `${where} has long values, and its parent says that it has none` };
    const keys = node.leaf ? node.entries : node.separators;
    if (keys.count > 0) {
      const before = low !== undefined && compareBytes(keys.key(0), low) < 0;
      const after = high !== undefined && compareBytes(keys.key(keys.count - 1), high) >= 0;
      if (before || after)
        yield { message: `${where} has keys outside of the range that its parent gives` };
    }
    if (node.leaf) yield* this.#longs(where, node);
    else yield* this.#children(walked, where, node, expected);
  }

  async *#children(
    walked: Walked,
    where: string,
    branch: Branch,
    { level, low, high }: Expected,
  ): AsyncGenerator<Finding> {
    const { refs, counts, separators } = branch;
    if (level === undefined && refs.length < 2) {
      yield { message: `${where} is a root with one child` };
    }
    for (const [at, child] of refs.entries()) {
      yield* this.#node(walked, child, {
        level: branch.level - 1,
        count: counts[at] as number,
        long: branch.isLong(at),
        low: at === 0 ? low : separators.key(at - 1),
        high: at === refs.length - 1 ? high : separators.key(at),
      });
      if (this.#differs(walked, branch, at))
        yield { message: `${where} has a wrong reducer value of child ${at}` };
    }
  }

  #differs({ summaries }: Walked, branch: Branch, at: number): boolean {
    try {
      return summaries?.differs(branch, at) ?? false;
    } catch (error) {
      // A child that cannot be read is a finding already.
      if (isFinding(error)) return false;
      throw error;
    }
  }

  async *#longs(where: string, { entries }: TreeNode & { leaf: true }): AsyncGenerator<Finding> {
    for (let index = 0; index < entries.count; index++) {
      if ((entries.word(index) & longBit) === 0) continue;
      const at = entries.valueOffset(index);
      const id = longId(entries.heap, at);
      if (this.#refer(id) > 1) continue;
      await this.#breathe();
      if (!this.#version.nodes.source.has(id)) {
        yield { message: `${where} names the value ${GrainId.format(id)}, which is missing` };
      } else if (this.#options.deep === true) {
        try {
          await this.#version.nodes.longAsync(entries.heap, at);
        } catch (error) {
          if (!isFinding(error)) throw error;
          this.#core.checkOpen();
          yield { message: `${where} names a value that cannot be read: ${error.message}` };
        }
      }
    }
  }

  /** Counts a referent; returns their number so far. */
  #refer(id: GrainId): number {
    const referents = (this.#referents.get(id) ?? 0) + 1;
    this.#referents.set(id, referents);
    return referents;
  }

  async *#shares(root: TreeRoot): AsyncGenerator<Finding> {
    const counted = new Map<GrainId, number>();
    if (root.ref !== undefined) {
      const { sharesShape: shape } = this.#core.state.context;
      const cursor = new TreeCursor({ nodes: this.#version.nodes, shape, root }, 0);
      for (let left = root.count; left > 0; left--) {
        await this.#breathe();
        const { entries } = cursor.leaf;
        const at = entries.offset(cursor.index);
        const id = idOf(entries.heap, at);
        counted.set(id, getU32(entries.heap, at + 8) + 1);
        if (left > 1) cursor.forward();
      }
    }
    for (const [id, referents] of this.#referents) {
      if (this.#breather.due) await this.#breather.turn();
      const expected = counted.get(id) ?? 1;
      counted.delete(id);
      if (expected === referents) continue;
      const name = GrainId.format(id);
      yield { message: `${name} has ${referents} referents, the shares say ${expected}` };
    }
    for (const [id, expected] of counted) {
      yield { message: `${GrainId.format(id)} has no referent, the shares say ${expected}` };
    }
  }
}

/** The error is a finding about the forest. A reader whose state is gone cannot find any more. */
function isFinding(error: unknown): error is VarveError {
  return isVarveError(error) && !isVarveError(error, 'VARVE_SNAPSHOT_GONE');
}

function idOf(bytes: Uint8Array, at: number): GrainId {
  const high = BigInt(getU32BigEndian(bytes, at));
  return GrainId.from((high << 32n) | BigInt(getU32BigEndian(bytes, at + 4)));
}
