/**
 * One walk of a compaction through all trees of the forest, in transactions that take a few
 * milliseconds each.
 *
 * Invariant: each step goes on where the last one ended, in the state that the transactions between
 * the two left. Trees that are dropped meanwhile are left out; a tree that is made, or forked to a
 * name that the walk has passed, has new nodes or waits for the next compaction.
 */

import { isVarveError } from '../../errors.ts';
import type { DurableState } from '../commits/durable-state.ts';
import type { TreePart } from '../transactions/open-tree.ts';
import type { TransactionScope } from '../transactions/transaction.ts';
import { nameAfter } from '../trees/catalog.ts';
import type { Edit } from '../trees/edit.ts';
import type { TreeRecord } from '../trees/tree-record.ts';
import { type RewritePlan, type SharingEdit, TreeRewriter } from './tree-rewriter.ts';
import type { Twins } from './twins.ts';

/** A position of the walk in the trees of users. */
interface WalkPosition {
  readonly name: string;
  readonly part: TreePart;
  /** The key to go on from; undefined at the beginning. */
  readonly key: Uint8Array | undefined;
}

type Phase = 'reducers' | 'trees' | 'shares' | 'catalog' | 'done';

export class CompactWalk {
  readonly #state: DurableState;
  readonly #plan: RewritePlan;
  readonly #twins: Twins;
  #phase: Phase;
  #position: WalkPosition | undefined;
  /** The tree whose reducer was looked at last. */
  #lookedAt: string | undefined;
  /** Reducers of trees that the program has not opened with them. */
  readonly #unknown = new Set<string>();
  /** The key to go on from in the shares. */
  #sharesKey: Uint8Array | undefined;
  /** The key to go on from in the catalog. */
  #catalogKey: Uint8Array | undefined;
  #failure: Error | undefined;

  constructor(state: DurableState, plan: RewritePlan, twins: Twins) {
    this.#state = state;
    this.#plan = plan;
    this.#twins = twins;
    this.#phase = plan.packs ? 'reducers' : 'trees';
  }

  get isDone(): boolean {
    return this.#phase === 'done';
  }

  /** Throws the error of the last step's commit, if only this walk has to fail. */
  throwFailure(): void {
    if (this.#failure !== undefined) throw this.#failure;
  }

  /** Does as much as the plan allows. */
  step(tx: TransactionScope): void {
    do {
      if (this.#phase === 'reducers') this.#stepInReducers(tx);
      else if (this.#phase === 'trees') this.#stepInTrees(tx);
      else if (this.#phase === 'shares') this.#stepInShares(tx);
    } while (this.#phase !== 'catalog' && !this.#plan.isDue());
    if (this.#phase === 'catalog') this.#stepInCatalog(tx);
  }

  // ── reducers ──

  /** Looks whether the program has opened the next tree with its reducer. */
  #stepInReducers(tx: TransactionScope): void {
    const name = this.#nameAfter(this.#lookedAt);
    this.#lookedAt = name;
    if (name === undefined) {
      this.#phase = 'trees';
      return;
    }
    const reducer = recordOf(tx, name)?.config.reducer ?? '';
    if (reducer !== '' && !tx.knowsReducer(name)) this.#unknown.add(reducer);
  }

  #nameAfter(name: string | undefined): string | undefined {
    const { context, version } = this.#state;
    return nameAfter(context.nodes, context.catalogShape, version.roots.catalog, name);
  }

  // ── trees ──

  #stepInTrees(tx: TransactionScope): void {
    const position = this.#position ?? this.#first(undefined);
    this.#position = position === undefined ? undefined : this.#stepIn(tx, position);
    if (this.#position === undefined) this.#phase = 'shares';
  }

  /** Returns the position to go on from. */
  #stepIn(tx: TransactionScope, { name, part, key }: WalkPosition): WalkPosition | undefined {
    const end = this.#rewrite(tx, { name, part, key });
    if (end !== undefined) return { name, part, key: end };
    return part === 'main' ? { name, part: 'history', key: undefined } : this.#first(name);
  }

  /** The beginning of the first tree after this one. */
  #first(after: string | undefined): WalkPosition | undefined {
    const name = this.#nameAfter(after);
    return name === undefined ? undefined : { name, part: 'main', key: undefined };
  }

  /** Returns the key to go on from; undefined at the end of this part of the tree. */
  #rewrite(tx: TransactionScope, { name, part, key }: WalkPosition): Uint8Array | undefined {
    const record = recordOf(tx, name);
    if (record === undefined || record[part].ref === undefined) {
      this.#twins.forgetPassed();
      return undefined;
    }
    let end: Uint8Array | undefined;
    const isPlain = part === 'history' || record.config.reducer === '';
    const plan = isPlain ? this.#plan : this.#summed(tx, name, record.config.reducer);
    tx.rewrite(name, part, (tree) => {
      const rewriter = new TreeRewriter(
        { ...tree, sharing: sharingOf(tx.edit) },
        plan,
        this.#twins,
      );
      end = rewriter.run(key);
      return rewriter.root;
    });
    return end;
  }

  /** The plan for a tree with a reducer: packed leaves need the program's functions. */
  #summed(tx: TransactionScope, name: string, reducer: string): RewritePlan {
    const plan = this.#plan;
    return {
      isThin: (id) => plan.isThin(id),
      packs: plan.packs && tx.knowsReducer(name),
      packsShared: plan.packsShared && !this.#unknown.has(reducer),
      isDue: () => plan.isDue(),
      rewrote: (bytes) => plan.rewrote(bytes),
    };
  }

  // ── the forest's own trees ──

  #stepInShares(tx: TransactionScope): void {
    let end: Uint8Array | undefined;
    tx.rewriteShares((tree) => {
      const rewriter = new TreeRewriter({ ...tree, sharing: undefined }, this.#plan, this.#twins);
      end = rewriter.run(this.#sharesKey);
      return rewriter.root;
    });
    this.#sharesKey = end;
    if (end === undefined) this.#phase = 'catalog';
  }

  /** The commit of this transaction rewrites a part of the catalog; returns when it has. */
  #stepInCatalog(tx: TransactionScope): void {
    tx.rewriteCatalog((tree) => {
      const rewriter = new TreeRewriter({ ...tree, sharing: undefined }, this.#plan, this.#twins);
      const from = this.#catalogKey;
      this.#catalogKey = undefined;
      try {
        this.#catalogKey = rewriter.run(from);
      } catch (error) {
        // The commit has transactions of others too: it goes on with what was done so far.
        this.#failure = error as Error;
      }
      if (this.#catalogKey === undefined) this.#phase = 'done';
      return rewriter.root;
    });
  }
}

function recordOf(tx: TransactionScope, name: string): TreeRecord | undefined {
  try {
    return tx.recordOf(name);
  } catch (error) {
    // Its logged changes cannot be replayed: its nodes stay as they are.
    if (!isVarveError(error, 'VARVE_CORRUPT')) throw error;
    return undefined;
  }
}

function sharingOf(edit: Edit): SharingEdit {
  return {
    extra: (id) => edit.extra(id),
    share: (id) => edit.share(id),
    pushLong: (value) => edit.pushLong(value),
    store: (ref, shape) => edit.store(ref, shape),
  };
}
