/**
 * The state that the parts of an open forest share: the store, the nodes, the durable version, and
 * the options of its trees.
 *
 * Invariant: `durable` is the state of the last durable commit, and changes only when the next one
 * is durable. It opens and closes nothing.
 */

import type { Vault } from '../codecs/vault.ts';
import { invalidArgument, VarveError } from '../errors.ts';
import type { BatchId, Store } from '../index.ts';
import type { ForestVersion } from './commits/forest-version.ts';
import type { Retention } from './commits/retention.ts';
import { StoredState } from './commits/stored-state.ts';
import { RootWriter } from './journal/forest-root.ts';
import { Journal } from './journal/journal.ts';
import type { TreeShape } from './nodes/node.ts';
import { reservedShareMax } from './nodes/node-cache.ts';
import { NodeMemory } from './nodes/node-memory.ts';
import { NodeStore } from './nodes/node-store.ts';
import { runOutside } from './transactions/body-context.ts';
import {
  catalogConfig,
  type ForestLimits,
  shapeOf,
  sharesConfig,
  type TreeRecord,
  treeOf,
} from './trees/tree-record.ts';
import { checkConfig, type TreeSchema } from './trees/tree-schema.ts';

type AnySchema = TreeSchema<unknown, unknown, unknown>;
interface Commit {
  batch: BatchId;
  trees: readonly string[];
}
type Listener = (commit: Commit) => void;

/**
 * Seal numbers that an open skips; with a vault, up to as many more at random. A batch that was
 * taken back may have used some of them with the vault.
 */
const sealsSkipped = 2 ** 24;

/** Upper bound of remembered tree options, including those of trees that do not exist. */
const askedMax = 5000;

/** Bytes of memory that nodes not stored yet may take beside a small cache. */
const memoryMin = 2 ** 21;

interface OpenedState {
  readonly nodes: NodeStore;
  readonly version: ForestVersion;
  readonly journal: Journal;
  readonly nextSeal: number;
}

export interface CoreOptions {
  readonly nodeBytes: number | undefined;
  readonly nodeCacheBytes: number;
  readonly journalBytes: number;
  readonly automatic: boolean;
  readonly vault: Vault | undefined;
  readonly retention: Retention;
}

export class ForestCore {
  readonly store: Store;
  nodes: NodeStore;
  readonly limits: ForestLimits;
  readonly automatic: boolean;
  readonly retention: Retention;
  readonly catalogShape: TreeShape;
  readonly sharesShape: TreeShape;
  readonly listeners = new Set<Listener>();
  /** Changes of the durable state that no stored node has. */
  journal: Journal;
  readonly rootWriter: RootWriter;
  durable: ForestVersion;
  /** It takes no more transactions. */
  closing = false;
  closed = false;
  /** Commits that some listeners have not been called for. */
  readonly #unannounced: Commit[] = [];
  readonly #schemas = new WeakMap<object, AnySchema>();
  /** The last `TreeSchema` of each tree, for the trees that were requested last. */
  readonly #asked = new Map<string, AnySchema>();
  readonly #options: CoreOptions;
  #owners = 0;

  /**
   * Reads the root of the forest. Throws `VARVE_NOT_A_FOREST`, `VARVE_UNSUPPORTED_VERSION`,
   * `VARVE_VAULT`, `VARVE_CORRUPT`.
   */
  constructor(store: Store, options: CoreOptions) {
    const { nodeBytes, nodeCacheBytes, journalBytes, automatic, vault } = options;
    this.store = store;
    this.automatic = automatic;
    this.retention = options.retention;
    this.#options = options;
    this.limits = {
      nodeBytes,
      sealed: vault !== undefined,
      memory: new NodeMemory(nodeCacheBytes),
      journalBytes,
    };
    this.catalogShape = shapeOf(catalogConfig, this.limits);
    this.sharesShape = shapeOf(sharesConfig, this.limits);
    const opened = this.#read();
    this.nodes = opened.nodes;
    this.nodes.nextSeal = opened.nextSeal + skipped(options.vault);
    this.rootWriter = new RootWriter(this.nodes);
    this.journal = opened.journal;
    this.durable = opened.version;
    this.reserveMemory();
  }

  /** The forest as the store has it now. */
  #read(): OpenedState {
    const { store } = this;
    // A reader's source must stay at its batch when the store refreshes.
    const source = store.readOnly ? store.view() : store;
    const { vault, nodeCacheBytes, journalBytes } = this.#options;
    const nodes = new NodeStore(source, vault, nodeCacheBytes);
    const { nextSeal, version, journal } = new StoredState(nodes, store.currentBatch, this);
    const memoryBytes = Math.max(memoryMin, nodeCacheBytes * reservedShareMax);
    const most = { logBytes: journalBytes, memoryBytes };
    return {
      nodes,
      nextSeal,
      version,
      journal: new Journal(journal, most, () => store.statistics()),
    };
  }

  /** Moves a reader to the batch that its store has refreshed to. Throws as the constructor. */
  moveOn(): void {
    if (this.durable.batch === this.store.currentBatch) return;
    const { nodes, version, journal } = this.#read();
    this.nodes = nodes;
    this.journal = journal;
    this.durable = version;
    this.reserveMemory();
  }

  /** Reserves cache memory for the journal's nodes and logs and for `NodeMemory`. */
  reserveMemory(): void {
    this.nodes.cache.reserve(this.journal.memoryBytes + this.limits.memory.keptBytes);
  }

  /** Throws `VARVE_CLOSED`. */
  checkOpen(): void {
    if (this.closed) throw new VarveError('VARVE_CLOSED', 'the forest is closed');
  }

  checkWritable(): void {
    this.checkOpen();
    if (this.closing) throw new VarveError('VARVE_CLOSED', 'the forest is being closed');
    if (this.store.readOnly) {
      throw new VarveError('VARVE_READ_ONLY', `'${this.store.path}' was opened read-only`);
    }
  }

  nextOwner(): number {
    this.#owners += 1;
    return this.#owners;
  }

  /** Remembers a tree handle and its `TreeSchema`. */
  register(handle: object, schema: AnySchema): void {
    this.#schemas.set(handle, schema);
    this.#asked.delete(schema.name);
    this.#asked.set(schema.name, schema);
    if (this.#asked.size <= askedMax) return;
    // Forget the oldest. A tree with other options is still refused: its first commit checks again.
    for (const name of this.#asked.keys()) {
      this.#asked.delete(name);
      break;
    }
  }

  /** Throws `VARVE_TREE_MISMATCH` if an earlier handle of the tree has another config. */
  checkAsked(schema: AnySchema): void {
    const asked = this.askedFor(schema.name);
    if (asked !== undefined) checkConfig(schema.name, asked.config, schema.config);
  }

  askedFor(name: string): AnySchema | undefined {
    return this.#asked.get(name);
  }

  schemaOf(handle: object): AnySchema | undefined {
    return this.#schemas.get(handle);
  }

  /** Throws `VARVE_INVALID_ARGUMENT` if the handle is not a tree of this forest. */
  schemaOfTree(handle: object): AnySchema {
    const schema =
      typeof handle === 'object' && handle !== null ? this.schemaOf(handle) : undefined;
    if (schema === undefined) throw invalidArgument('tree', 'a tree of this forest', handle);
    return schema;
  }

  /**
   * Called when a commit is durable. `changed` has the records that it left; undefined for a
   * removed tree.
   */
  committed(batch: BatchId, changed: ReadonlyMap<string, TreeRecord | undefined>): void {
    this.retention.note(batch, Date.now());
    for (const [name, record] of changed) {
      // A new tree with a dropped tree's name may have other options.
      if (treeOf(record) === undefined) this.#asked.delete(name);
    }
  }

  announce(batch: BatchId, changed: ReadonlyMap<string, unknown>): void {
    const trees = [...changed.keys()];
    if (trees.length === 0) return;
    this.#unannounced.push({ batch, trees });
    // A listener may commit. That commit is announced after all listeners know of this one.
    if (this.#unannounced.length > 1) return;
    for (let commit = this.#unannounced[0]; commit !== undefined; commit = this.#unannounced[0]) {
      for (const listener of this.listeners) runOutside(() => call(listener, commit));
      this.#unannounced.shift();
    }
  }
}

function skipped(vault: Vault | undefined): number {
  // Without a vault no number is used: files of the same content stay the same.
  if (vault === undefined) return sealsSkipped;
  return sealsSkipped + Math.floor(Math.random() * sealsSkipped);
}

/**
 * Calls a listener. Its error becomes an uncaught exception, since the commit is durable anyway.
 */
function call(listener: Listener, commit: Commit): void {
  try {
    listener({ ...commit });
  } catch (error) {
    queueMicrotask(() => {
      throw error;
    });
  }
}
