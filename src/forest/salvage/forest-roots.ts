/**
 * The roots of a forest that are left: the newest one, and the earlier ones that it needs.
 *
 * Invariant: without the value that the embedded header names, the newest root is one that no other
 * root links to: the one with the highest depth, and of these with the highest seal number. What it
 * cannot reach is counted as lost.
 */

import { isVarveError, VarveError } from '../../errors.ts';
import type { GrainId } from '../../index.ts';
import type { RunningOperation } from '../../util/operations/running-operation.ts';
import { decodeForestRoot, decodeSealedRoot, type ForestRoot } from '../journal/forest-root.ts';
import type { NodeStore } from '../nodes/node-store.ts';

export interface RootLeft {
  readonly id: GrainId;
  readonly root: ForestRoot;
}

/** Newest first. */
export interface RootsLeft {
  readonly chain: readonly RootLeft[];
  /** Roots whose changes are lost, as far as is known; the newest one counts if it is. */
  readonly lost: number;
}

/** Rejects with `VARVE_NOT_A_FOREST`, `VARVE_VAULT`. */
export async function rootsLeft(
  nodes: NodeStore,
  ids: readonly Iterable<GrainId>[],
  operation: RunningOperation,
): Promise<RootsLeft> {
  const { embeddedHeader } = nodes.source;
  const named = embeddedHeader === undefined ? undefined : rootAt(nodes, embeddedHeader);
  const newest = named ?? (await newestOf(nodes, ids, operation));
  if (newest === undefined) {
    throw new VarveError('VARVE_NOT_A_FOREST', 'no root of a forest is left in the file');
  }
  const chain = [newest];
  let { root } = newest;
  for (let needed = root.depth; needed > 0; needed--) {
    const link = root.earlier;
    const earlier = link === undefined ? undefined : rootAt(nodes, link.id);
    if (earlier === undefined || chain.some(({ id }) => id === earlier.id)) {
      return { chain, lost: needed + (named === undefined ? 1 : 0) };
    }
    chain.push(earlier);
    root = earlier.root;
  }
  return { chain, lost: named === undefined ? 1 : 0 };
}

/** Undefined if the value is missing or is no root. */
function rootAt(nodes: NodeStore, id: GrainId): RootLeft | undefined {
  const bytes = nodes.source.get(id);
  const sealed = bytes === undefined ? undefined : decodeSealedRoot(bytes);
  if (sealed === undefined) return undefined;
  const asked = nodes.vault?.name ?? '';
  if (sealed.vault !== asked) {
    const message = `the forest was made with the vault '${sealed.vault}', not '${asked}'`;
    throw new VarveError('VARVE_VAULT', message, { expected: sealed.vault, actual: asked });
  }
  try {
    const body = nodes.open('forest', sealed.seal, sealed.body);
    return { id, root: decodeForestRoot(body) };
  } catch (error) {
    if (isVarveError(error, 'VARVE_CORRUPT')) return undefined;
    throw error;
  }
}

async function newestOf(
  nodes: NodeStore,
  ids: readonly Iterable<GrainId>[],
  operation: RunningOperation,
): Promise<RootLeft | undefined> {
  const roots: RootLeft[] = [];
  const linked = new Set<GrainId>();
  for (const list of ids) {
    for (const id of list) {
      await operation.breathe();
      const found = rootAt(nodes, id);
      if (found === undefined) continue;
      roots.push(found);
      if (found.root.earlier !== undefined) linked.add(found.root.earlier.id);
    }
  }
  const last = roots.filter(({ id }) => !linked.has(id));
  const order = (one: RootLeft, other: RootLeft): number =>
    other.root.depth - one.root.depth || other.root.nextSeal - one.root.nextSeal;
  return last.sort(order)[0];
}
