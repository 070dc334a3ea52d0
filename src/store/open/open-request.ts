/**
 * The request for an opening: `StoreOptions`, checked and complete, and the limits of the Atlas,
 * which tests lower to reach the next structure quickly.
 *
 * Shape only; `store-options.ts` makes it from the caller's options.
 */

import { sectorBytes } from '../../format/layout.ts';
import type { FileSystem } from '../../io/file-system.ts';
import type { MemoryBudget } from '../../util/memory-budget.ts';
import type { AtlasLimits } from '../grains/atlas.ts';

/**
 * A record carries the values of its batch if their grains have up to this many bytes. Mostly one
 * sector of the log has everything then. A second place in the file makes a sync of 100 us 20 us
 * longer. More bytes would cost space: log stays until a checkpoint.
 */
export const carriedBytesMax = sectorBytes;

/** Limits that tests lower. */
export interface StoreLimits extends AtlasLimits {
  /** Bytes of grains of values that a record carries. Default: `carriedBytesMax`. */
  readonly carriedBytes?: number | undefined;
  /** Free pages from which automatic compaction begins. Default: `compactsFrom`. */
  readonly compactsFrom?: FreePart | undefined;
}

/** A part of the file that is free pages. */
export interface FreePart {
  readonly bytes: number;
  /** The share of the file, from 0 to 1. */
  readonly share: number;
}

/** Automatic compaction begins if more than this is free. */
export const compactsFrom: FreePart = { bytes: 1024 * 1024, share: 1 / 3 };

/** `StoreOptions`, checked and complete. */
export interface OpenRequest {
  readonly path: string;
  readonly create: boolean;
  readonly exclusive: boolean;
  readonly readOnly: boolean;
  readonly fileSystem: FileSystem;
  /** The memory of `cacheBytes`, for all caches of the store. */
  readonly budget: MemoryBudget;
  /** Undefined: chosen by the file's size. */
  readonly settleBytes: number | undefined;
  /** 0: no wait. */
  readonly waitForLockMs: number;
  /** Free pages from which automatic compaction begins; undefined: never. */
  readonly compactsFrom: FreePart | undefined;
  readonly limits: StoreLimits;
  readonly signal: AbortSignal | undefined;
}
