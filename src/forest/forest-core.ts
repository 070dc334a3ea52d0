/**
 * The parts of an open forest that its public classes share: its durable state, its handles, its
 * listeners, and whether it is open.
 *
 * Invariant: listeners hear of commits in their order, each after the promises that waited for it.
 * It opens and closes no store.
 */

import type { Vault } from '../codecs/vault.ts';
import { invalidArgument, VarveError } from '../errors.ts';
import type { BatchId, MemoryStatistics, Store } from '../index.ts';
import { DurableState } from './commits/durable-state.ts';
import type { ForestVersion } from './commits/forest-version.ts';
import type { Retention } from './commits/retention.ts';
import { NodeMemory } from './nodes/node-memory.ts';
import { runOutside } from './transactions/body-context.ts';
import { TreeHandles } from './trees/tree-handles.ts';

export interface ForestStatistics {
  /** Nodes that were not in memory and were read from the store since the forest was opened. */
  readonly nodesRead: number;
  /** Bytes of decoded nodes in the cache. */
  readonly cachedBytes: number;
  /** The memory that the forest and its store share: `cacheBytes`. */
  readonly memory: MemoryStatistics;
  /** Bytes of durable changes that no stored node has. */
  readonly journalBytes: number;
  /** Trees whose roots are in memory: a bounded number beside the trees of the journal. */
  readonly treesInMemory: number;
}

interface Commit {
  batch: BatchId;
  trees: readonly string[];
}
type Listener = (commit: Commit) => void;

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
  readonly state: DurableState;
  readonly handles = new TreeHandles();
  readonly #listeners = new Set<Listener>();
  #life: 'open' | 'closing' | 'closed' = 'open';
  /** Commits that some listeners have not been called for. */
  readonly #unannounced: Commit[] = [];

  /**
   * Reads the root of the forest. Throws `VARVE_NOT_A_FOREST`, `VARVE_UNSUPPORTED_VERSION`,
   * `VARVE_VAULT`, `VARVE_CORRUPT`.
   */
  constructor(store: Store, options: CoreOptions) {
    const { nodeBytes, journalBytes, vault } = options;
    const nodeCacheBytes = Math.min(options.nodeCacheBytes, store.memory.bytesMax);
    const sealed = vault !== undefined;
    const memory = new NodeMemory(nodeCacheBytes);
    const limits = { nodeBytes, sealed, memory, journalBytes };
    this.store = store;
    this.state = new DurableState(store, limits, this.handles, { nodeCacheBytes, vault });
  }

  /** The state that reads see. */
  get durable(): ForestVersion {
    return this.state.version;
  }

  statistics(): ForestStatistics {
    const { journal, version } = this.state;
    const { nodes } = version;
    return {
      nodesRead: nodes.reads,
      cachedBytes: nodes.cache.bytes,
      memory: this.store.memory.statistics(),
      journalBytes: journal.allBytes,
      treesInMemory: version.treesInMemory,
    };
  }

  /** Throws `VARVE_CLOSED`. */
  checkOpen(): void {
    if (this.#life === 'closed') throw new VarveError('VARVE_CLOSED', 'the forest is closed');
  }

  checkWritable(): void {
    this.checkOpen();
    if (this.#life === 'closing') {
      throw new VarveError('VARVE_CLOSED', 'the forest is being closed');
    }
    if (this.store.readOnly) {
      throw new VarveError('VARVE_READ_ONLY', `'${this.store.path}' was opened read-only`);
    }
  }

  /** As `Forest.onCommit`. */
  listen(listener: Listener): () => void {
    if (typeof listener !== 'function') {
      throw invalidArgument('Forest.onCommit', 'a function', listener);
    }
    // A new function: the same listener may be added twice.
    const own: Listener = (commit) => listener(commit);
    this.#listeners.add(own);
    return () => {
      this.#listeners.delete(own);
    };
  }

  /** From now on it takes no more transactions. */
  beginClose(): void {
    this.#life = 'closing';
  }

  endClose(): void {
    this.#life = 'closed';
    this.#listeners.clear();
  }

  /** `changed`: the trees that the commit changed. */
  announce(batch: BatchId, changed: ReadonlySet<string>): void {
    if (changed.size === 0 || this.#listeners.size === 0) return;
    this.#unannounced.push({ batch, trees: [...changed] });
    // A listener may commit. That commit is announced after all listeners know of this one.
    if (this.#unannounced.length > 1) return;
    const queue = this.#unannounced;
    for (let commit = queue[0]; commit !== undefined; commit = queue[0]) {
      for (const listener of this.#listeners) runOutside(() => call(listener, commit));
      queue.shift();
    }
  }
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
