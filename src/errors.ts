/**
 * The one error class of varve, its codes, and the builders of its messages.
 *
 * Invariant: everything that varve throws on purpose is a `VarveError` with a stable `code`, a
 * message that gives both sides of the comparison that failed, and the same facts as plain data
 * fields. It keeps `cause` where there is one. It does not print, retry or decide anything.
 */

/** A GrainId, spelled out here because this file imports nothing. */
type AnyGrainId = bigint & { readonly __grainId: true };

/** Every code that varve throws; see the doc comment of each method for when. */
export type VarveErrorCode =
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
  /**
   * The disk refused (full, unplugged, …). The failed commit left nothing behind; the store still
   * works.
   */
  | 'VARVE_IO'
  /**
   * A sync failed, so what the disk holds is unknown: no more commits until the store is opened
   * again. Reads go on; `close` writes nothing.
   */
  | 'VARVE_POISONED'
  /** A promise that varve makes to itself does not hold. Report it. */
  | 'VARVE_INTERNAL'
  | 'VARVE_NOT_A_FOREST'
  | 'VARVE_TREE_MISMATCH'
  | 'VARVE_TRANSACTION_ENDED'
  | 'VARVE_SNAPSHOT_RELEASED'
  | 'VARVE_CODEC'
  | 'VARVE_VAULT';

/**
 * The facts of an error, as they apply. `cause` is the error of the operating system or of a
 * codec.
 */
export interface VarveErrorFacts {
  readonly path?: string | undefined;
  readonly offset?: number | undefined;
  readonly grainId?: AnyGrainId | undefined;
  readonly batch?: number | undefined;
  readonly expected?: unknown;
  readonly actual?: unknown;
  readonly cause?: unknown;
}

/** Every error that varve throws on purpose. Tell them apart by `code`, never by the message. */
export class VarveError extends Error {
  readonly code: VarveErrorCode;
  readonly path: string | undefined;
  /** Byte offset in the file. */
  readonly offset: number | undefined;
  readonly grainId: AnyGrainId | undefined;
  readonly batch: number | undefined;
  readonly expected: unknown;
  readonly actual: unknown;

  constructor(code: VarveErrorCode, message: string, facts: VarveErrorFacts = {}) {
    super(message, facts.cause === undefined ? undefined : { cause: facts.cause });
    this.name = 'VarveError';
    this.code = code;
    this.path = facts.path;
    this.offset = facts.offset;
    this.grainId = facts.grainId;
    this.batch = facts.batch;
    this.expected = facts.expected;
    this.actual = facts.actual;
  }
}

/** A value for a message: short, and never the bytes themselves. It may be anything: no throw. */
function shown(value: unknown): string {
  if (typeof value === 'bigint') return `${value}n`;
  if (typeof value === 'string')
    return JSON.stringify(value.length > 80 ? `${value.slice(0, 80)}…` : value);
  if (typeof value === 'function') return 'a function';
  if (typeof value === 'object' && value !== null) return shownObject(value);
  return String(value);
}

function shownObject(value: object): string {
  try {
    if (value instanceof Uint8Array) return `${value.length} bytes`;
    return `an object (${value.constructor?.name ?? 'no class'})`;
  } catch {
    // A proxy or a getter that throws: what is wrong is told without it.
    return 'an object';
  }
}

/** The caller passed something that the contract does not take. Nothing has been changed. */
export function invalidArgument(what: string, expected: string, actual: unknown): VarveError {
  return new VarveError(
    'VARVE_INVALID_ARGUMENT',
    `${what}: expected ${expected}, got ${shown(actual)}`,
    {
      expected,
      actual,
    },
  );
}

/** Stored bytes are not what the format says that they must be. */
export function corrupt(message: string, facts: VarveErrorFacts = {}): VarveError {
  const place = facts.offset === undefined ? '' : ` at byte ${facts.offset}`;
  const sides =
    facts.expected === undefined && facts.actual === undefined
      ? ''
      : `: expected ${shown(facts.expected)}, found ${shown(facts.actual)}`;
  return new VarveError('VARVE_CORRUPT', `${message}${place}${sides}`, facts);
}

/** A promise that varve makes to itself does not hold. */
export function internal(message: string, facts: VarveErrorFacts = {}): VarveError {
  return new VarveError(
    'VARVE_INTERNAL',
    `${message} (this is a defect in varve, please report it)`,
    facts,
  );
}

/** True for an error of varve's own, with `code` where one is given. */
export function isVarveError(error: unknown, code?: VarveErrorCode): error is VarveError {
  return error instanceof VarveError && (code === undefined || error.code === code);
}

/** The operating system's code of an error (`ENOENT`, `EIO`, …), where it has one. */
export function systemCode(error: unknown): string | undefined {
  if (typeof error !== 'object' || error === null || !('code' in error)) return undefined;
  return typeof error.code === 'string' ? error.code : undefined;
}

/**
 * What the disk refused, as `VARVE_IO` with the system's error as its cause; an error of varve's
 * own as it is.
 */
export function ioError(action: string, path: string, cause: unknown): VarveError {
  if (cause instanceof VarveError) return cause;
  const reason = cause instanceof Error ? cause.message : String(cause);
  return new VarveError('VARVE_IO', `${action} failed on ${shown(path)}: ${reason}`, {
    path,
    cause,
  });
}
