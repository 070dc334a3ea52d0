/**
 * What the parts of an open forest share: the store, the nodes, the durable state, and which trees
 * were asked for.
 *
 * Invariant: `durable` is the state of the last commit that is durable, and changes only when the
 * next one is. It opens and closes nothing.
 */

import { corrupt, invalidArgument, isVarveError, VarveError } from '../errors.ts';
import type { BatchId, GrainId, Store } from '../index.ts';
import { runOutside } from './body-context.ts';
import {
  decodeForestRoot,
  decodeSealedRoot,
  type ForestRoot,
  type RootLink,
  RootWriter,
  type SealedRoot,
} from './forest-root.ts';
import { ForestVersion, findRecord } from './forest-version.ts';
import { bytesOf } from './group.ts';
import { Journal } from './journal.ts';
import type { TreeShape } from './node.ts';
import { emptyRoot } from './node.ts';
import { reservedShareMost } from './node-cache.ts';
import { NodeMemory } from './node-memory.ts';
import { NodeStore } from './node-store.ts';
import { Replay } from './replay.ts';
import { catalogConfig, type ForestLimits, shapeOf, sharesConfig, treeOf } from './tree-record.ts';
import { TreeRecords } from './tree-records.ts';
import { checkConfig, type TreeUse } from './tree-use.ts';
import type { Vault } from './vault.ts';

type AnyUse = TreeUse<unknown, unknown, unknown>;
interface Commit {
  batch: BatchId;
  trees: readonly string[];
}
type Listener = (commit: Commit) => void;

/** Numbers that an opening skips: what a batch taken back told the vault is not told again. */
const sealsSkipped = 2 ** 24;

/** So many trees are known as they were asked for, those that do not exist included. */
const askedMax = 5000;

/** Nodes that are not stored yet may take so many bytes beside a small cache. */
const memoryLeast = 2 ** 21;

const noRoot: ForestRoot = {
  catalog: emptyRoot,
  shares: emptyRoot,
  nextSeal: 1,
  pending: [],
  depth: 0,
  earlier: undefined,
  changes: [],
};

interface RootFound {
  readonly link: RootLink;
  readonly root: ForestRoot;
}

export interface CoreOptions {
  readonly nodeBytes: number | undefined;
  readonly nodeCacheBytes: number;
  readonly journalBytes: number;
  readonly automatic: boolean;
  readonly vault: Vault | undefined;
}

export class ForestCore {
  readonly store: Store;
  readonly nodes: NodeStore;
  readonly limits: ForestLimits;
  readonly automatic: boolean;
  readonly catalogShape: TreeShape;
  readonly sharesShape: TreeShape;
  readonly listeners = new Set<Listener>();
  /** What of the durable state is in no node yet. */
  readonly journal: Journal;
  readonly rootWriter: RootWriter;
  durable: ForestVersion;
  /** It takes no more transactions. */
  closing = false;
  closed = false;
  /** Commits that some listener has not been told of. */
  readonly #untold: Commit[] = [];
  readonly #uses = new WeakMap<object, AnyUse>();
  /** How each tree was last asked for, of those that were asked for last. */
  readonly #asked = new Map<string, AnyUse>();
  #owners = 0;

  /**
   * Reads the root of the forest. Throws `VARVE_NOT_A_FOREST`, `VARVE_UNSUPPORTED_VERSION`,
   * `VARVE_VAULT`, `VARVE_CORRUPT`.
   */
  constructor(store: Store, options: CoreOptions) {
    const { nodeBytes, nodeCacheBytes, journalBytes, automatic, vault } = options;
    this.store = store;
    this.automatic = automatic;
    this.nodes = new NodeStore(store, vault, nodeCacheBytes);
    this.rootWriter = new RootWriter(this.nodes);
    this.limits = {
      nodeBytes,
      sealed: vault !== undefined,
      memory: new NodeMemory(nodeCacheBytes),
      journalBytes,
    };
    this.catalogShape = shapeOf(catalogConfig, this.limits);
    this.sharesShape = shapeOf(sharesConfig, this.limits);
    const chain = this.#readRoots();
    const newest = chain.at(-1)?.root ?? noRoot;
    const { catalog, shares, nextSeal, pending } = newest;
    const changes = chain.flatMap(({ root }) => root.changes);
    this.nodes.nextSeal = nextSeal + sealsSkipped;
    const { nodes, limits, sharesShape, catalogShape: shape } = this;
    const record = (name: string) => findRecord(nodes, shape, catalog, name);
    const nextOwner = () => this.nextOwner();
    const replay = new Replay({ nodes, limits, sharesShape, record, nextOwner }, newest, changes);
    const { records, stuck, gone, goneBytes, goneValues } = replay;
    const kept = changes.filter(({ tree }) => stuck.has(tree));
    const done = changes.filter(({ tree }) => !stuck.has(tree));
    const found = {
      stored: { catalog, shares },
      roots: chain.map(({ link }) => link),
      changes: done,
      gone,
      goneBytes,
      goneValues,
      goneValueBytes: bytesOf(store, goneValues),
      kept,
    };
    const memoryBytes = Math.max(memoryLeast, nodeCacheBytes * reservedShareMost);
    const most = { logBytes: journalBytes, memoryBytes };
    this.journal = new Journal(found, most, () => store.statistics());
    this.reserveMemory();
    const roots = { catalog, shares: replay.shares, pending };
    const of = { nodes, shape, batch: store.currentBatch, stuck };
    this.durable = new ForestVersion(of, roots, new TreeRecords(records));
  }

  /** Nodes that are not stored, and memory for nodes to come, take theirs from the cache's. */
  reserveMemory(): void {
    this.nodes.cache.reserve(this.journal.memoryBytes + this.limits.memory.keptBytes);
  }

  /** The newest root and those before it that are needed, oldest first. None in a new forest. */
  #readRoots(): RootFound[] {
    const id = this.store.embeddedHeader;
    if (id === undefined) return [];
    const found = this.#sealedRoot(id);
    if (found === undefined) {
      const message = "the store's embedded header is not a forest's root";
      throw new VarveError('VARVE_NOT_A_FOREST', message, { grainId: id });
    }
    checkVault(found.vault, this.nodes.vault?.name ?? '');
    let root = this.#openRoot(found);
    const chain = [{ link: { id, seal: found.seal }, root }];
    while (root.earlier !== undefined) {
      const { earlier: link, depth } = root;
      const sealed = this.#sealedRoot(link.id);
      const facts = { grainId: link.id };
      if (sealed === undefined) throw corrupt('an earlier root of the forest is missing', facts);
      root = this.#openRoot({ ...sealed, seal: link.seal });
      // One that names a later one would never come to an end.
      if (root.depth !== depth - 1) throw corrupt('the roots of the forest name each other', facts);
      chain.push({ link, root });
    }
    return chain.reverse();
  }

  /** Undefined for what is no forest's root. */
  #sealedRoot(id: GrainId): SealedRoot | undefined {
    const bytes = this.store.get(id);
    return bytes === undefined ? undefined : decodeSealedRoot(bytes);
  }

  /** Throws `VARVE_CORRUPT`, with a vault `VARVE_VAULT`: its key may be wrong unnoticed. */
  #openRoot({ seal, body }: SealedRoot): ForestRoot {
    const bytes = this.nodes.open('forest', seal, body);
    const { vault } = this.nodes;
    try {
      return decodeForestRoot(bytes);
    } catch (cause) {
      if (vault === undefined || !isVarveError(cause, 'VARVE_CORRUPT')) throw cause;
      throw wrongKey(vault.name, cause);
    }
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

  /** Tree handles and how they were asked for. Throws `VARVE_TREE_MISMATCH`. */
  register(handle: object, use: AnyUse): void {
    this.#uses.set(handle, use);
    this.#asked.delete(use.name);
    this.#asked.set(use.name, use);
    if (this.#asked.size <= askedMax) return;
    // A tree that is made otherwise later is refused all the same: its first commit checks again.
    for (const name of this.#asked.keys()) {
      this.#asked.delete(name);
      break;
    }
  }

  /** Throws `VARVE_TREE_MISMATCH` where a handle that was given out has another config. */
  checkAsked(use: AnyUse): void {
    const asked = this.askedFor(use.name);
    if (asked !== undefined) checkConfig(use.name, asked.config, use.config);
  }

  askedFor(name: string): AnyUse | undefined {
    return this.#asked.get(name);
  }

  useOf(handle: object): AnyUse | undefined {
    return this.#uses.get(handle);
  }

  /** Throws `VARVE_INVALID_ARGUMENT` for what is no tree of this forest. */
  useOfTree(handle: object): AnyUse {
    const use = typeof handle === 'object' && handle !== null ? this.useOf(handle) : undefined;
    if (use === undefined) throw invalidArgument('tree', 'a tree of this forest', handle);
    return use;
  }

  committed(batch: BatchId, trees: readonly string[]): void {
    for (const name of trees) {
      // Whoever makes a tree of a dropped one's name anew may ask for it otherwise.
      if (treeOf(this.durable.record(name)) === undefined) this.#asked.delete(name);
    }
    if (trees.length === 0) return;
    this.#untold.push({ batch, trees });
    // A listener may commit: what follows from that is told when all know of what came before.
    if (this.#untold.length > 1) return;
    for (let told = this.#untold[0]; told !== undefined; told = this.#untold[0]) {
      for (const listener of this.listeners) runOutside(() => tell(listener, told));
      this.#untold.shift();
    }
  }
}

/** Throws `VARVE_VAULT` if a forest made with the vault `made` is asked for with another. */
function checkVault(made: string, asked: string): void {
  if (made === asked) return;
  const name = (vault: string): string => (vault === '' ? 'without a vault' : `with '${vault}'`);
  const message = `the forest was made ${name(made)} and cannot be opened ${name(asked)}`;
  throw new VarveError('VARVE_VAULT', message, { expected: made, actual: asked });
}

function wrongKey(vault: string, cause: unknown): VarveError {
  const message = `the vault '${vault}' opens the forest's root to bytes that are no root`;
  return new VarveError('VARVE_VAULT', message, { cause });
}

/** The commit is durable whatever the listener does: its error is the program's own. */
function tell(listener: Listener, commit: Commit): void {
  try {
    listener({ ...commit });
  } catch (error) {
    queueMicrotask(() => {
      throw error;
    });
  }
}
