/**
 * The forest as its store has it: the roots that the embedded header leads to, with the changes
 * that they log replayed in memory.
 *
 * Invariant: it reads one batch of the store and writes nothing. A forest opens with one; a reader
 * beside a writer makes a new one to refresh.
 */

import { corrupt, isVarveError, VarveError } from '../../errors.ts';
import type { BatchId, GrainId } from '../../index.ts';
import { assert } from '../../util/assert.ts';
import {
  decodeForestRoot,
  decodeSealedRoot,
  type ForestRoot,
  type RootLink,
  type SealedRoot,
} from '../journal/forest-root.ts';
import type { FoundJournal } from '../journal/journal.ts';
import { emptyRoot } from '../nodes/node.ts';
import type { NodeStore } from '../nodes/node-store.ts';
import type { ForestContext } from '../trees/forest-context.ts';
import { TreeRecords } from '../trees/tree-records.ts';
import { ForestVersion } from './forest-version.ts';
import { Replay } from './replay.ts';

const noRoot: ForestRoot = {
  catalog: emptyRoot,
  shares: emptyRoot,
  nextSeal: 1,
  pending: [],
  written: [],
  depth: 0,
  earlier: undefined,
  listed: 0,
  changes: [],
};

interface RootFound {
  readonly link: RootLink;
  readonly root: ForestRoot;
}

export class StoredState {
  /** Changes that are in the roots and in no stored node. */
  readonly journal: FoundJournal;
  readonly version: ForestVersion;
  /** Every smaller number may have been used with the vault already. */
  readonly nextSeal: number;
  readonly #nodes: NodeStore;

  /**
   * Reads the source of the context's nodes as of `batch`. Throws `VARVE_NOT_A_FOREST`,
   * `VARVE_VAULT`, `VARVE_UNSUPPORTED_VERSION`, `VARVE_CORRUPT`; beside a writer
   * `VARVE_SNAPSHOT_GONE`.
   */
  constructor(context: ForestContext, batch: BatchId) {
    this.#nodes = context.nodes;
    const chain = this.#readRoots();
    const { catalog, shares, nextSeal, pending } = chain.at(-1)?.root ?? noRoot;
    this.nextSeal = nextSeal;
    const changes = chain.flatMap(({ root }) => root.changes);
    const replay = new Replay(context, { catalog, shares }, changes);
    const { records, stuck } = replay;
    this.journal = {
      stored: { catalog, shares },
      roots: chain.map(({ link }) => link),
      changes: changes.filter(({ tree }) => !stuck.has(tree)),
      garbage: replay.garbage,
      kept: changes.filter(({ tree }) => stuck.has(tree)),
    };
    // The state that these nodes belong to was not written whole: the next commit archives them.
    const garbage = [...pending, ...writtenOf(chain)];
    const roots = { catalog, shares: replay.shares, pending: garbage };
    this.version = new ForestVersion(context, { batch, stuck, roots }, new TreeRecords(records));
  }

  /** The newest root and the earlier ones that it links to, oldest first. None in a new forest. */
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
    const ids = new Set([id]);
    for (let needed = root.depth; needed > 0; needed--) {
      const link = root.earlier;
      assert(link !== undefined, 'a root of depth above 0 has a link');
      const facts = { grainId: link.id };
      const sealed = this.#sealedRoot(link.id);
      if (sealed === undefined) throw corrupt('an earlier root of the forest is missing', facts);
      root = this.#openRoot({ ...sealed, seal: link.seal });
      // Otherwise the links could form a cycle.
      if (root.depth < needed - 1 || ids.has(link.id))
        throw corrupt('the roots of the forest do not form a chain', facts);
      ids.add(link.id);
      chain.push({ link, root });
    }
    return chain.reverse();
  }

  /** Undefined if the value is not a forest's root. */
  #sealedRoot(id: GrainId): SealedRoot | undefined {
    const bytes = this.#nodes.source.get(id);
    return bytes === undefined ? undefined : decodeSealedRoot(bytes);
  }

  /**
   * Throws `VARVE_CORRUPT`; with a vault `VARVE_VAULT`, which may not notice that its key is wrong.
   */
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

/** The written nodes that no stored node reaches, as the newest root of the chain says. */
function writtenOf(chain: readonly RootFound[]): GrainId[] {
  const listed = chain.at(-1)?.root.listed ?? 0;
  return chain.slice(-1 - listed).flatMap(({ root }) => root.written);
}

/** Throws `VARVE_VAULT` if the forest was made with another vault than the one given now. */
function checkVault(made: string, asked: string): void {
  if (made === asked) return;
  const name = (vault: string): string => (vault === '' ? 'without a vault' : `with '${vault}'`);
  const message = `the forest was made ${name(made)} and cannot be opened ${name(asked)}`;
  throw new VarveError('VARVE_VAULT', message, { expected: made, actual: asked });
}

function wrongKey(vault: string, cause: unknown): VarveError {
  const message = `the forest's root that the vault '${vault}' opens is no root: check its key`;
  return new VarveError('VARVE_VAULT', message, { cause });
}
