/**
 * The options of a store, and their check.
 *
 * Invariant: checked options are complete and of the right types. Anything else, also an unknown
 * name, is `VARVE_INVALID_ARGUMENT` before a file is touched.
 */

import { invalidArgument } from '../../errors.ts';
import type { FileSystem } from '../../io/file-system.ts';
import { nodeFileSystem } from '../../io/node.ts';
import { pathOfFileUrl } from '../../util/file-url.ts';
import { MemoryBudget } from '../../util/memory-budget.ts';
import { checkFlag, checkNames, checkSignal, type NamesOf } from '../../util/options.ts';
import { defaultLimits } from '../grains/atlas.ts';
import type { OpenRequest, StoreLimits } from './open-request.ts';

export interface StoreOptions {
  /**
   * Create the file, and missing folders above it, if it does not exist. Default true. With false:
   * `VARVE_NOT_FOUND`.
   */
  create?: boolean | undefined;
  /** Refuse with `VARVE_EXISTS` if the file exists. Default false. */
  exclusive?: boolean | undefined;
  /**
   * Open without the writer's lock and without any write; a store that was not closed is recovered
   * in memory. Beside a live writer it sees the batch that it opened at, until `refresh`. If the
   * writer has freed a value since, reading it throws `VARVE_SNAPSHOT_GONE`; other bytes are never
   * returned instead. Until the writer checkpoints past that batch, every value of it can be read.
   * The only exception: if nothing is read while the writer allocates and frees 130,000 values,
   * values in parts of the file that were not read before may count as gone. Default false.
   */
  readOnly?: boolean | undefined;
  /** The file system with the file. Default: `nodeFileSystem`. */
  fileSystem?: FileSystem | undefined;
  /**
   * Upper bound, bytes, of the memory that caches share as use demands: blocks of values, marks,
   * and nodes of a forest. `Store.statistics` says how it is used. Default 64 MiB. With 0 only
   * marks of up to 4 MiB stay, and what cannot be evicted.
   */
  cacheBytes?: number | undefined;
  /**
   * Metadata is settled after this many bytes of commit log. Default: 1 MiB, or 1/32 of the file if
   * that is less, but at least 64 KiB. Small values are for tests.
   */
  settleBytes?: number | undefined;
  /**
   * How long to wait for another writer's lock before rejecting with `VARVE_LOCKED`, milliseconds.
   * The lock is tried again after pauses that grow to 100 ms, and a last time at the end. `signal`
   * ends the wait. A reader needs no lock. Default 0; `Infinity` waits until `signal` aborts.
   */
  waitForLockMs?: number | undefined;
  signal?: AbortSignal | undefined;
}

const names: NamesOf<StoreOptions> = {
  create: true,
  exclusive: true,
  readOnly: true,
  fileSystem: true,
  cacheBytes: true,
  settleBytes: true,
  waitForLockMs: true,
  signal: true,
};

const mebibyte = 1024 * 1024;

function whole<Otherwise extends number | undefined>(
  what: string,
  value: unknown,
  range: { min: number; otherwise: Otherwise },
): number | Otherwise {
  if (value === undefined) return range.otherwise;
  if (typeof value !== 'number' || !Number.isSafeInteger(value) || value < range.min) {
    throw invalidArgument(what, `an integer from ${range.min}`, value);
  }
  return value;
}

function waitMs(what: string, value: unknown): number {
  if (value === undefined) return 0;
  if (value === Number.POSITIVE_INFINITY) return value;
  return whole(what, value, { min: 0, otherwise: 0 });
}

/** Throws `VARVE_INVALID_ARGUMENT` for anything but a file system. */
export function fileSystemOf(value: unknown): FileSystem {
  if (value === undefined) return nodeFileSystem;
  if (typeof value === 'object' && value !== null && 'open' in value) return value as FileSystem;
  throw invalidArgument('fileSystem', 'a FileSystem', value);
}

/** The path of a file, also from its URL. Throws `VARVE_INVALID_ARGUMENT`. */
export function checkPath(value: unknown): string {
  const path = typeof value === 'string' ? value : pathOfFileUrl(value);
  if (path === undefined || path === '' || path.includes('\0')) {
    throw invalidArgument('path', 'the path of a file, or its file: URL', value);
  }
  return path;
}

/** Throws `VARVE_INVALID_ARGUMENT`. */
export function checkOptions(
  path: unknown,
  options: StoreOptions,
  limits: StoreLimits = defaultLimits,
): OpenRequest {
  const file = checkPath(path);
  checkNames('Store.open', options, names);
  return {
    path: file,
    create: checkFlag('create', options.create, true),
    exclusive: checkFlag('exclusive', options.exclusive, false),
    readOnly: checkFlag('readOnly', options.readOnly, false),
    fileSystem: fileSystemOf(options.fileSystem),
    budget: new MemoryBudget(
      whole('cacheBytes', options.cacheBytes, { min: 0, otherwise: 64 * mebibyte }),
    ),
    settleBytes: whole('settleBytes', options.settleBytes, { min: 1, otherwise: undefined }),
    waitForLockMs: waitMs('waitForLockMs', options.waitForLockMs),
    limits,
    signal: checkSignal(options.signal),
  };
}
