/**
 * One damage of a specimen: open the store, read every id that was ever given out, verify, read the
 * log, and hold every answer against what the contract allows.
 *
 * Invariant: whatever is answered is right, or an error with its place near the damage; a file that
 * is refused is not written to. Anything else throws. What was noticed, and how, is told.
 */

import { isVarveError, type VarveError } from '../../src/errors.ts';
import type { Finding, GrainId, Session, Store } from '../../src/index.ts';
import { type AtlasLimits, defaultLimits } from '../../src/store/grains/atlas.ts';
import { checkOptions } from '../../src/store/open/store-options.ts';
import { openStore } from '../../src/store/store.ts';
import { patternOf } from '../support/bytes.ts';
import { GivenFile } from '../support/disks/given-file.ts';
import type { Content, Work } from '../support/oracles/expected-content.ts';
import type { Anatomy, Piece, Range } from './anatomy.ts';
import type { Specimen } from './specimens.ts';

/** A specimen and what is in it. */
export interface Patient {
  readonly specimen: Specimen;
  readonly anatomy: Anatomy;
}

export interface Damage {
  readonly ranges: readonly Range[];
  /** The file as it is now; that of the specimen unless told. */
  readonly bytes?: Uint8Array;
  /** Writes were lost: what was there before may be a whole value of the same id. */
  readonly mayBeStale?: boolean;
}

/** How a damage was noticed. */
export interface Outcome {
  refused: VarveError | undefined;
  /** Ids that cannot be read. */
  readonly failed: Map<GrainId, VarveError>;
  healed: readonly string[];
  findings: readonly Finding[];
  takenBack: boolean;
  /** The commit log cannot be read. */
  logError: VarveError | undefined;
  /** Ids that give what they stood for before. */
  readonly stale: Set<GrainId>;
}

export function wasNoticed(outcome: Outcome): boolean {
  const { refused, failed, healed, findings, takenBack, logError } = outcome;
  if (refused !== undefined || logError !== undefined || takenBack) return true;
  return failed.size + healed.length + findings.length > 0;
}

const cacheBytes = 64 * 1024;
const refusals: readonly string[] = [
  'VARVE_CORRUPT',
  'VARVE_NOT_A_STORE',
  'VARVE_UNSUPPORTED_VERSION',
];

export async function openOn(
  disk: GivenFile,
  asked: { readonly readOnly?: boolean; readonly settleBytes?: number } = {},
  limits: Partial<AtlasLimits> = {},
): Promise<Store> {
  const options = { fileSystem: disk, cacheBytes, create: false, ...asked };
  return await openStore(checkOptions('damaged', options, { ...defaultLimits, ...limits }));
}

export class Trial {
  readonly #patient: Patient;
  readonly #damage: Damage;
  readonly #near: readonly Range[];
  /** Everything that has a damaged byte. */
  readonly touched: readonly Piece[];
  readonly disk: GivenFile;
  readonly outcome: Outcome = {
    refused: undefined,
    failed: new Map(),
    healed: [],
    findings: [],
    takenBack: false,
    logError: undefined,
    stale: new Set(),
  };

  constructor(patient: Patient, damage: Damage) {
    const { ranges, bytes } = damage;
    this.#patient = patient;
    this.#damage = damage;
    this.disk = new GivenFile(bytes ?? patient.specimen.bytes);
    const isTouched = (piece: Piece) => piece.ranges.some((one) => meets(one, ranges));
    this.touched = patient.anatomy.pieces.filter(isTouched);
    this.#near = [...this.touched.flatMap((piece) => piece.ranges), ...ranges].map(wholePages);
  }

  get #specimen(): Specimen {
    return this.#patient.specimen;
  }

  /** Opens; undefined where the store is refused. Then every id is read. */
  async open(readOnly = false): Promise<Store | undefined> {
    const store = await this.#openOrRefuse(readOnly);
    if (store === undefined) return undefined;
    const content = this.#contentOf(store);
    for (const id of this.#specimen.ids) {
      const expected = content.values.get(id)?.bytes;
      this.#attempt(id, () => this.#checkBytes(id, store.get(id), expected));
    }
    this.outcome.healed = store.recovery.healed;
    return store;
  }

  async #openOrRefuse(readOnly: boolean): Promise<Store | undefined> {
    try {
      // In half of the trials mark pages are evicted wherever they can be.
      const evicts = ((this.#damage.ranges[0]?.from ?? 0) & 1) === 1;
      return await openOn(this.disk, { readOnly }, evicts ? { markBytes: 0 } : {});
    } catch (error) {
      if (!isVarveError(error) || !refusals.includes(error.code)) throw error;
      if (this.disk.changes > 0) {
        throw new Error('a file that was refused was written to', { cause: error });
      }
      this.#checkPlace('opening', error);
      this.outcome.refused = error;
      return undefined;
    }
  }

  /** What the store should hold: the last batch may have been taken back. */
  #contentOf(store: Store): Content {
    const { expected, closed } = this.#specimen;
    const { current } = expected;
    const { currentBatch, checkpoint, embeddedHeader } = store;
    this.outcome.takenBack = currentBatch === current.batch - 1;
    const content = this.outcome.takenBack ? (expected.at(currentBatch) as Content) : current;
    same('the current batch', currentBatch, content.batch);
    if (this.outcome.takenBack && (closed || !this.touched.some(isOf(current.batch)))) {
      throw new Error('the last batch was taken back, and nothing of it was damaged');
    }
    same('the checkpoint', checkpoint, content.checkpoint);
    same('the embedded header', embeddedHeader, content.header);
    const { values, archivedValues } = store.statistics();
    same('the number of values', values, content.values.size);
    const archived = [...content.values.values()].filter((value) => value.archivedIn !== undefined);
    same('the number of archived values', archivedValues, archived.length);
    return content;
  }

  #attempt(id: GrainId, look: () => void): void {
    try {
      look();
    } catch (error) {
      if (!isVarveError(error, 'VARVE_CORRUPT')) throw error;
      this.#checkFailure(id, error);
    }
  }

  #checkBytes(id: GrainId, found: Uint8Array | undefined, expected: Uint8Array | undefined): void {
    if (found === undefined && expected === undefined) return;
    const both = found !== undefined && expected !== undefined;
    if (both && Buffer.compare(found, expected) === 0) return;
    const isDamaged = this.touched.some((piece) => piece.id === id);
    if (both && isDamaged && this.#damage.mayBeStale === true) this.outcome.stale.add(id);
    else {
      const what = found === undefined ? 'is not there' : 'has other bytes, or should not be there';
      throw new Error(`the value ${id.toString(16)} ${what}`);
    }
  }

  /** The length is told without the checksum: where it is damaged itself, nobody can know. */
  #checkLength(id: GrainId, found: number | undefined, expected: number | undefined): void {
    const own = this.touched.find((piece) => piece.id === id)?.ranges[0]?.from;
    const prefix = { from: own ?? 0, to: (own ?? 0) + 8 };
    if (own !== undefined && meets(prefix, this.#damage.ranges)) return;
    same(`lengthOf(${id})`, found, expected);
  }

  #checkFailure(id: GrainId, error: VarveError): void {
    this.#checkPlace(`the value ${id.toString(16)}`, error);
    this.outcome.failed.set(id, error);
    const structures = this.touched.filter(({ kind }) => kind !== 'value');
    const own = this.touched.some((piece) => piece.id === id);
    if (own || structures.length > 0) return;
    throw new Error(`the value ${id.toString(16)} was not damaged: ${error.message}`);
  }

  #checkPlace(what: string, error: VarveError): void {
    if (this.isNear(error)) return;
    const { message, offset, grainId, batch } = error;
    const place = `byte ${offset}, value ${grainId?.toString(16)}, batch ${batch}`;
    throw new Error(`${what}: '${message}' has a place that was not damaged: ${place}`);
  }

  /** The place is in, or on a page of, something that was damaged. */
  isNear({ offset, grainId }: { offset?: number | undefined; grainId?: unknown }): boolean {
    if (offset !== undefined)
      return this.#near.some(({ from, to }) => offset >= from && offset < to);
    return this.touched.some(({ id }) => id !== undefined && id === grainId);
  }

  /** The quicker ways first. */
  async look(store: Store | undefined, depth: 'quick' | 'deep'): Promise<void> {
    if (store === undefined) return;
    if (depth === 'quick' && !wasNoticed(this.outcome)) await this.examineLog(store);
    if (depth === 'deep' || !wasNoticed(this.outcome)) await this.examine(store);
  }

  /** The other ways to look at the store: as `open`, and all the same. */
  async examine(store: Store): Promise<void> {
    const content = this.#contentOf(store);
    for (const [at, id] of this.#specimen.ids.entries()) {
      const expected = content.values.get(id)?.bytes;
      this.#attempt(id, () => same(`has(${id})`, store.has(id), expected !== undefined));
      this.#attempt(id, () => this.#checkLength(id, store.lengthOf(id), expected?.length));
      if (expected === undefined && at % 8 > 0) continue;
      await store.getAsync(id).then(
        (found) => this.#checkBytes(id, found, expected),
        (error: unknown) => this.#attempt(id, () => rethrow(error)),
      );
    }
    await this.examineLog(store);
    const findings: Finding[] = [];
    for await (const finding of store.verify({ deep: true })) findings.push(finding);
    this.outcome.findings = findings;
    this.outcome.healed = store.recovery.healed;
    if (findings.length > 0 && !findings.some((finding) => this.isNear(finding))) {
      const told = findings.map(({ message, offset }) => `${message} (byte ${offset})`);
      throw new Error(`what verify finds is not where the damage is: ${told.join(', ')}`);
    }
    for (const words of this.outcome.healed) this.#checkHealed(words);
  }

  #checkHealed(words: string): void {
    const offset = Number(/at byte (\d+)/.exec(words)?.[1]);
    if (!this.isNear({ offset })) throw new Error(`'${words}' was not damaged`);
  }

  /** The commit log: every entry that is kept. */
  async examineLog(store: Store): Promise<void> {
    const content = this.#contentOf(store);
    let { checkpoint: batch } = content;
    try {
      for await (const entry of store.commitLog()) {
        batch += 1;
        const expected = content.log[batch - 1];
        same('a batch of the log', entry.batch, expected?.batch);
        same(`the header in batch ${batch}`, entry.embeddedHeader, expected?.header);
        same(`the log of batch ${batch}`, told(entry.changes), told(expected?.changes ?? []));
      }
      same('the end of the log', batch, content.batch);
    } catch (error) {
      if (!isVarveError(error, 'VARVE_CORRUPT')) throw error;
      this.#checkPlace('the commit log', error);
      this.outcome.logError = error;
    }
  }

  /**
   * Two commits, of which the second frees what the first archived, and then a close or the end of
   * the process; the next opening is to be tried as this one was.
   */
  async goOn(store: Store, end: 'close' | 'die'): Promise<Trial> {
    const { expected } = this.#specimen;
    const { currentBatch } = store;
    const later = expected.upTo(currentBatch);
    const ids = [...this.#specimen.ids];
    const commits = [(session: Session) => this.#replaceOne(session, later.current)];
    commits.push((session) => checkpointBefore(session, store.currentBatch));
    for (const commit of commits) {
      const work = await this.#attemptCommit(store, commit);
      if (work !== undefined) later.add(store.currentBatch, work);
      for (const { operation, id } of work?.operations ?? []) {
        if (operation === 'allocate') ids.push(id);
      }
    }
    const closed = end === 'close';
    if (closed) await store.close();
    const specimen = { ...this.#specimen, expected: later, ids, closed };
    const damage = { ...this.#damage, bytes: this.disk.bytes };
    return new Trial({ ...this.#patient, specimen }, damage);
  }

  /** Values in old grains and in new ones; one that can be read is archived. */
  #replaceOne(session: Session, { values }: Content): Work {
    const work: Work = { operations: [] };
    for (const length of [20, 33, 9000, 300, 40_000]) {
      const bytes = patternOf(length, 200 + length);
      work.operations.push({ operation: 'allocate', id: session.push(bytes), bytes });
    }
    for (const [id, { archivedIn }] of values) {
      if (archivedIn !== undefined || this.outcome.failed.has(id)) continue;
      session.archive(id);
      work.operations.push({ operation: 'archive', id });
      break;
    }
    return work;
  }

  /** What was committed; undefined where the damage is in the way. */
  async #attemptCommit(store: Store, fill: (session: Session) => Work): Promise<Work | undefined> {
    const session = store.session();
    const { currentBatch } = store;
    try {
      const work = fill(session);
      same('the next batch', await session.commit(), currentBatch + 1);
      return work;
    } catch (error) {
      if (!isVarveError(error, 'VARVE_CORRUPT')) throw error;
      this.#checkPlace('a commit', error);
      session.abandon();
      return undefined;
    }
  }
}

function checkpointBefore(session: Session, batch: number): Work {
  session.checkpointTo(batch);
  return { operations: [], checkpointTo: batch };
}

/** Opens and looks: until something is noticed, or with everything that there is to look at. */
export async function tryDamage(
  patient: Patient,
  damage: Damage,
  depth: 'quick' | 'deep',
): Promise<Outcome> {
  const trial = new Trial(patient, damage);
  await trial.look(await trial.open(), depth);
  return trial.outcome;
}

// ── comparisons: `expect` is too slow for so many ──

function same(what: string, found: unknown, expected: unknown): void {
  if (found !== expected) throw new Error(`${what} is ${found}, it should be ${expected}`);
}

function told(changes: readonly { operation: string; id: GrainId }[]): string {
  return changes.map(({ operation, id }) => `${operation} ${id}`).join();
}

function rethrow(error: unknown): never {
  throw error;
}

function isOf(batch: number): (piece: Piece) => boolean {
  return (piece) => piece.batch === batch;
}

function meets(range: Range, ranges: readonly Range[]): boolean {
  return ranges.some(({ from, to }) => from < range.to && to > range.from);
}

const pageBytes = 4096;

function wholePages({ from, to }: Range): Range {
  return { from: from - (from % pageBytes), to: Math.ceil(to / pageBytes) * pageBytes };
}
