/// <reference lib="esnext.disposable" preserve="true" />
/**
 * varve: durable storage inside a program. Bytes go into one file, a 64-bit GrainId comes back.
 *
 * The only public entry of the core: its exports are the contract, and nothing else is. Reads are
 * synchronous unless they say Async; writes are asynchronous unless they say Sync.
 */

export { VarveError, type VarveErrorCode, type VarveErrorFacts } from './errors.ts';
export { GrainId, type GrainIdParts } from './format/grain-id.ts';
export type { FileSystem, OpenFileOptions, StorageFile } from './io/file-system.ts';
export { memoryFileSystem } from './io/memory-file-system.ts';
export { nodeFileSystem } from './io/node.ts';
export type { BackupReport } from './store/backup/backup.ts';
export type { BackupOptions } from './store/backup/store-backup.ts';
export type { CompactReport } from './store/compact/store-compact.ts';
export type { ThinValuesOptions } from './store/compact/thin-values.ts';
export type { TrimReport } from './store/compact/trim.ts';
export type { StoreOptions } from './store/open/store-options.ts';
export type { CommitLogEntry, GrainChange } from './store/readers/log-entries.ts';
export type { FileRange } from './store/salvage/damaged-file.ts';
export { type SalvageOptions, type SalvageReport, salvage } from './store/salvage/salvage.ts';
export type { LostValue } from './store/salvage/value-check.ts';
export { Session } from './store/session.ts';
export type { BatchId } from './store/state/batch-id.ts';
export type { RecoveryReport } from './store/state/core.ts';
export type { CheckpointGuard } from './store/state/guards.ts';
export type { StoreStatistics, StratumStatistics } from './store/state/store-statistics.ts';
export { Store } from './store/store.ts';
export type { StoreView } from './store/store-view.ts';
export type { PushStreamOptions } from './store/streams/pushes.ts';
export type { ReadStreamOptions } from './store/streams/value-stream.ts';
export type { Finding } from './store/verify/finding.ts';
export type {
  CheckpointMessage,
  CommitMessage,
  PoisonedMessage,
  RecoveryMessage,
  SettleMessage,
  StoreMessages,
} from './store/watch/messages.ts';
export type { MemoryBudget, MemoryStatistics } from './util/memory-budget.ts';
export type { LongOperation, Progress } from './util/operations/long-operation.ts';
