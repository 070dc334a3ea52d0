/**
 * A program of transactions in flight together, as plain data that can be written to a file,
 * shortened and run again.
 *
 * Invariant: any list of steps can be run, with any of them left out: what a step names (a held
 * view, a pushed value) is a share of what there is when it runs. Knows nothing of forests.
 */

/** Names of trees. Those of one family share a dialect, so one can be forked into another. */
export const treeNames = ['a0', 'a1', 'a2', 'b0', 'b1', 'b2'] as const;
export const familySize = 3;
/** Keys are whole numbers from 0 up to, not including, this one. */
export const keysMax = 120;

export interface PlanRange {
  readonly gt?: number;
  readonly gte?: number;
  readonly lt?: number;
  readonly lte?: number;
  readonly reverse?: boolean;
  readonly limit?: number;
}

/** One thing that a transaction's body does. `tree` is an index of `treeNames`; shares are 0..1. */
export type Op =
  | { readonly do: 'put'; readonly tree: number; readonly key: number; readonly value: number }
  | {
      readonly do: 'puts';
      readonly tree: number;
      readonly key: number;
      readonly step: number;
      readonly count: number;
      readonly value: number;
    }
  | { readonly do: 'delete'; readonly tree: number; readonly key: number }
  | { readonly do: 'deleteRange'; readonly tree: number; readonly range: PlanRange }
  | { readonly do: 'trim'; readonly tree: number; readonly share: number }
  | { readonly do: 'fork'; readonly from: number; readonly to: number }
  | { readonly do: 'drop'; readonly tree: number }
  | { readonly do: 'push'; readonly length: number }
  | { readonly do: 'archive'; readonly share: number }
  | { readonly do: 'get'; readonly share: number }
  | { readonly do: 'read'; readonly tree: number; readonly range: PlanRange }
  | {
      readonly do: 'iterate';
      readonly tree: number;
      readonly range: PlanRange;
      readonly take: number;
    }
  /** Reads of a body that are awaited; in a synchronous body they are reads like others. */
  | { readonly do: 'getAsync'; readonly tree: number; readonly key: number }
  | { readonly do: 'rangeAsync'; readonly tree: number; readonly range: PlanRange }
  /** Reads the rest of the iterators that this body holds. */
  | { readonly do: 'resume' }
  | { readonly do: 'wait'; readonly turns: number }
  | { readonly do: 'gate'; readonly gate: number }
  /** A write of the same forest that does not go through `tx`. */
  | { readonly do: 'outside'; readonly tree: number; readonly key: number }
  | { readonly do: 'throw' };

/**
 * What fails once. `sync` poisons the store; `write` is a write or a truncate; `view` is whatever
 * else is called while the simulation looks at its views.
 */
export type FaultKind =
  | 'write'
  | 'sync'
  | 'read'
  | 'codec'
  | 'reducer'
  | 'vault'
  | 'listener'
  | 'view';
export const faultKinds: readonly FaultKind[] = [
  'write',
  'sync',
  'read',
  'codec',
  'reducer',
  'vault',
  'listener',
  'view',
];

/** Which unsynced sectors survive a power cut: a share of them, chosen by a seed. */
export interface Fate {
  readonly share: number;
  readonly seed: number;
}

export type IteratorKind = 'range' | 'keys' | 'values' | 'rangeAsync';

type Action =
  /** `catches`: the body goes on after an operation of its own that fails. */
  | { readonly do: 'transaction'; readonly ops: readonly Op[]; readonly catches?: boolean }
  | { readonly do: 'sync'; readonly ops: readonly Op[]; readonly catches?: boolean }
  | { readonly do: 'put'; readonly tree: number; readonly key: number; readonly value: number }
  | { readonly do: 'delete'; readonly tree: number; readonly key: number }
  | {
      readonly do: 'update';
      readonly tree: number;
      readonly key: number;
      readonly to: number | 'null' | 'throw';
    }
  /** So many small transactions, each a commit of its own that puts `width` entries (1). */
  | {
      readonly do: 'burst';
      readonly tree: number;
      readonly count: number;
      readonly width?: number;
    }
  | { readonly do: 'snapshot' }
  | {
      readonly do: 'iterate';
      readonly tree: number;
      readonly kind: IteratorKind;
      readonly range: PlanRange;
      /** Of the newest snapshot that is held; else of the present. */
      readonly held?: boolean;
    }
  | { readonly do: 'guard' }
  /** Lets go of a view or a guard. */
  | { readonly do: 'release'; readonly share: number }
  | { readonly do: 'open'; readonly gate: number }
  /** Another user of the same store. */
  | {
      readonly do: 'session';
      readonly push: readonly number[];
      readonly archive: readonly number[];
      readonly end: 'commit' | 'commitSync' | 'abandon';
    }
  /** Other values take all but so many of the free grains of the stratum for this length. */
  | { readonly do: 'fill'; readonly length: number; readonly leave: number }
  | { readonly do: 'checkpoint' }
  /**
   * Compacts the forest. `thin`: as if this share of all values lay in thin maps. `keeps`: it asks
   * whether pushed values may move, and is told no. `abort`: it is aborted after so many turns.
   */
  | {
      readonly do: 'compact';
      readonly thin?: number;
      readonly keeps?: boolean;
      readonly abort?: number;
    }
  | { readonly do: 'verify' }
  | { readonly do: 'getAsync'; readonly tree: number; readonly key: number }
  /** Every gate opens, and everything in flight settles. */
  | { readonly do: 'settle' }
  /** Closes with everything in flight, and opens again. */
  | { readonly do: 'close'; readonly by: 'forest' | 'store' }
  /** The call of this kind after the next `after` fails, once. */
  | { readonly do: 'fault'; readonly kind: FaultKind; readonly after: number }
  /** In the end, the power is cut at the operation after the next `after` of here. */
  | { readonly do: 'cut'; readonly after: number; readonly fate: Fate };

/** `turns` of the event loop, then `hops` of the microtask queue, pass after the step. */
export type Step = Action & { readonly turns?: number; readonly hops?: number };

export type VaultKind = 'none' | 'checked' | 'aes' | 'compressed';

/**
 * Checks and operations that can be left out by hand, to look past what versions before this
 * simulation get wrong. No plan that is kept leaves anything out.
 */
export type LeftOut = 'outside' | 'histories' | 'sealed' | 'busy' | 'reused' | 'closed';
export const leftOuts: readonly LeftOut[] = [
  'outside',
  'histories',
  'sealed',
  'busy',
  'reused',
  'closed',
];

export interface PlanSettings {
  /** For the disk's turns, and which views are looked at. */
  readonly seed: number;
  readonly dialects: readonly [number, number];
  readonly nodeBytes?: number;
  readonly cacheBytes?: number;
  readonly nodeCacheBytes?: number;
  readonly journalBytes?: number;
  readonly settleBytes?: number;
  /** The store has automatic compaction, from little free space on. */
  readonly compacts?: boolean;
  readonly checkpoint: 'automatic' | 'manual';
  readonly vault: VaultKind;
  /** Turns of the event loop that a file operation takes at most. */
  readonly diskTurns: number;
  /** How many writes the listener of `onCommit` makes. */
  readonly listenerWrites: number;
  /** The share of steps after which the views are compared; all of them always are in the end. */
  readonly looks: number;
  readonly leaveOut?: readonly LeftOut[];
}

export interface Plan {
  readonly settings: PlanSettings;
  readonly steps: readonly Step[];
}
