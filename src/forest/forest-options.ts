/**
 * The options of a forest, and their check.
 *
 * Invariant: options that pass have the right types and ranges; others are `VARVE_INVALID_ARGUMENT`
 * before a file is touched. `coreOptions` adds the defaults.
 */

import type { Vault } from '../codecs/vault.ts';
import { invalidArgument } from '../errors.ts';
import type { StoreOptions } from '../index.ts';
import { checkNames, type NamesOf } from '../util/options.ts';
import { Retention } from './commits/retention.ts';
import type { CoreOptions } from './forest-core.ts';

export interface ForestOptions {
  /**
   * Target size of a node, bytes: 500 to 65,536. The default is the measured best: 4,064, or 8,160
   * if all keys have one length and all values too.
   */
  nodeBytes?: number | undefined;
  /**
   * The part of `cacheBytes` that decoded nodes may take, bytes; more counts as `cacheBytes`.
   * Default: shared with blocks and marks as use demands. Half of it, or 2 MiB if that is more, may
   * be nodes of the journal, which are not stored yet.
   */
  nodeCacheBytes?: number | undefined;
  /**
   * Upper bound, bytes, of the changes that roots log while their nodes stay in memory; lower in a
   * small forest. Later commits write these nodes bit by bit. An open after a crash replays the
   * changes. Default 4 MiB; 0: every commit writes its nodes.
   */
  journalBytes?: number | undefined;
  /**
   * How archived nodes are freed: in steps with later commits and at close, as snapshots allow
   * (default), or only by `store.checkpointTo`.
   */
  checkpoint?: 'automatic' | 'manual' | undefined;
  /**
   * Keeps automatic checkpoints this far behind, milliseconds: readers in other processes have that
   * much time. Closing frees nothing younger. Default 0.
   */
  retainMs?: number | undefined;
  /**
   * Called once on each value that the forest stores: encryption, compression. Its name is kept
   * with the forest. Opening with another vault, a missing or an extra one, or with the wrong key
   * rejects with `VARVE_VAULT` and releases the lock.
   */
  vault?: Vault | undefined;
}

/** The sealed tag of a pushed value has a length of 16 bits. */
const overheadBytesMax = 65_000;
const nodeBytesMin = 500;
const nodeBytesMax = 65_536;
const journalBytesDefault = 4 * 1024 * 1024;

export const forestNames: NamesOf<ForestOptions> = {
  nodeBytes: true,
  nodeCacheBytes: true,
  journalBytes: true,
  checkpoint: true,
  retainMs: true,
  vault: true,
};
/** The store checks their values. */
export const storeNames: NamesOf<StoreOptions> = {
  create: true,
  exclusive: true,
  readOnly: true,
  fileSystem: true,
  cacheBytes: true,
  settleBytes: true,
  waitForLockMs: true,
  signal: true,
};

/** Throws `VARVE_INVALID_ARGUMENT`. */
export function checkForestOptions(
  what: string,
  options: ForestOptions,
  known: Readonly<Record<string, true>> = forestNames,
): void {
  checkNames(what, options, known);
  const { nodeBytes, nodeCacheBytes, journalBytes, retainMs, checkpoint, vault } = options;
  if (nodeBytes !== undefined) {
    const isWhole = Number.isSafeInteger(nodeBytes);
    if (!isWhole || nodeBytes < nodeBytesMin || nodeBytes > nodeBytesMax) {
      const expected = `a whole number from ${nodeBytesMin} to ${nodeBytesMax}`;
      throw invalidArgument('nodeBytes', expected, nodeBytes);
    }
  }
  for (const [name, count] of Object.entries({ nodeCacheBytes, journalBytes, retainMs })) {
    if (count === undefined || count === Number.POSITIVE_INFINITY) continue;
    if (!Number.isSafeInteger(count) || count < 0) {
      throw invalidArgument(name, 'a whole number from 0', count);
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
  if (added === undefined) return;
  if (!Number.isSafeInteger(added) || added < 0 || added > overheadBytesMax) {
    const expected = `a whole number up to ${overheadBytesMax}`;
    throw invalidArgument('vault: overheadBytes', expected, added);
  }
}

/** Fills in the defaults. */
export function coreOptions(options: ForestOptions): CoreOptions {
  return {
    nodeBytes: options.nodeBytes,
    nodeCacheBytes: options.nodeCacheBytes ?? Number.POSITIVE_INFINITY,
    journalBytes: options.journalBytes ?? journalBytesDefault,
    automatic: options.checkpoint !== 'manual',
    retention: new Retention(options.checkpoint === 'manual' ? 0 : (options.retainMs ?? 0)),
    vault: options.vault,
  };
}
