/**
 * The public contract as types of its own: names, argument order, results and codes, written down
 * a second time, so that a change of what `src/index.ts` exports does not go unseen.
 *
 * Functions are properties here, not methods: so their parameters are compared strictly. What the
 * types cannot say (rules, errors, order) is what the other tests in this folder are about.
 */

import type { VarveError } from '../../../src/errors.ts';

export type GrainId = bigint & { readonly __grainId: true };
export type BatchId = number;
export type Bytes = Uint8Array<ArrayBuffer>;

export interface ContractGrainId {
  readonly from: (value: bigint) => GrainId;
  readonly of: (basin: number, stratum: number, index: number) => GrainId;
  readonly parts: (id: GrainId) => { basin: number; stratum: number; index: number };
  readonly format: (id: GrainId) => string;
  readonly parse: (text: string) => GrainId;
}

export interface ContractStoreOptions {
  create?: boolean | undefined;
  exclusive?: boolean | undefined;
  readOnly?: boolean | undefined;
  fileSystem?: ContractFileSystem | undefined;
  cacheBytes?: number | undefined;
  settleBytes?: number | undefined;
  waitForLockMs?: number | undefined;
  compaction?: 'automatic' | 'manual' | undefined;
  signal?: AbortSignal | undefined;
}

export interface ContractStoreClass {
  readonly open: (path: string | URL, options?: ContractStoreOptions) => Promise<ContractStore>;
  readonly inMemory: (options?: Pick<ContractStoreOptions, 'cacheBytes'>) => Promise<ContractStore>;
}

export interface ContractStore extends AsyncDisposable {
  readonly path: string;
  readonly readOnly: boolean;
  readonly recovery: ContractRecoveryReport;
  readonly currentBatch: BatchId;
  readonly checkpoint: BatchId;
  readonly committing: boolean;
  readonly embeddedHeader: GrainId | undefined;
  readonly session: () => ContractSession;
  readonly get: (id: GrainId) => Bytes | undefined;
  readonly getAsync: (id: GrainId) => Promise<Bytes | undefined>;
  readonly has: (id: GrainId) => boolean;
  readonly lengthOf: (id: GrainId) => number | undefined;
  readonly readRange: (id: GrainId, start: number, end: number) => Bytes | undefined;
  readonly readRangeAsync: (id: GrainId, start: number, end: number) => Promise<Bytes | undefined>;
  readonly createReadStream: (
    id: GrainId,
    options?: ContractReadStreamOptions,
  ) => ReadableStream<Bytes> | undefined;
  readonly put: (data: Uint8Array) => Promise<{ id: GrainId; batch: BatchId }>;
  readonly checkpointTo: (batch: BatchId) => Promise<BatchId>;
  readonly guard: (batch?: BatchId) => ContractCheckpointGuard;
  readonly commitLog: (options?: {
    after?: BatchId | undefined;
    follow?: boolean | undefined;
    signal?: AbortSignal | undefined;
  }) => AsyncIterable<ContractCommitLogEntry>;
  readonly updateEmbeddedHeader: (update: ContractUpdate) => Promise<BatchId>;
  readonly statistics: () => ContractStoreStatistics;
  readonly verify: (options?: {
    deep?: boolean | undefined;
    signal?: AbortSignal | undefined;
  }) => AsyncIterable<ContractFinding>;
  readonly backupTo: (
    path: string,
    options?: ContractBackupOptions,
  ) => Promise<{
    batch: BatchId;
    bytes: number;
    values: number;
  }>;
  readonly compact: (options?: ContractLongOperation) => Promise<ContractCompactReport>;
  readonly trim: (options?: ContractLongOperation) => Promise<{ readonly trimmedBytes: number }>;
  readonly thinValues: (options?: { fill?: number | undefined }) => AsyncIterable<GrainId>;
  readonly close: () => Promise<void>;
  readonly [Symbol.asyncDispose]: () => Promise<void>;
}

export interface ContractCompactReport {
  readonly fileBytesBefore: number;
  readonly fileBytesAfter: number;
  readonly movedBytes: number;
  readonly batches: number;
  readonly heldByArchivedBytes: number;
  readonly heldByThinMapsBytes: number;
  readonly heldByLogBytes: number;
}

export type ContractSalvage = (
  from: string,
  to: string,
  options?: ContractLongOperation & { fileSystem?: ContractFileSystem | undefined },
) => Promise<ContractSalvageReport>;

export interface ContractSalvageReport {
  readonly values: number;
  readonly bytes: number;
  readonly lostCount: number;
  readonly unlistedCount: number;
  readonly lost: readonly {
    readonly id: GrainId;
    readonly offset: number;
    readonly reason: string;
  }[];
  readonly embeddedHeader: GrainId | undefined;
  readonly unreadable: readonly { readonly offset: number; readonly length: number }[];
}

export interface ContractLongOperation {
  signal?: AbortSignal | undefined;
  onProgress?: ((progress: ContractProgress) => void) | undefined;
  bytesPerSecond?: number | undefined;
}

export interface ContractProgress {
  readonly phase: string;
  readonly done: number;
  readonly total: number | undefined;
  readonly unit: 'bytes' | 'values' | 'nodes';
}

export type ContractBackupOptions = ContractLongOperation & {
  overwrite?: boolean | undefined;
  fileSystem?: ContractFileSystem | undefined;
};

export interface ContractReadStreamOptions {
  start?: number | undefined;
  end?: number | undefined;
  chunkBytes?: number | undefined;
  signal?: AbortSignal | undefined;
}

export interface ContractPushStreamOptions {
  length: number;
  signal?: AbortSignal | undefined;
}

export type ContractUpdate = (
  session: ContractSession,
  current: GrainId | undefined,
) => GrainId | null | Promise<GrainId | null>;

export interface ContractSession extends Disposable {
  readonly push: (data: Uint8Array) => GrainId;
  readonly pushAsync: (data: Uint8Array) => Promise<GrainId>;
  readonly pushStream: (
    source: AsyncIterable<Uint8Array> | ReadableStream<Uint8Array>,
    options: ContractPushStreamOptions,
  ) => Promise<GrainId>;
  /** Only sessions that a store has made: types.test.ts says so. */
  readonly adopt: (other: never) => void;
  readonly archive: (id: GrainId) => void;
  readonly checkpointTo: (batch: BatchId) => void;
  readonly setEmbeddedHeader: (id: GrainId | null) => void;
  readonly get: (id: GrainId) => Bytes | undefined;
  readonly commit: () => Promise<BatchId>;
  readonly commitSync: () => BatchId;
  readonly abandon: () => void;
  readonly [Symbol.dispose]: () => void;
}

export interface ContractCheckpointGuard extends Disposable {
  readonly batch: BatchId;
  readonly release: () => void;
}

export interface ContractRecoveryReport {
  readonly clean: boolean;
  readonly revertedBatch: BatchId | undefined;
  readonly replayedBatches: number;
  readonly healed: readonly string[];
}

export interface ContractMessages {
  readonly 'varve:commit': {
    readonly path: string;
    readonly batch: BatchId;
    readonly sessions: number;
    readonly values: number;
    readonly valueBytes: number;
    readonly writes: number;
    readonly bytesWritten: number;
    readonly writeMs: number;
    readonly syncMs: number;
    readonly waitMs: number;
  };
  readonly 'varve:checkpoint': {
    readonly path: string;
    readonly batch: BatchId;
    readonly checkpoint: BatchId;
    readonly freedValues: number;
    readonly freedBytes: number;
  };
  readonly 'varve:settle': {
    readonly path: string;
    readonly batch: BatchId;
    readonly pages: number;
  };
  readonly 'varve:compact': {
    readonly path: string;
    readonly movedBytes: number;
    readonly fileBytes: number;
  };
  readonly 'varve:recovery': {
    readonly path: string;
    readonly report: ContractRecoveryReport;
    readonly milliseconds: number;
  };
  readonly 'varve:poisoned': { readonly path: string; readonly error: VarveError };
}

export interface ContractCommitLogEntry {
  readonly batch: BatchId;
  readonly committedAt: number;
  readonly embeddedHeader: GrainId | undefined;
  readonly changes: readonly ContractGrainChange[];
}

export interface ContractGrainChange {
  readonly operation: 'allocate' | 'archive' | 'free';
  readonly id: GrainId;
  readonly count: number;
}

export interface ContractFinding {
  readonly message: string;
  readonly offset: number | undefined;
  readonly grainId: GrainId | undefined;
}

export interface ContractStoreStatistics {
  readonly fileBytes: number;
  readonly valueBytes: number;
  readonly values: number;
  readonly archivedValues: number;
  readonly freeBytes: number;
  readonly commitLogBytes: number;
  readonly oldestGuard: BatchId | undefined;
  readonly commits: number;
  readonly sessionsCommitted: number;
  readonly syncs: number;
  readonly bytesWritten: number;
  readonly memory: ContractMemoryStatistics;
  readonly strata: readonly {
    basin: number;
    stratum: number;
    grainBytes: number;
    allocated: number;
    free: number;
  }[];
}

/** Added to the contract. */
export interface ContractMemoryStatistics {
  readonly budgetBytes: number;
  readonly usedBytes: number;
  readonly blockBytes: number;
  readonly markBytes: number;
  readonly nodeBytes: number;
  readonly reservedBytes: number;
}

export interface ContractVarveError extends Error {
  readonly code: ContractErrorCode;
  readonly path: string | undefined;
  readonly offset: number | undefined;
  readonly grainId: GrainId | undefined;
  readonly batch: BatchId | undefined;
  readonly pid: number | undefined;
  readonly expected: unknown;
  readonly actual: unknown;
}

export type ContractErrorCode =
  | 'VARVE_INVALID_ARGUMENT'
  | 'VARVE_NOT_FOUND'
  | 'VARVE_EXISTS'
  | 'VARVE_ALREADY_ARCHIVED'
  | 'VARVE_SESSION_ENDED'
  | 'VARVE_BUSY'
  | 'VARVE_CLOSED'
  | 'VARVE_READ_ONLY'
  | 'VARVE_LOCKED'
  | 'VARVE_NOT_A_STORE'
  | 'VARVE_UNSUPPORTED_VERSION'
  | 'VARVE_CORRUPT'
  | 'VARVE_TOO_LARGE'
  | 'VARVE_LOG_TRUNCATED'
  | 'VARVE_SNAPSHOT_GONE'
  | 'VARVE_IO'
  | 'VARVE_POISONED'
  | 'VARVE_INTERNAL'
  | 'VARVE_NOT_A_FOREST'
  | 'VARVE_TREE_MISMATCH'
  | 'VARVE_TRANSACTION_ENDED'
  | 'VARVE_SNAPSHOT_RELEASED'
  | 'VARVE_CODEC'
  | 'VARVE_VAULT';

export interface ContractFileSystem {
  open(
    path: string,
    options: { create: boolean; exclusive: boolean; readOnly: boolean },
  ): Promise<ContractStorageFile>;
  rename?(from: string, to: string, options: { overwrite: boolean }): Promise<void>;
  remove?(path: string): Promise<void>;
  isSame?(path: string, other: string): Promise<boolean>;
}

export interface ContractStorageFile {
  length(): number;
  readSync(target: Uint8Array, position: number): number;
  read(target: Uint8Array, position: number): Promise<number>;
  writeSync(chunks: readonly Uint8Array[], position: number): void;
  write(chunks: readonly Uint8Array[], position: number): Promise<void>;
  truncate(length: number): Promise<void>;
  truncateSync(length: number): void;
  datasync(): Promise<void>;
  datasyncSync(): void;
  trim?(position: number, length: number): Promise<void>;
  close(): Promise<void>;
}
