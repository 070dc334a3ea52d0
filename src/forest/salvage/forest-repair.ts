/**
 * Repairs the forest of a salvaged store: catalog, trees, histories, shares, journal, root.
 *
 * Invariants:
 * - It is one session of the store. Before its commit the store is as the salvage left it.
 * - Every tree that the catalog left names is there afterwards, without what is lost. What is left
 *   of the journal is in the new root.
 * - Replaced nodes, earlier roots and pending values are archived. Other values stay: the trees may
 *   name them in the user's own encoding.
 */

import { isVarveError, VarveError } from '../../errors.ts';
import type { GrainId, Session, Store } from '../../index.ts';
import type { RunningOperation } from '../../util/operations/running-operation.ts';
import { RootWriter } from '../journal/forest-root.ts';
import { emptyRoot, type Leaf, type TreeRoot, type TreeShape } from '../nodes/node.ts';
import { Summaries } from '../reads/summaries.ts';
import { catalogEntries, nameKey } from '../trees/catalog.ts';
import { storeNodes } from '../trees/edit.ts';
import type { ForestContext } from '../trees/forest-context.ts';
import { Shares } from '../trees/shares.ts';
import { TreeEditor, unsharedEdit } from '../trees/tree-editor.ts';
import {
  decodeRecord,
  encodeRecord,
  historyShapeOf,
  shapeOf,
  type TreeRecord,
  treeOf,
} from '../trees/tree-record.ts';
import { checkConfig, type TreeOptions, TreeSchema } from '../trees/tree-schema.ts';
import type { RootsLeft } from './forest-roots.ts';
import { repairedChanges } from './journal-repair.ts';
import { type OpenHole, orphansFor } from './orphan-leaves.ts';
import {
  type FoundLeaf,
  type Hole,
  type LostKeys,
  type Remade,
  type RepairParts,
  TreeRepair,
} from './tree-repair.ts';

/** A tree after the repair. */
export interface RepairedTree {
  readonly name: string;
  /** Entries that are left, without the changes that the journal still has. */
  readonly entries: number;
  /** Keys of the tree of which entries are lost. */
  readonly lost: readonly LostKeys[];
  /** The same of the history: each key is a sequence number of 8 bytes, a byte, and a key. */
  readonly lostHistory: readonly LostKeys[];
}

export interface RepairReport {
  readonly trees: readonly RepairedTree[];
  /** Names, in UTF-8, between which trees are lost. */
  readonly lostTrees: readonly LostKeys[];
  readonly lostChanges: number;
}

/** The options of trees by name, for those that have a reducer. */
export type TreesByName = Readonly<Record<string, TreeOptions<unknown, unknown, unknown>>>;

type AnySchema = TreeSchema<unknown, unknown, unknown>;

/** A tree of the catalog, repaired in memory. */
interface Mended {
  readonly name: string;
  readonly record: TreeRecord;
  readonly main: TreeRoot;
  readonly history: TreeRoot;
  readonly lost: readonly LostKeys[];
  readonly lostHistory: readonly LostKeys[];
}

/** All trees, repaired in memory. */
interface Pass {
  readonly catalog: TreeRoot;
  readonly lostTrees: readonly LostKeys[];
  readonly trees: readonly Mended[];
  readonly holes: readonly OpenHole[];
  readonly made: ReadonlyMap<GrainId, Remade>;
  readonly replaced: ReadonlySet<GrainId>;
  /** References to each node and long value; empty unless they were counted. */
  readonly visits: ReadonlyMap<GrainId, number>;
}

export class ForestRepair {
  readonly #context: ForestContext;
  readonly #roots: RootsLeft;
  readonly #ids: Iterable<GrainId>;
  readonly #trees: TreesByName;
  readonly #operation: RunningOperation;
  #visited = 0;

  constructor(
    context: ForestContext,
    roots: RootsLeft,
    {
      ids,
      trees,
      operation,
    }: {
      /** Every value that the marks or the log of the file listed. */
      readonly ids: Iterable<GrainId>;
      readonly trees: TreesByName;
      readonly operation: RunningOperation;
    },
  ) {
    this.#context = context;
    this.#roots = roots;
    this.#ids = ids;
    this.#trees = trees;
    this.#operation = operation;
  }

  get #store(): Store {
    return this.#context.store;
  }

  /** Rejects with `VARVE_TREE_MISMATCH`, and as `Session.commit`. */
  async run(): Promise<RepairReport> {
    const { shares } = this.#newest;
    const isShared = shares.count > 0;
    const first = await this.#pass(new Map(), isShared);
    const pass = first.holes.length === 0 ? first : await this.#passWithOrphans(first, isShared);
    return await this.#write(pass);
  }

  get #newest() {
    const [newest] = this.#roots.chain;
    if (newest === undefined) throw new VarveError('VARVE_NOT_A_FOREST', 'no root is left');
    return newest.root;
  }

  /** The roots, and what no tree reaches: pending values, nodes of a state that was not named. */
  get #unreached(): GrainId[] {
    const { chain } = this.#roots;
    const { pending, listed } = this.#newest;
    // Lists of earlier roots do not count any more.
    const written = chain.slice(0, 1 + listed).flatMap(({ root }) => root.written);
    return [...chain.map(({ id }) => id), ...pending, ...written];
  }

  /** The same again, with leaves in the place of lost nodes. */
  async #passWithOrphans(first: Pass, isShared: boolean): Promise<Pass> {
    if (this.#context.nodes.vault !== undefined) return first;
    const { visits } = await this.#pass(new Map(), true);
    const known = new Set<GrainId>();
    for (const id of this.#unreached) known.add(id);
    for await (const id of this.#idsOf(this.#newest.shares, this.#context.sharesShape))
      known.add(id);
    const orphans = function* (ids: Iterable<GrainId>): Generator<GrainId> {
      for (const id of ids) if (!visits.has(id) && !known.has(id)) yield id;
    };
    const found = await orphansFor(first.holes, orphans(this.#ids), this.#store, this.#operation);
    const byId = new Map([...found].map(([hole, children]) => [hole.id, children]));
    return found.size === 0 ? first : await this.#pass(byId, isShared);
  }

  /** Repairs everything in memory. `counts`: references are counted. */
  async #pass(leaves: ReadonlyMap<GrainId, readonly FoundLeaf[]>, counts: boolean): Promise<Pass> {
    const { nodes, catalogShape } = this.#context;
    const holes: OpenHole[] = [];
    const replaced = new Set<GrainId>();
    const visits = new Map<GrainId, number>();
    const made = new Map<GrainId, Remade>();
    const partsFor = (accepts: OpenHole['accepts']): RepairParts => ({
      nodes,
      operation: this.#operation,
      leavesFor: (hole: Hole) => {
        holes.push({ hole, accepts });
        return leaves.get(hole.id) ?? [];
      },
      visit: (id) => {
        this.#visited += 1;
        const progress = { phase: 'trees', done: this.#visited, total: undefined };
        this.#operation.report({ ...progress, unit: 'nodes' });
        if (!counts) return true;
        const before = visits.get(id) ?? 0;
        visits.set(id, before + 1);
        return before === 0;
      },
      replaced: (id) => replaced.add(id),
    });
    const repair = new TreeRepair(partsFor(isOfCatalog), catalogShape, made);
    const catalog = await repair.repair(this.#newest.catalog);
    const parts = partsFor((leaf) => !isOfCatalog(leaf));
    const trees: Mended[] = [];
    for (const { name, record } of catalogEntries(nodes, catalogShape, catalog)) {
      if (treeOf(record) !== undefined) trees.push(await this.#tree(name, record, parts, made));
    }
    return { catalog, lostTrees: repair.lost, trees, holes, made, replaced, visits };
  }

  async #tree(
    name: string,
    record: TreeRecord,
    parts: RepairParts,
    made: Map<GrainId, Remade>,
  ): Promise<Mended> {
    const { config } = record;
    const { limits } = this.#context;
    const entries = new TreeRepair(parts, shapeOf(config, limits), made);
    const main = await entries.repair(record.main);
    const changes = new TreeRepair(parts, historyShapeOf(config, limits), made);
    const history = await changes.repair(record.history);
    const { lost } = entries;
    return { name, record, main, history, lost, lostHistory: changes.lost };
  }

  async #write(pass: Pass): Promise<RepairReport> {
    const { nodes, limits } = this.#context;
    const store = this.#store;
    const session = store.session();
    const gone = new Set(pass.replaced);
    for (const { name, record, main, history } of pass.trees) {
      if (main === record.main && history === record.history) continue;
      this.#summarize(name, record, main);
      this.#push(session, main, shapeOf(record.config, limits));
      this.#push(session, history, historyShapeOf(record.config, limits));
    }
    const catalog = this.#catalog(pass, gone);
    this.#push(session, catalog, this.#context.catalogShape);
    const shares = await this.#shares(pass, gone);
    this.#push(session, shares, this.#context.sharesShape);
    const chain = [...this.#roots.chain].reverse();
    const logged = repairedChanges(
      nodes,
      chain.flatMap(({ root }) => root.changes),
      (name) => {
        const tree = pass.trees.find((one) => one.name === name);
        if (tree === undefined || tree.record.config.reducer !== '') return undefined;
        return { shape: shapeOf(tree.record.config, limits), main: tree.main };
      },
    );
    const seal = nodes.takeSeal();
    const nothing = { pending: [], written: [], depth: 0, earlier: undefined, listed: 0 };
    const { changes } = logged;
    const root = { catalog, shares, nextSeal: nodes.nextSeal, ...nothing, changes };
    const id = session.push(new RootWriter().encode(nodes, root, seal));
    session.setEmbeddedHeader(id);
    for (const one of this.#unreached) gone.add(one);
    for (const one of gone) if (store.has(one)) session.archive(one);
    await store.checkpointTo(await session.commit());
    return {
      trees: pass.trees.map(({ name, main, lost, lostHistory }) => {
        return { name, entries: main.count, lost, lostHistory };
      }),
      lostTrees: pass.lostTrees,
      lostChanges: logged.dropped,
    };
  }

  #push(session: Session, { ref }: TreeRoot, shape: TreeShape): void {
    if (ref === undefined || ref.stored) return;
    for (const _ of storeNodes(this.#context.nodes, session, ref, shape));
  }

  /** Computes the reducer's values of nodes that are made again. */
  #summarize(name: string, { config }: TreeRecord, main: TreeRoot): void {
    if (config.reducer === '' || main.ref === undefined || main.ref.stored) return;
    const options = this.#trees[name];
    if (options?.reducer === undefined) {
      const message = `the tree '${name}' is damaged and has the reducer '${config.reducer}'`;
      const words = `${message}: give its options in 'trees'`;
      throw new VarveError('VARVE_TREE_MISMATCH', words, { expected: config.reducer });
    }
    const { nodes, limits } = this.#context;
    const schema = new TreeSchema(name, options, limits);
    checkConfig(name, config, schema.config);
    const { reducer } = schema as AnySchema;
    if (reducer !== undefined)
      new Summaries(nodes, schema as AnySchema, reducer).complete(main.ref);
  }

  /** The catalog with the records of trees that have changed. */
  #catalog({ catalog, trees }: Pass, gone: Set<GrainId>): TreeRoot {
    const { nodes, catalogShape } = this.#context;
    const edit = this.#edit(gone);
    const editor = new TreeEditor(nodes, catalogShape, catalog, edit);
    for (const { name, record, main, history } of trees) {
      if (main === record.main && history === record.history) continue;
      const bytes = encodeRecord({ ...record, main, history });
      editor.put(nameKey(name), bytes, bytes.length * 2);
    }
    return editor.root;
  }

  #edit(gone: Set<GrainId>) {
    return unsharedEdit({ owner: this.#context.nextOwner() }, (ref) => {
      if (ref.stored) gone.add(ref.id);
    });
  }

  /** The shares, counted again. */
  async #shares({ made, visits }: Pass, gone: Set<GrainId>): Promise<TreeRoot> {
    const { nodes, sharesShape } = this.#context;
    const before = this.#newest.shares;
    if (before.count === 0) return emptyRoot;
    for await (const id of this.#idsOf(before, sharesShape)) gone.add(id);
    const shares = new Shares(nodes, sharesShape, emptyRoot, this.#edit(gone));
    const catalogIds = new Set<GrainId>();
    for await (const id of this.#idsOf(this.#newest.catalog, this.#context.catalogShape)) {
      catalogIds.add(id);
    }
    for (const [id, count] of visits) {
      await this.#operation.breathe();
      const instead = made.get(id)?.children ?? [];
      const isGone = made.has(id) || catalogIds.has(id) || !this.#store.has(id);
      const ids = isGone ? instead.map(({ ref }) => ref.id) : [id];
      for (const one of ids) for (let n = 1; n < count; n++) shares.add(one);
    }
    return shares.root;
  }

  /** The ids of all nodes of a tree that can be read. */
  async *#idsOf(root: TreeRoot, shape: TreeShape): AsyncGenerator<GrainId> {
    const refs = root.ref === undefined ? [] : [root.ref];
    for (let ref = refs.pop(); ref !== undefined; ref = refs.pop()) {
      await this.#operation.breathe();
      if (!ref.stored) continue;
      yield ref.id;
      try {
        const node = await this.#context.nodes.loadAsync(ref, shape);
        if (!node.leaf) refs.push(...node.refs);
      } catch (error) {
        if (!isVarveError(error, 'VARVE_CORRUPT') && !isVarveError(error, 'VARVE_VAULT'))
          throw error;
      }
    }
  }
}

/** Every value of a leaf of the catalog is a record of a tree. */
function isOfCatalog({ entries }: Leaf): boolean {
  try {
    for (let at = 0; at < entries.count; at++) decodeRecord(entries.value(at).slice());
    return true;
  } catch (error) {
    if (isVarveError(error, 'VARVE_CORRUPT')) return false;
    throw error;
  }
}
