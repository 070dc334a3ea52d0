/**
 * The forest as its store has it: the roots that the embedded header leads to, and the changes in
 * them applied in memory.
 *
 * Invariant: it reads one batch of the store and writes nothing. A forest opens with it, and a
 * reader beside a writer moves on with another one.
 */

import { corrupt, isVarveError, VarveError } from '../../errors.ts';
import type { BatchId, GrainId } from '../../index.ts';
import {
  decodeForestRoot,
  decodeSealedRoot,
  type ForestRoot,
  type RootLink,
  type SealedRoot,
} from '../journal/forest-root.ts';
import type { FoundJournal } from '../journal/journal.ts';
import { emptyRoot, type TreeShape } from '../nodes/node.ts';
import type { NodeStore } from '../nodes/node-store.ts';
import { findRecord } from '../trees/catalog.ts';
import type { ForestLimits } from '../trees/tree-record.ts';
import { TreeRecords } from '../trees/tree-records.ts';
import { ForestVersion } from './forest-version.ts';
import { bytesOf } from './group.ts';
import { Replay } from './replay.ts';

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

/** How the forest lays out its own trees. */
export interface StateShapes {
  readonly limits: ForestLimits;
  readonly catalogShape: TreeShape;
  readonly sharesShape: TreeShape;
  nextOwner(): number;
}

export class StoredState {
  /** What is in the roots and in no node yet. */
  readonly journal: FoundJournal;
  readonly version: ForestVersion;
  /** Every number below it may have been given to the vault. */
  readonly nextSeal: number;
  readonly #nodes: NodeStore;

  /**
   * Reads what `nodes` reads from, as of `batch`. Throws `VARVE_NOT_A_FOREST`, `VARVE_VAULT`,
   * `VARVE_UNSUPPORTED_VERSION`, `VARVE_CORRUPT`, beside a writer `VARVE_SNAPSHOT_GONE`.
   */
  constructor(nodes: NodeStore, batch: BatchId, shapes: StateShapes) {
    this.#nodes = nodes;
    const { limits, catalogShape: shape, sharesShape } = shapes;
    const chain = this.#readRoots();
    const newest = chain.at(-1)?.root ?? noRoot;
    const { catalog, shares, nextSeal, pending } = newest;
    this.nextSeal = nextSeal;
    const changes = chain.flatMap(({ root }) => root.changes);
    const record = (name: string) => findRecord(nodes, shape, catalog, name);
    const nextOwner = () => shapes.nextOwner();
    const replay = new Replay({ nodes, limits, sharesShape, record, nextOwner }, newest, changes);
    const { records, stuck, gone, goneBytes, goneValues } = replay;
    this.journal = {
      stored: { catalog, shares },
      roots: chain.map(({ link }) => link),
      changes: changes.filter(({ tree }) => !stuck.has(tree)),
      gone,
      goneBytes,
      goneValues,
      goneValueBytes: bytesOf(nodes.source, goneValues),
      kept: changes.filter(({ tree }) => stuck.has(tree)),
    };
    const roots = { catalog, shares: replay.shares, pending };
    const of = { nodes, shape, batch, stuck };
    this.version = new ForestVersion(of, roots, new TreeRecords(records));
  }

  /** The newest root and those before it that are needed, oldest first. None in a new forest. */
  #readRoots(): RootFound[] {
    const id = this.#nodes.source.embeddedHeader;
    if (id === undefined) return [];
    const found = this.#sealedRoot(id);
    if (found === undefined) {
      const message = "the store's embedded header is not a forest's root";
      throw new VarveError('VARVE_NOT_A_FOREST', message, { grainId: id });
    }
    checkVault(found.vault, this.#nodes.vault?.name ?? '');
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
    const bytes = this.#nodes.source.get(id);
    return bytes === undefined ? undefined : decodeSealedRoot(bytes);
  }

  /** Throws `VARVE_CORRUPT`, with a vault `VARVE_VAULT`: its key may be wrong unnoticed. */
  #openRoot({ seal, body }: SealedRoot): ForestRoot {
    const bytes = this.#nodes.open('forest', seal, body);
    const { vault } = this.#nodes;
    try {
      return decodeForestRoot(bytes);
    } catch (cause) {
      if (vault === undefined || !isVarveError(cause, 'VARVE_CORRUPT')) throw cause;
      throw wrongKey(vault.name, cause);
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
