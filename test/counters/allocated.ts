/**
 * What `allocating.mjs` says: bytes that calls of a store allocate, each the middle one of several
 * measures once the calls are warm. Types only.
 */

/** Bytes for one call. */
export interface Allocated {
  readonly heap: number;
  /** Of array buffers, which do not lie in the heap. */
  readonly buffers: number;
}

export type MeasuredCall =
  | 'nothing'
  | 'get'
  | 'has'
  | 'lengthOf'
  | 'push'
  | 'commit'
  /** With a subscriber to `varve:commit`, and after it has left. */
  | 'watchedCommit'
  | 'commitAfter';

export type Told = Readonly<Record<MeasuredCall, Allocated>> & {
  /** How often something was collected, but for the commits. */
  readonly collections: number;
  /** Messages that the subscriber got. */
  readonly messages: number;
  /** Of all values read. */
  readonly bytes: number;
};
