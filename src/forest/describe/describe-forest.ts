/**
 * Describes the trees of one durable state of a forest; with `measure`, answers why its file is as
 * large as it is.
 *
 * Bytes are those of grains: what the values take in the file. All grains of live values are
 * 1. nodes and long values of trees,
 * 2. the forest's own: roots, catalog, shares, values that wait to be archived, and
 * 3. the rest, `pushedBytes`: values of the user's own.
 *
 * Invariant: it reads one state while transactions go on. It changes nothing, and needs no codecs.
 */

import { isVarveError, VarveError } from '../../errors.ts';
import {
  checkOperation,
  type LongOperation,
  longOperationNames,
} from '../../util/operations/long-operation.ts';
import type { Operations } from '../../util/operations/operations.ts';
import type { RunningOperation } from '../../util/operations/running-operation.ts';
import { checkFlag, checkNames, type NamesOf } from '../../util/options.ts';
import type { DurableState } from '../commits/durable-state.ts';
import type { ForestVersion } from '../commits/forest-version.ts';
import { catalogEntries } from '../trees/catalog.ts';
import type { ForestContext } from '../trees/forest-context.ts';
import { historyShapeOf, shapeOf, type TreeRecord, treeOf } from '../trees/tree-record.ts';
import { type HeldState, holdState } from './held-state.ts';
import { type MeasuredTree, Measurement } from './measurement.ts';

export interface DescribeOptions extends LongOperation {
  /** Walks the nodes and counts bytes. Default false. */
  measure?: boolean | undefined;
}

/** One tree of a forest. */
export interface TreeDescription {
  readonly name: string;
  readonly entries: number;
  /** Levels of nodes: 0 without entries, 1 if the root is a leaf. */
  readonly height: number;
  readonly keyCodec: string;
  readonly valueCodec: string;
  readonly reducer: string | undefined;
  readonly versioned: boolean;
  readonly vault: string | undefined;
  /**
   * With `measure`: bytes in the file of nodes and long values, of its history too, that only this
   * tree reaches. Nodes that are in the journal only have none.
   */
  readonly bytes: number | undefined;
  /** With `measure`: the same, of those that other trees reach too. */
  readonly sharedBytes: number | undefined;
}

export interface ForestDescription {
  /** Ordered by name. */
  readonly trees: readonly TreeDescription[];
  /**
   * With `measure`: bytes in the file of values that no tree reaches, archived ones left out:
   * values of `Transaction.push` and `ForestSession`, and those that others keep in the store. Left
   * out are the forest's own structures, and what a running transaction has pushed.
   */
  readonly pushedBytes: number | undefined;
}

const describeNames: NamesOf<DescribeOptions> = { ...longOperationNames, measure: true };

/** Rejects as `Forest.describe`. */
export async function describeForest(
  state: DurableState,
  operations: Operations,
  options: DescribeOptions,
): Promise<ForestDescription> {
  checkNames('Forest.describe', options, describeNames);
  const isMeasured = checkFlag('measure', options.measure, false);
  return await operations.run(checkOperation(options), (operation) =>
    describe(state, isMeasured, operation),
  );
}

async function describe(
  state: DurableState,
  isMeasured: boolean,
  operation: RunningOperation,
): Promise<ForestDescription> {
  if (!isMeasured) {
    const hold = state.version.hold(() => operation.check());
    try {
      return { trees: await plainTrees(state, operation), pushedBytes: undefined };
    } finally {
      hold.release();
    }
  }
  const held = await holdState(state, operation);
  try {
    return await new MeasuredForest(held, operation).describe();
  } finally {
    held.release();
  }
}

async function plainTrees(
  { version, context }: DurableState,
  operation: RunningOperation,
): Promise<TreeDescription[]> {
  const trees: TreeDescription[] = [];
  for (const one of recordsOf(version, context)) {
    await operation.breathe();
    const done = trees.length;
    operation.report({ phase: 'describing', done, total: undefined, unit: 'nodes' });
    const plain = await describePlainly(one, context);
    trees.push({ ...plain, bytes: undefined, sharedBytes: undefined });
  }
  return trees;
}

interface NamedRecord {
  readonly name: string;
  readonly record: TreeRecord;
}

function* recordsOf(version: ForestVersion, context: ForestContext): Generator<NamedRecord> {
  const { catalogShape, nodes } = context;
  for (const { name } of catalogEntries(nodes, catalogShape, version.roots.catalog)) {
    const record = treeOf(version.record(name));
    if (record !== undefined) yield { name, record };
  }
}

async function describePlainly({ name, record }: NamedRecord, { nodes, limits }: ForestContext) {
  const { config, main } = record;
  const { keyCodec, valueCodec, reducer, versioned } = config;
  const { ref, count: entries } = main;
  const shape = shapeOf(config, limits);
  const height = ref === undefined ? 0 : (await nodes.loadAsync(ref, shape)).level + 1;
  const names = { keyCodec, valueCodec, reducer: reducer === '' ? undefined : reducer };
  return { name, entries, height, ...names, versioned, vault: nodes.vault?.name };
}

class MeasuredForest {
  readonly #held: HeldState;
  readonly #operation: RunningOperation;

  constructor(held: HeldState, operation: RunningOperation) {
    this.#held = held;
    this.#operation = operation;
  }

  async describe(): Promise<ForestDescription> {
    const { context, version, sizes } = this.#held;
    const { nodes, catalogShape, sharesShape } = context;
    const { catalog, shares } = version.roots;
    const archivedBytes = await this.#archivedBytes();
    const measurement = new Measurement(nodes, this.#held, this.#operation);
    const sharesPart = { root: shares, shape: sharesShape };
    await measurement.findShared(sharesPart, () => this.#measuredTrees());
    const trees: TreeDescription[] = [];
    for (const one of recordsOf(version, context)) {
      const tree = this.#measuredTree(one.record, trees.length + 1);
      const { own, shared } = await measurement.count(tree);
      const plain = await describePlainly(one, context);
      trees.push({ ...plain, bytes: own, sharedBytes: shared });
    }
    const ofForest = [{ root: catalog, shape: catalogShape }, sharesPart];
    await measurement.count({ number: trees.length + 1, parts: ofForest });
    const waitingBytes = await this.#waitingBytes();
    const { allocatedBytes } = sizes;
    const pushedBytes = allocatedBytes - archivedBytes - measurement.distinctBytes - waitingBytes;
    return { trees, pushedBytes };
  }

  *#measuredTrees(): Generator<MeasuredTree> {
    let number = 0;
    for (const { record } of recordsOf(this.#held.version, this.#held.context)) {
      number += 1;
      yield this.#measuredTree(record, number);
    }
  }

  #measuredTree({ config, main, history }: TreeRecord, number: number): MeasuredTree {
    const { limits } = this.#held.context;
    const parts = [
      { root: main, shape: shapeOf(config, limits) },
      { root: history, shape: historyShapeOf(config, limits) },
    ];
    return { number, parts };
  }

  /** Bytes of archived values that no checkpoint has freed: the retained log lists them. */
  async #archivedBytes(): Promise<number> {
    const { log, sizes, context } = this.#held;
    let bytes = 0;
    try {
      for await (const { changes } of log) {
        for (const { operation, id, count } of changes) {
          if (operation === 'archive') bytes += sizes.ofGrains(id, count);
          await this.#operation.breathe();
        }
      }
    } catch (cause) {
      if (!context.store.readOnly || !isVarveError(cause, 'VARVE_LOG_TRUNCATED')) throw cause;
      throw gone(cause);
    }
    return bytes;
  }

  /** Bytes of roots, and of values that nothing reaches and that commits have yet to archive. */
  async #waitingBytes(): Promise<number> {
    const { waiting, sizes } = this.#held;
    let bytes = 0;
    for (const id of waiting.values) {
      await this.#operation.breathe();
      bytes += sizes.of(id);
    }
    for (const ref of waiting.nodes) {
      await this.#operation.breathe();
      if (this.#held.isStored(ref)) bytes += sizes.of(ref.id);
    }
    return bytes;
  }
}

function gone(cause: unknown): VarveError {
  const message = 'the writer has freed values of this state: refresh the forest and try again';
  return new VarveError('VARVE_SNAPSHOT_GONE', message, { cause });
}
