/**
 * The forest: named copy-on-write B+trees in one store.
 *
 * Invariant: the forest's root is the store's embedded header, and everything that is stored is
 * reached from it. Reads see the last durable commit. It is built on the public API of the store
 * alone; wiring only, the work is in the files beside this one.
 */

import { invalidArgument } from '../errors.ts';
import { type BatchId, type GrainId, Store, type StoreOptions } from '../index.ts';
import { checkNames, type NamesOf } from '../util/options.ts';
import type { Snapshot, Transaction, Tree } from './contract.ts';
import { ForestCore } from './forest-core.ts';
import { nameKey } from './forest-version.ts';
import { ForestWriter } from './forest-writer.ts';
import { isRefusal } from './group-commits.ts';
import { openValue } from './pushed-value.ts';
import { ForestSnapshot } from './snapshot.ts';
import { ForestTree } from './tree.ts';
import { treeOf } from './tree-record.ts';
import { checkConfig, type TreeOptions, TreeUse } from './tree-use.ts';
import type { Vault } from './vault.ts';
import { checkedOptions, type VerifyOptions, verifyForest } from './verify-forest.ts';

export interface ForestOptions {
  /**
   * Target size of a node, bytes: 500 to 65,536. The default is the measured best: 4,064, and 8,160
   * where all keys have one length and all values too.
   */
  nodeBytes?: number | undefined;
  /** Upper bound of the cache of decoded nodes, bytes; beside the store's. Default 256 MiB. */
  nodeCacheBytes?: number | undefined;
  /**
   * Upper bound of the changes, bytes, that are told in the roots of commits while their nodes stay
   * in memory; less in a small forest. An opening after a crash does them again. Default 4 MiB; 0:
   * every commit writes its nodes.
   */
  journalBytes?: number | undefined;
  /**
   * How archived nodes are freed: batch by batch within later commits and at close, as snapshots
   * allow (default), or only by `store.checkpointTo`.
   */
  checkpoint?: 'automatic' | 'manual' | undefined;
  /**
   * Called once on each value that the forest stores: encryption, compression. Its name is kept
   * with the forest: opening with another, a missing or an extra one, or with the wrong key,
   * rejects with `VARVE_VAULT` and releases the lock.
   */
  vault?: Vault | undefined;
}

export interface ForestStatistics {
  /** Nodes read from the store since the forest was opened: those that were not in memory. */
  readonly nodesRead: number;
  /** Bytes of the cache of decoded nodes that are in use. */
  readonly cachedBytes: number;
  /** Bytes of changes that are durable, and in no stored node. */
  readonly journalBytes: number;
  /** Trees whose roots are in memory: a bounded number beside those of the journal. */
  readonly treesInMemory: number;
}

const nodeBytesLeast = 500;
const nodeBytesMost = 65_536;
const nodeCacheBytesDefault = 256 * 1024 * 1024;
const journalBytesDefault = 4 * 1024 * 1024;

interface StoreUse {
  readonly disclaim: () => void;
  /** The forest has opened the store. */
  readonly ownsStore: boolean;
}

const names: NamesOf<ForestOptions> = {
  nodeBytes: true,
  nodeCacheBytes: true,
  journalBytes: true,
  checkpoint: true,
  vault: true,
};
/** The store checks what they say. */
const storeNames: NamesOf<StoreOptions> = {
  create: true,
  exclusive: true,
  readOnly: true,
  fileSystem: true,
  cacheBytes: true,
  settleBytes: true,
  signal: true,
};

export class Forest implements AsyncDisposable {
  /**
   * The store that the forest is in; values of your own may be kept there too. It refuses to
   * archive the forest's root (`VARVE_INVALID_ARGUMENT`). Nodes and long values it does not know:
   * whoever archives them there damages the trees that reach them.
   */
  readonly store: Store;
  readonly #core: ForestCore;
  readonly #writer: ForestWriter;
  /** The store's embedded header is no longer this forest's. */
  readonly #disclaim: () => void;
  readonly #ownsStore: boolean;
  #closing: Promise<void> | undefined;

  private constructor(core: ForestCore, { disclaim, ownsStore }: StoreUse) {
    this.store = core.store;
    this.#core = core;
    this.#writer = new ForestWriter(core);
    this.#disclaim = disclaim;
    this.#ownsStore = ownsStore;
  }

  /**
   * Opens the store at `path` and the forest in it; closing the forest closes the store. Rejects as
   * `Store.open` and `Forest.on`.
   */
  static async open(
    path: string | URL,
    options: ForestOptions & StoreOptions = {},
  ): Promise<Forest> {
    checkOptions('Forest.open', options, { ...names, ...storeNames });
    const own = Object.keys(storeNames).filter((name) => name in options);
    const ofStore = Object.fromEntries(
      own.map((name) => [name, options[name as keyof StoreOptions]]),
    );
    return await Forest.#in(await Store.open(path, ofStore), options);
  }

  static async inMemory(
    options: ForestOptions & Pick<StoreOptions, 'cacheBytes'> = {},
  ): Promise<Forest> {
    checkOptions('Forest.inMemory', options, { ...names, cacheBytes: true });
    const { cacheBytes } = options;
    return await Forest.#in(await Store.inMemory({ cacheBytes }), options);
  }

  static async #in(store: Store, options: ForestOptions): Promise<Forest> {
    try {
      return Forest.#on(store, options, true);
    } catch (error) {
      await store.close();
      throw error;
    }
  }

  /**
   * Uses a store that is open already; the forest's root is the store's embedded header. Rejects
   * with `VARVE_NOT_A_FOREST` where that is something else, `VARVE_BUSY` where a forest uses the
   * store already, `VARVE_VAULT` where the forest was made with another vault, without one or under
   * another key, `VARVE_UNSUPPORTED_VERSION`, `VARVE_CORRUPT`; the store stays open and free for
   * another try. Automatic checkpoints free what others archived in the store too. Closing the
   * forest leaves the store open.
   */
  static async on(store: Store, options: ForestOptions = {}): Promise<Forest> {
    checkOptions('Forest.on', options, names);
    if (!(store instanceof Store)) throw invalidArgument('Forest.on', 'a Store', store);
    return Forest.#on(store, options, false);
  }

  static #on(store: Store, options: ForestOptions, ownsStore: boolean): Forest {
    const disclaim = store.claimEmbeddedHeader('a forest');
    try {
      const core = new ForestCore(store, {
        nodeBytes: options.nodeBytes,
        nodeCacheBytes: options.nodeCacheBytes ?? nodeCacheBytesDefault,
        journalBytes: options.journalBytes ?? journalBytesDefault,
        automatic: options.checkpoint !== 'manual',
        vault: options.vault,
      });
      return new Forest(core, { disclaim, ownsStore });
    } catch (error) {
      disclaim();
      throw error;
    }
  }

  /**
   * A value pushed with `Transaction.push` and durable, opened by the vault; otherwise like
   * `Store.get`. Throws `VARVE_VAULT` for a stored value that is none of those, or was tampered
   * with. Without a vault, `Store.get`.
   */
  get(id: GrainId): Uint8Array<ArrayBuffer> | undefined {
    this.#core.checkOpen();
    return openValue(this.#core.nodes, id, this.store.get(id));
  }

  /** As `get`, without blocking the event loop on the disk. */
  async getAsync(id: GrainId): Promise<Uint8Array<ArrayBuffer> | undefined> {
    this.#core.checkOpen();
    return openValue(this.#core.nodes, id, await this.store.getAsync(id));
  }

  /** Names of the trees that hold, or have held and not been dropped, at least one commit. */
  names(): string[] {
    this.#core.checkOpen();
    return this.#core.durable.names();
  }

  /**
   * A handle on a tree; nothing is written until its first change. Codecs, reducer and `versioned`
   * are known by their names and kept with the tree: a tree made or open with others throws
   * `VARVE_TREE_MISMATCH`. Throws `VARVE_INVALID_ARGUMENT` for what is no codec or reducer.
   */
  tree(name: string): Tree<Uint8Array, Uint8Array, undefined>;
  tree<K, V, R = undefined>(name: string, options: TreeOptions<K, V, R>): Tree<K, V, R>;
  tree<K, V, R>(name: string, options: TreeOptions<K, V, R> = {}): Tree<K, V, R> {
    const core = this.#core;
    core.checkOpen();
    nameKey(name);
    const use = new TreeUse(name, options, core.limits);
    const any = use as unknown as TreeUse<unknown, unknown, unknown>;
    core.checkAsked(any);
    const record = treeOf(core.durable.record(name));
    if (record !== undefined) checkConfig(name, record.config, use.config);
    const tree = new ForestTree(core, this.#writer, use);
    core.register(tree, any);
    return tree;
  }

  /**
   * Runs `body` alone among writers, on the state that the transactions before it leave behind, and
   * commits every change in it, over any number of trees, at once or not at all. Resolves, with
   * what `body` returned, when durable. Where `body` throws, nothing of it happens and the promise
   * rejects with the same error. Where a commit fails, every transaction in it and every one that
   * ran on its state rejects with that error. Another write of the same forest that the body begins
   * before it has settled, not through `tx`, rejects at once with `VARVE_BUSY`; on platforms
   * without `AsyncLocalStorage` only before its first `await`, and awaiting one never ends there.
   */
  async transaction<T>(body: (tx: Transaction) => T | Promise<T>): Promise<T> {
    const { result } = await this.#writer.run(body);
    return result;
  }

  /**
   * As `transaction` with a synchronous body, on the calling thread: quickest for one writer.
   * Throws `VARVE_BUSY`, before `body` runs, while another transaction or commit of the store is
   * queued or under way; after it, with nothing done, if the body itself has begun a commit of the
   * store.
   */
  transactionSync<T>(body: (tx: Transaction) => T): T {
    return this.#writer.runSync(body);
  }

  /** What the cache of nodes holds and has missed, and what waits to be written. */
  statistics(): ForestStatistics {
    const { nodes, journal, durable } = this.#core;
    return {
      nodesRead: nodes.reads,
      cachedBytes: nodes.cache.bytes,
      journalBytes: journal.allBytes,
      treesInMemory: durable.treesInMemory,
    };
  }

  /** The whole forest as of the last durable commit, unmoved by later ones until released. */
  snapshot(): Snapshot {
    this.#core.checkOpen();
    return new ForestSnapshot(this.#core);
  }

  /**
   * Calls `listener` after each durable commit that changed a tree, with the names of those trees.
   * Returns the way to stop it. What a listener throws is an uncaught exception of the program, as
   * from a listener of an event: the commit is durable, and the other listeners are told.
   */
  onCommit(listener: (commit: { batch: BatchId; trees: readonly string[] }) => void): () => void {
    this.#core.checkOpen();
    if (typeof listener !== 'function') {
      throw invalidArgument('Forest.onCommit', 'a function', listener);
    }
    // A function of its own: the same listener may be added twice.
    const own: typeof listener = (commit) => listener(commit);
    this.#core.listeners.add(own);
    return () => {
      this.#core.listeners.delete(own);
    };
  }

  /**
   * Yields each inconsistency in the trees (order, fill, counts, reducers, reachability, shares),
   * then those of `store.verify`. Reads the state of the first step; holds a guard meanwhile.
   */
  verify(options: VerifyOptions = {}): AsyncIterable<{ readonly message: string }> {
    this.#core.checkOpen();
    return verifyAll(this.#core, checkedOptions(options));
  }

  /**
   * Waits for transactions under way, writes the nodes that are in memory only, frees what no
   * snapshot holds (unless `checkpoint` is 'manual'), and closes the store where this forest has
   * opened it. Where the disk refuses the nodes, the next opening does again what they are made of.
   * Idempotent.
   */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    this.#core.closing = true;
    try {
      await this.#writer.settled();
      await this.#writer.clear();
    } finally {
      this.#core.closed = true;
      this.#core.listeners.clear();
      await this.#end();
    }
  }

  async #end(): Promise<void> {
    try {
      const { store } = this;
      const frees = this.#core.automatic && !store.readOnly;
      if (frees && store.statistics().archivedValues > 0) {
        await store.checkpointTo(store.currentBatch);
      }
    } catch (error) {
      // What is not freed now is freed after the next opening.
      if (!isRefusal(error)) throw error;
    } finally {
      this.#disclaim();
      if (this.#ownsStore) await this.store.close();
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }
}

async function* verifyAll(
  core: ForestCore,
  options: VerifyOptions,
): AsyncGenerator<{ readonly message: string }> {
  core.checkOpen();
  yield* verifyForest(core, options);
  const { deep, signal } = options;
  yield* core.store.verify({ deep, signal });
}

function checkOptions(what: string, options: ForestOptions, known: Record<string, true>): void {
  checkNames(what, options, known);
  const { nodeBytes, nodeCacheBytes, journalBytes, checkpoint, vault } = options;
  if (nodeBytes !== undefined) {
    const fits = nodeBytes >= nodeBytesLeast && nodeBytes <= nodeBytesMost;
    if (!Number.isSafeInteger(nodeBytes) || !fits) {
      const expected = `a whole number from ${nodeBytesLeast} to ${nodeBytesMost}`;
      throw invalidArgument('nodeBytes', expected, nodeBytes);
    }
  }
  for (const [name, bytes] of Object.entries({ nodeCacheBytes, journalBytes })) {
    if (bytes === undefined || bytes === Number.POSITIVE_INFINITY) continue;
    if (!Number.isSafeInteger(bytes) || bytes < 0) {
      throw invalidArgument(name, 'a whole number from 0', bytes);
    }
  }
  if (checkpoint !== undefined && checkpoint !== 'automatic' && checkpoint !== 'manual') {
    throw invalidArgument('checkpoint', "'automatic' or 'manual'", checkpoint);
  }
  if (vault === undefined) return;
  const functions = [vault?.seal, vault?.open].every((one) => typeof one === 'function');
  if (!functions || typeof vault.name !== 'string' || vault.name === '') {
    throw invalidArgument('vault', 'a vault with name, seal and open', vault);
  }
  const { overheadBytes: added } = vault;
  if (added !== undefined && !(Number.isSafeInteger(added) && added >= 0)) {
    throw invalidArgument('vault: overheadBytes', 'a whole number from 0', added);
  }
}
