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

export type MeasuredCall = 'nothing' | 'get' | 'has' | 'lengthOf' | 'push' | 'commit';

export type Told = Readonly<Record<MeasuredCall, Allocated>> & {
  /** How often something was collected, but for the commits. */
  readonly collections: number;
  /** Of all values read. */
  readonly bytes: number;
};
