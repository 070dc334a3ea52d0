/**
 * The steps of a history of a forest, as plain data.
 *
 * Invariant: a step says which transactions begin together, which is under way while others are
 * committed, and what each changes; it runs nothing.
 */

import type { Change } from '../../support/oracles/forest-model.ts';

/** Beside what a model can do: values of the user's own, each named by the tree `blobs`. */
export type ForestChange =
  | Change
  | {
      readonly do: 'blob';
      readonly tree: 'blobs';
      readonly key: number;
      readonly value: number;
    }
  | { readonly do: 'unblob'; readonly tree: 'blobs'; readonly key: number }
  /** As `blob`, streamed before the transaction by a session that it adopts. */
  | {
      readonly do: 'upload';
      readonly tree: 'blobs';
      readonly key: number;
      readonly value: number;
    };

export type Changes = readonly ForestChange[];

/** A body that waits, while those before it are committed, and others behind it. */
export interface UnderWay {
  readonly step: 'under way';
  readonly before: readonly Changes[];
  readonly first: Changes;
  /** Until those before it have been told, or one turn. */
  readonly waits: boolean;
  readonly rest: Changes;
  readonly ends: 'well' | 'throws';
  readonly after: readonly Changes[];
}

export type ForestStep =
  | { readonly step: 'together'; readonly parts: readonly Changes[] }
  | { readonly step: 'sync'; readonly changes: Changes }
  | { readonly step: 'thrown'; readonly changes: Changes }
  | UnderWay
  /** A session that no transaction adopts; `isOpen`: nothing abandons it either. */
  | { readonly step: 'left upload'; readonly value: number; readonly isOpen: boolean }
  | { readonly step: 'snapshot' }
  | { readonly step: 'release' }
  | { readonly step: 'reopen' };

export interface ForestHistory {
  readonly name: string;
  readonly steps: readonly ForestStep[];
}

/** Blobs of this seed or a larger one have a map of the store to themselves. */
export const longBlobs = 1000;
/** A few are written to their grains while they are pushed. */
export const longUploads = 5000;

export function blobLength(seed: number): number {
  if (seed >= longUploads) return 530_000 + seed;
  return seed < longBlobs ? 20 + ((seed * 97) % 2300) : seed * 97;
}
