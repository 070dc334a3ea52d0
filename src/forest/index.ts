/// <reference lib="esnext.disposable" preserve="true" />
/**
 * varve/forest: named copy-on-write B+trees in one store, with transactions over any number of
 * them, snapshots, forks in constant time and summaries of ranges.
 *
 * The public door of the forest: everything exported here is the contract, nothing else is.
 */

export type { Codec, KeyCodec, Reducer } from '../codecs/codec.ts';
export { codecs } from '../codecs/codecs.ts';
export { reducers } from '../codecs/reducers.ts';
export type { Vault } from '../codecs/vault.ts';
export type { ForestCompactOptions } from './compact/forest-compact.ts';
export type {
  ForestSession,
  Range,
  ReadableTree,
  Snapshot,
  Transaction,
  Tree,
  TreeChange,
  WritableTree,
} from './contract.ts';
export type {
  DescribeOptions,
  ForestDescription,
  TreeDescription,
} from './describe/describe-forest.ts';
export { Forest } from './forest.ts';
export type { ForestStatistics } from './forest-core.ts';
export type { ForestOptions } from './forest-options.ts';
export type { RepairedTree, TreesByName } from './salvage/forest-repair.ts';
export {
  type SalvageForestOptions,
  type SalvageForestReport,
  salvageForest,
} from './salvage/salvage-forest.ts';
export type { KeyRange, LostKeys } from './salvage/tree-repair.ts';
export type { TreeOptions } from './trees/tree-schema.ts';
