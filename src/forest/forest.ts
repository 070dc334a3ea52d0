/**
 * The forest: named copy-on-write B+trees in one store.
 *
 * Invariant: the forest's root is the store's embedded header, and every stored node is reached
 * from it. Reads see the last durable commit. It uses only the public API of the store. This file
 * only wires the parts together.
 */

import { invalidArgument, VarveError } from '../errors.ts';
import {
  type BackupOptions,
  type BackupReport,
  type BatchId,
  type CompactReport,
  type GrainId,
  type ReadStreamOptions,
  Store,
  type StoreOptions,
} from '../index.ts';
import { Operations } from '../util/operations/operations.ts';
import { ForestWriter } from './commits/forest-writer.ts';
import { Freeing } from './commits/freeing.ts';
import { isRefusal } from './commits/group-commits.ts';
import { type ForestCompactOptions, ForestCompactor } from './compact/forest-compact.ts';
import type { ForestSession, Snapshot, Transaction, Tree } from './contract.ts';
import {
  type DescribeOptions,
  describeForest,
  type ForestDescription,
} from './describe/describe-forest.ts';
import { ForestCore, type ForestStatistics } from './forest-core.ts';
import {
  checkForestOptions,
  coreOptions,
  type ForestOptions,
  forestNames,
  storeNames,
} from './forest-options.ts';
import { atNewest } from './newest-state.ts';
import { openValue } from './nodes/pushed-value.ts';
import {
  type PushedSource,
  pushedStream,
  readPushedRange,
  readPushedRangeAsync,
} from './reads/pushed-reads.ts';
import type { Hold } from './reads/range-iterators.ts';
import { OwnForestSession } from './sessions/forest-session.ts';
import { OpenForestSessions } from './sessions/open-sessions.ts';
import { ForestSessionWork } from './sessions/session-work.ts';
import { ForestSnapshot } from './snapshot.ts';
import { ForestTree } from './tree.ts';
import { nameKey } from './trees/catalog.ts';
import type { AnySchema } from './trees/tree-handles.ts';
import { treeOf } from './trees/tree-record.ts';
import { checkConfig, type TreeOptions, TreeSchema } from './trees/tree-schema.ts';
import { checkedOptions, type VerifyOptions, verifyAll } from './verify-forest.ts';

interface StoreUse {
  /** Gives up the claim on the store's embedded header. */
  readonly disclaim: () => void;
  /** The forest opened the store, and closes it. */
  readonly ownsStore: boolean;
}

export class Forest implements AsyncDisposable {
  /**
   * The store that the forest is in; you may keep values of your own there too. It refuses to
   * archive the forest's root (`VARVE_INVALID_ARGUMENT`). It does not know nodes and long values:
   * archiving one there damages the trees that reach it.
   */
  readonly store: Store;
  readonly #core: ForestCore;
  readonly #writer: ForestWriter;
  readonly #freeing: Freeing;
  readonly #compactor: ForestCompactor;
  readonly #storeUse: StoreUse;
  readonly #sessions = new OpenForestSessions();
  readonly #operations = new Operations();
  #closing: Promise<void> | undefined;

  private constructor(core: ForestCore, freeing: Freeing, storeUse: StoreUse) {
    this.store = core.store;
    this.#core = core;
    this.#freeing = freeing;
    this.#writer = new ForestWriter(core, core.state, freeing);
    this.#compactor = new ForestCompactor(core, this.#writer, freeing, this.#operations);
    this.#storeUse = storeUse;
  }

  /**
   * Opens the store at `path` and the forest in it; closing the forest closes the store. Rejects as
   * `Store.open` and `Forest.on`.
   */
  static async open(
    path: string | URL,
    options: ForestOptions & StoreOptions = {},
  ): Promise<Forest> {
    checkForestOptions('Forest.open', options, { ...forestNames, ...storeNames });
    const own = Object.keys(storeNames).filter((name) => name in options);
    const ofStore = Object.fromEntries(
      own.map((name) => [name, options[name as keyof StoreOptions]]),
    );
    return await Forest.#in(await Store.open(path, ofStore), options);
  }

  static async inMemory(
    options: ForestOptions & Pick<StoreOptions, 'cacheBytes'> = {},
  ): Promise<Forest> {
    checkForestOptions('Forest.inMemory', options, { ...forestNames, cacheBytes: true });
    const { cacheBytes } = options;
    return await Forest.#in(await Store.inMemory({ cacheBytes }), options);
  }

  static async #in(store: Store, options: ForestOptions): Promise<Forest> {
    try {
      return await Forest.#on(store, options, true);
    } catch (error) {
      await store.close();
      throw error;
    }
  }

  /**
   * Opens a forest in a store that is open already; the forest's root is the store's embedded
   * header. Automatic checkpoints free what others archived in the store too. Closing the forest
   * leaves the store open.
   *
   * Rejects, and leaves the store open and free for another try, with:
   * - `VARVE_NOT_A_FOREST` if the embedded header is something else;
   * - `VARVE_BUSY` if another forest uses the store;
   * - `VARVE_VAULT` if the forest was made with another vault, without one or under another key;
   * - `VARVE_UNSUPPORTED_VERSION`, `VARVE_CORRUPT`.
   */
  static async on(store: Store, options: ForestOptions = {}): Promise<Forest> {
    checkForestOptions('Forest.on', options);
    if (!(store instanceof Store)) throw invalidArgument('Forest.on', 'a Store', store);
    return await Forest.#on(store, options, false);
  }

  static async #on(store: Store, options: ForestOptions, ownsStore: boolean): Promise<Forest> {
    const disclaim = store.claimEmbeddedHeader('a forest');
    try {
      const settings = coreOptions(options);
      await settings.retention.read(store);
      const core = await atNewest(store, () => new ForestCore(store, settings));
      const freeing = new Freeing(store, settings.automatic, settings.retention);
      return new Forest(core, freeing, { disclaim, ownsStore });
    } catch (error) {
      disclaim();
      throw error;
    }
  }

  /**
   * A durable value that `Transaction.push` stored, opened by the vault; otherwise like
   * `Store.get`. Throws `VARVE_VAULT` for any other stored value, or one that was tampered with.
   * Without a vault, `Store.get`.
   */
  get(id: GrainId): Uint8Array<ArrayBuffer> | undefined {
    this.#core.checkOpen();
    const { nodes } = this.#core.durable;
    return openValue(nodes, id, nodes.source.get(id));
  }

  /** As `get`, without blocking the event loop on the disk. */
  async getAsync(id: GrainId): Promise<Uint8Array<ArrayBuffer> | undefined> {
    this.#core.checkOpen();
    const { nodes } = this.#core.durable;
    return openValue(nodes, id, await nodes.source.getAsync(id));
  }

  /**
   * As `Store.readRange`, of a pushed value, through the vault: a value that came as a stream is
   * opened frame by frame, any other as a whole. Throws `VARVE_VAULT` as `get`.
   */
  readRange(id: GrainId, start: number, end: number): Uint8Array<ArrayBuffer> | undefined {
    return readPushedRange(this.#pushedSource(), id, { start, end });
  }

  /** As `readRange`, without blocking the event loop on the disk. */
  async readRangeAsync(
    id: GrainId,
    start: number,
    end: number,
  ): Promise<Uint8Array<ArrayBuffer> | undefined> {
    return await readPushedRangeAsync(this.#pushedSource(), id, { start, end });
  }

  /**
   * As `Store.createReadStream`, of a pushed value, through the vault. A value that came as a
   * stream is read with bounded memory; one that was pushed in one piece is opened as a whole.
   * Throws and errors with `VARVE_VAULT` as `get`.
   */
  createReadStream(
    id: GrainId,
    options?: ReadStreamOptions,
  ): ReadableStream<Uint8Array<ArrayBuffer>> | undefined {
    return pushedStream(this.#pushedSource(), id, options);
  }

  #pushedSource(): PushedSource {
    const core = this.#core;
    core.checkOpen();
    const version = core.durable;
    const hold = (): Hold => version.hold(() => core.checkOpen());
    return { store: this.store, nodes: version.nodes, hold };
  }

  /** Names of the trees that a commit has made and none has dropped. */
  names(): string[] {
    this.#core.checkOpen();
    return this.#core.durable.names();
  }

  /**
   * A handle on a tree; nothing is written until its first change. Codecs, reducer and `versioned`
   * are kept with the tree, by their names. Throws `VARVE_TREE_MISMATCH` if the tree was made, or
   * is open, with others, and `VARVE_INVALID_ARGUMENT` if one is not a codec or reducer.
   */
  tree(name: string): Tree<Uint8Array, Uint8Array, undefined>;
  tree<K, V, R = undefined>(name: string, options: TreeOptions<K, V, R>): Tree<K, V, R>;
  tree<K, V, R>(name: string, options: TreeOptions<K, V, R> = {}): Tree<K, V, R> {
    const core = this.#core;
    core.checkOpen();
    nameKey(name);
    const schema = new TreeSchema(name, options, core.state.context.limits);
    const any = schema as unknown as AnySchema;
    core.handles.checkAsked(any);
    const record = treeOf(core.durable.record(name));
    if (record !== undefined) checkConfig(name, record.config, schema.config);
    const tree = new ForestTree(core, this.#writer, schema);
    core.handles.register(tree, any);
    return tree;
  }

  /**
   * Runs `body` alone among writers, on the state that earlier transactions left. Commits all its
   * changes, in any number of trees, together or not at all. Resolves to the result of `body` when
   * the changes are durable.
   * - If `body` throws, nothing is stored and the promise rejects with the same error.
   * - If a commit fails, all transactions in it and all that ran on its state reject with its
   *   error.
   * - Until it settles, `body` must write to this forest through `tx` only: other writes reject at
   *   once with `VARVE_BUSY`. Without `AsyncLocalStorage` this is noticed only before the first
   *   `await`; later such a write waits for the body, and awaiting it never ends.
   */
  async transaction<T>(body: (tx: Transaction) => T | Promise<T>): Promise<T> {
    const { result } = await this.#writer.run(body);
    return result;
  }

  /**
   * As `transaction` with a synchronous body, on the calling thread: quickest for one writer.
   * Throws `VARVE_BUSY`:
   * - before `body` runs, if another transaction or commit of the store is queued or in flight;
   * - after it, with nothing stored, if the body itself has begun a commit of the store.
   */
  transactionSync<T>(body: (tx: Transaction) => T): T {
    return this.#writer.runSync(body);
  }

  /**
   * A session for values that belong to a later transaction: push or stream them now, while no
   * transaction waits; `Transaction.adopt` commits them with the entries that name them. Throws
   * `VARVE_CLOSED`, `VARVE_READ_ONLY`, `VARVE_POISONED`.
   */
  session(): ForestSession {
    this.#core.checkWritable();
    const work = new ForestSessionWork(this.store.session(), this.#core.state.context.nodes);
    const isArchived = (id: GrainId): boolean => this.#writer.isArchived(id);
    return new OwnForestSession({ open: this.#sessions, isArchived }, work);
  }

  /** Figures of the node cache, of the journal and of the trees in memory. */
  statistics(): ForestStatistics {
    return this.#core.statistics();
  }

  /**
   * The whole forest as of the last durable commit; later commits do not change it. Release it
   * after use.
   */
  snapshot(): Snapshot {
    this.#core.checkOpen();
    return new ForestSnapshot(this.#core);
  }

  /**
   * Moves a forest that was opened read-only beside a live writer to the newest durable batch, and
   * resolves to it. Snapshots and iterators keep theirs. Without `readOnly` it resolves to the
   * current batch. Rejects as `Store.refresh`.
   */
  async refresh(): Promise<BatchId> {
    this.#core.checkOpen();
    await this.store.refresh();
    await atNewest(this.store, () => this.#core.state.moveOn());
    return this.#core.durable.batch;
  }

  /**
   * As `Store.backupTo`: a consistent copy of the last durable commit, while transactions go on.
   * The copy is a closed store with the same trees; what only snapshots still reach is left out.
   * Rejects as `Store.backupTo`.
   */
  async backupTo(path: string, options?: BackupOptions): Promise<BackupReport> {
    this.#core.checkOpen();
    return await this.store.backupTo(path, options);
  }

  /**
   * Describes each tree of the last durable commit, without its codecs. With `measure` it walks the
   * nodes, while transactions go on, and counts their bytes in the file. Closing stops it with
   * `VARVE_CLOSED`. Rejects as reads; beside a writer with `VARVE_SNAPSHOT_GONE`.
   */
  async describe(options: DescribeOptions = {}): Promise<ForestDescription> {
    this.#core.checkOpen();
    return await describeForest(this.#core.state, this.#operations, options);
  }

  /**
   * Packs leaves that are not full, stores the nodes and long values that lie in thin grain maps
   * anew, and compacts the store. Transactions, reads and snapshots go on; forks share what they
   * shared. `onCommit` does not report it. Values of `Transaction.push` keep their ids, unless
   * `movePushed` renames them. Leaves of a tree with a reducer are packed only if the program has
   * opened the tree with it. What open snapshots hold is returned by a later compaction.
   *
   * Rejects as `Store.compact`, with `VARVE_CORRUPT` and `VARVE_VAULT` if a node cannot be read,
   * and with the error of `movePushed`.
   */
  async compact(options: ForestCompactOptions = {}): Promise<CompactReport> {
    this.#core.checkOpen();
    return await this.#compactor.compact(options);
  }

  /**
   * Calls `listener` after each durable commit that changed a tree, with the names of those trees.
   * Returns a function that stops it. An error of the listener becomes an uncaught exception of the
   * program: the commit is durable, and the other listeners are called.
   */
  onCommit(listener: (commit: { batch: BatchId; trees: readonly string[] }) => void): () => void {
    this.#core.checkOpen();
    return this.#core.listen(listener);
  }

  /**
   * Yields each inconsistency in the trees (order, fill, counts, reducers, reachability, shares),
   * then those of `store.verify`. Reads the state of the first step, and holds a guard meanwhile.
   */
  verify(options: VerifyOptions = {}): AsyncIterable<{ readonly message: string }> {
    this.#core.checkOpen();
    return verifyAll(this.#core, checkedOptions(options));
  }

  /**
   * Waits for all transactions, abandons the sessions that none adopted, writes the nodes that are
   * in memory only, and frees what no snapshot holds (unless `checkpoint` is 'manual'). Closes the
   * store if this forest opened it. If the disk refuses the nodes, the next open replays their
   * changes. Idempotent. Rejects with `VARVE_BUSY`, and closes nothing, within the body of a
   * transaction.
   */
  async close(): Promise<void> {
    if (this.#closing === undefined) this.#writer.checkOutside();
    this.#closing ??= this.#close();
    await this.#closing;
  }

  async #close(): Promise<void> {
    this.#core.beginClose();
    const closed = new VarveError('VARVE_CLOSED', 'the forest is closed');
    this.#compactor.stop(closed);
    try {
      await this.#operations.stopAll(closed);
      await this.#writer.settled();
      await this.#sessions.close();
      await this.#writer.clear();
    } finally {
      this.#core.endClose();
      await this.#end();
    }
  }

  async #end(): Promise<void> {
    try {
      await this.#freeing.freeAll();
    } catch (error) {
      // Archived values that are not freed now are freed after the next open.
      if (!isRefusal(error)) throw error;
    } finally {
      this.#core.state.end();
      this.#storeUse.disclaim();
      if (this.#storeUse.ownsStore) await this.store.close();
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }
}
