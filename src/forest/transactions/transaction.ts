/**
 * One transaction: its open trees, and the methods that its body can call.
 *
 * Invariant: its changes are its own until it has ended well; a body that throws leaves nothing. An
 * error in the middle of a change breaks the transaction: whatever the body does then, it fails
 * with that error. It commits nothing (`GroupCommits` does).
 */

import { VarveError } from '../../errors.ts';
import type { GrainId, Session } from '../../index.ts';
import type { ForestSession, Transaction, Tree, WritableTree } from '../contract.ts';
import { openValue } from '../nodes/pushed-value.ts';
import type { Hold } from '../reads/range-iterators.ts';
import { takeSession } from '../sessions/forest-session.ts';
import { adoptedValue, type ForestSessionWork } from '../sessions/session-work.ts';
import { nameKey } from '../trees/catalog.ts';
import { Edit, type EditStart } from '../trees/edit.ts';
import type { ForestContext } from '../trees/forest-context.ts';
import type { Rewrite } from '../trees/tree-editor.ts';
import { historyShapeOf, shapeOf, type TreeRecord } from '../trees/tree-record.ts';
import type { TreeSchema } from '../trees/tree-schema.ts';
import { endBody, type RunningBody } from './body-context.ts';
import { OpenTree, type TreePart } from './open-tree.ts';
import { type WritingScope, WritingTree } from './writing-tree.ts';

/** The state that a transaction starts from. */
export interface StartingState extends EditStart {
  record(name: string): TreeRecord | undefined;
  /** A transaction pushed the value, and it is not durable yet. */
  isPushed(id: GrainId): boolean;
  /** An earlier transaction archives it, in a commit that is not durable yet. */
  isArchived(id: GrainId): boolean;
  /** Must be called before nodes are stored that earlier transactions may have left in memory. */
  beforeStoring(): void;
}

export class TransactionScope implements Transaction, WritingScope {
  readonly edit: Edit;
  readonly archives = new Set<GrainId>();
  /** The commit writes all nodes, and archives all that older ones have replaced. */
  needsNodes = false;
  catalogRewrite: Rewrite | undefined;
  /** User values that it pushed or adopted. */
  readonly pushed = new Set<GrainId>();
  /** Sessions that it adopted. Their values are in no group's session until the commit. */
  readonly adopted: ForestSessionWork[] = [];
  /** Claims the user values that this transaction archives. */
  claim: Session | undefined;
  /** Identifies the running body. */
  readonly body: RunningBody = { hasEnded: false, mayAwait: false };
  readonly #context: ForestContext;
  readonly #start: StartingState;
  readonly #trees = new Map<string, OpenTree>();
  #broken: Error | undefined;

  constructor(context: ForestContext, start: StartingState) {
    this.#context = context;
    this.#start = start;
    this.edit = new Edit(context, start);
  }

  /** From now on the transaction can only fail, with this error. */
  breakWith(error: Error): void {
    this.#broken ??= error;
  }

  get broken(): Error | undefined {
    return this.#broken;
  }

  check(): void {
    if (this.body.hasEnded) {
      throw new VarveError('VARVE_TRANSACTION_ENDED', 'the transaction has ended');
    }
    if (this.#broken !== undefined) throw this.#broken;
  }

  /**
   * Runs a change of the trees. An error leaves them half changed, so it breaks the transaction.
   */
  change<T>(run: () => T): T {
    this.check();
    try {
      this.edit.beginChange();
      return run();
    } catch (error) {
      this.breakWith(error as Error);
      throw error;
    }
  }

  end(): void {
    endBody(this.body);
  }

  /** Until it is released, nothing that a read of this transaction reaches is changed or freed. */
  hold(): Hold {
    const end = this.edit.beginRead();
    let held = true;
    return {
      check: () => this.check(),
      release() {
        if (held) end();
        held = false;
      },
    };
  }

  tree<K, V, R>(tree: Tree<K, V, R>): WritableTree<K, V, R> {
    this.check();
    const schema = this.#context.handles.schemaOf('Transaction.tree', tree);
    return this.writing(schema as unknown as TreeSchema<K, V, R>);
  }

  writing<K, V, R>(schema: TreeSchema<K, V, R>): WritingTree<K, V, R> {
    const open = this.#open(schema.name);
    open.check(schema);
    return new WritingTree(this, schema, open);
  }

  /** Puts an entry; a failure leaves the transaction as it was. See `ForestWriter.put`. */
  putPlain<K, V, R>(schema: TreeSchema<K, V, R>, key: Uint8Array, value: Uint8Array): void {
    const open = this.#open(schema.name);
    open.check(schema);
    open.put(schema, key, value);
  }

  #open(name: string): OpenTree {
    const known = this.#trees.get(name);
    if (known !== undefined) return known;
    const open = new OpenTree(name, this.edit, this.#context.limits, this.#start.record(name));
    this.#trees.set(name, open);
    return open;
  }

  fork(from: string, to: string): void {
    this.check();
    nameKey(from);
    nameKey(to);
    const target = this.#open(to);
    if (target.record !== undefined) {
      throw new VarveError('VARVE_EXISTS', `the tree '${to}' exists already`);
    }
    const source = this.#open(from);
    if (source.record === undefined) return;
    this.#start.beforeStoring();
    this.change(() => {
      source.summarize();
      const { config, main, history } = source.record as TreeRecord;
      const { limits } = this.#context;
      const roots = [
        [main.ref, shapeOf(config, limits)],
        [history.ref, historyShapeOf(config, limits)],
      ] as const;
      for (const [ref, shape] of roots) {
        if (ref === undefined) continue;
        this.edit.store(ref, shape);
        this.edit.shares.add(ref.id);
      }
      target.become(source.record as TreeRecord);
    });
  }

  drop(name: string): void {
    this.check();
    nameKey(name);
    const open = this.#open(name);
    if (open.record === undefined) return;
    this.change(() => open.drop());
  }

  // ── compaction ──

  /** The tree as it is now; undefined if there is none. */
  recordOf(name: string): TreeRecord | undefined {
    return this.#open(name).record;
  }

  /** Stores nodes of a tree anew; see `OpenTree.rewrite`. */
  rewrite(name: string, part: TreePart, rewrite: Rewrite): void {
    // Nodes that trees share are pushed at once.
    if (this.edit.sharesRoot.count > 0) this.#start.beforeStoring();
    const asked = this.#context.handles.askedFor(name);
    this.change(() => this.#open(name).rewrite(part, rewrite, asked));
  }

  /** Stores nodes of the shares anew. */
  rewriteShares(rewrite: Rewrite): void {
    const { ref } = this.edit.sharesRoot;
    this.change(() => this.edit.shares.rewrite(rewrite));
    if (this.edit.sharesRoot.ref !== ref) this.needsNodes = true;
  }

  /** The commit stores nodes of the catalog anew. */
  rewriteCatalog(rewrite: Rewrite): void {
    this.catalogRewrite = rewrite;
    this.needsNodes = true;
  }

  /** Reducer values of changed nodes can be computed, or there are none. */
  knowsReducer(name: string): boolean {
    const reducer = this.#start.record(name)?.config.reducer ?? '';
    return reducer === '' || this.#context.handles.askedFor(name)?.config.reducer === reducer;
  }

  push(data: Uint8Array): GrainId {
    this.check();
    const id = this.edit.push(data);
    this.pushed.add(id);
    return id;
  }

  /** Finds values of earlier transactions too, durable or not. */
  get(id: GrainId): Uint8Array<ArrayBuffer> | undefined {
    this.check();
    const { nodes } = this.edit;
    const stored = nodes.source.get(id);
    if (stored !== undefined) return openValue(nodes, id, stored);
    // A value that it has pushed and archived is withdrawn, as in a session of the store.
    const isWithdrawn = this.archives.has(id) && this.pushed.has(id);
    if (isWithdrawn) return undefined;
    return openValue(nodes, id, adoptedValue(this.adopted, id) ?? nodes.pushed(id));
  }

  archive(id: GrainId): void {
    this.check();
    if (this.archives.has(id) || this.#start.isArchived(id)) {
      const message = 'the value is archived already';
      throw new VarveError('VARVE_ALREADY_ARCHIVED', message, { grainId: id });
    }
    // A value that is not durable yet cannot be claimed, by this session or by another.
    if (!this.pushed.has(id) && !this.#start.isPushed(id)) {
      this.claim ??= this.#context.store.session();
      this.claim.archive(id);
    }
    this.archives.add(id);
  }

  adopt(session: ForestSession): void {
    this.check();
    const work = takeSession('Transaction.adopt', session, this.edit.nodes);
    this.adopted.push(work);
    for (const id of work.pushed) this.pushed.add(id);
  }

  /** Its body or its commit has failed: nothing of it happens. */
  giveUp(): void {
    this.claim?.abandon();
    for (const work of this.adopted) work.giveUp();
  }

  /** The trees that it has changed, in their final state; a dropped one has no record. */
  changed(): readonly OpenTree[] {
    const changed: OpenTree[] = [];
    for (const open of this.#trees.values()) {
      if (!open.changed && !open.isRewritten) continue;
      open.summarize();
      changed.push(open);
    }
    return changed;
  }
}
