/**
 * Damages done to a specimen's bytes in place and made good again, and what a whole campaign of
 * them came to.
 *
 * Invariant: after each the specimen is as it was. A damage that nobody notices is in bytes that no
 * piece of the anatomy has; anything else throws, with the damage named.
 */

import { Random } from '../support/random.ts';
import { anatomyOf, type Range } from './anatomy.ts';
import { type Damage, type Outcome, type Patient, Trial, wasNoticed } from './damage-trial.ts';
import { type SpecimenKind, specimenOf } from './specimens.ts';

/** Other bytes at one place. */
export interface Patch {
  readonly at: number;
  readonly bytes: Uint8Array;
}

export interface Depth {
  /** The bytes that are there now say the same. */
  readonly alike?: boolean;
  /** Look in every way there is, not only until something is noticed. */
  readonly deep?: boolean;
  /** Go on: commit, close, open again. */
  readonly liveOn?: boolean;
  /** Open read-only as well, and see the same. */
  readonly readOnly?: boolean;
}

export async function patientOf(kind: SpecimenKind): Promise<Patient> {
  const specimen = await specimenOf(kind);
  return { specimen, anatomy: anatomyOf(specimen) };
}

export class Campaign {
  readonly patient: Patient;
  readonly random = new Random(7);
  tried = 0;
  refused = 0;
  healed = 0;
  takenBack = 0;
  unnoticed = 0;
  livedOn = 0;

  constructor(patient: Patient) {
    this.patient = patient;
  }

  get bytes(): Uint8Array {
    return this.patient.specimen.bytes;
  }

  /** One damage; undefined where the bytes are there already. */
  async patch(
    what: string,
    patches: readonly Patch[],
    depth: Depth = {},
  ): Promise<Outcome | undefined> {
    const old = patches.map(({ at, bytes }) => ({
      at,
      bytes: this.bytes.slice(at, at + bytes.length),
    }));
    const ranges = patches.flatMap(({ at, bytes }) => changedBy(this.bytes, bytes, at));
    if (ranges.length === 0) return undefined;
    for (const { at, bytes } of patches) this.bytes.set(bytes, at);
    try {
      return await this.suffer(what, { ranges }, depth);
    } finally {
      for (const { at, bytes } of old) this.bytes.set(bytes, at);
    }
  }

  async suffer(what: string, damage: Damage, depth: Depth = {}): Promise<Outcome> {
    this.tried += 1;
    try {
      return await this.#suffer(damage, depth);
    } catch (error) {
      const { name } = this.patient.specimen;
      throw new Error(`${what} of ${name}: ${error}`, { cause: error });
    }
  }

  async #suffer(damage: Damage, depth: Depth): Promise<Outcome> {
    const { alike, deep, liveOn, readOnly } = depth;
    const trial = new Trial(this.patient, damage);
    const { outcome } = trial;
    if (readOnly) await this.#readOnly(damage);
    const store = await trial.open();
    await trial.look(store, deep ? 'deep' : 'quick');
    const noticed = wasNoticed(outcome);
    if (!noticed && !alike && outcome.stale.size === 0 && trial.touched.length > 0) {
      throw new Error(`nobody notices the damage of ${trial.touched[0]?.name}`);
    }
    this.refused += Number(outcome.refused !== undefined);
    this.healed += Number(outcome.healed.length > 0);
    this.takenBack += Number(outcome.takenBack);
    this.unnoticed += Number(!noticed);
    if (liveOn && store !== undefined) await this.#liveOn(trial, await trial.goOn(store, 'close'));
    return outcome;
  }

  /** What was there after a commit and an opening, held against what was there before. */
  async #liveOn({ outcome, touched }: Trial, next: Trial): Promise<void> {
    this.livedOn += 1;
    const store = await next.open();
    if (store !== undefined) await next.examine(store);
    const later = next.outcome;
    for (const [id, error] of later.failed) {
      if (!outcome.failed.has(id))
        throw new Error('reopened, another value fails', { cause: error });
    }
    const said = outcome.failed.size + outcome.stale.size + outcome.findings.length;
    const whole = said === 0 && outcome.logError === undefined;
    if (!whole || touched.some(({ kind }) => kind === 'record')) return;
    if (later.refused !== undefined && touched.length > 0) {
      throw new Error('reopened, it is refused', { cause: later.refused });
    }
    const { healed, findings } = later;
    if (healed.length + findings.length === 0) return;
    const message = findings[0]?.message;
    throw new Error(
      `reopened, it heals '${healed}' and has ${findings.length} findings: ${message}`,
    );
  }

  /** Sees what a writer sees, and writes nothing. */
  async #readOnly(damage: Damage): Promise<void> {
    const trial = new Trial(this.patient, damage);
    const store = await trial.open(true);
    if (store !== undefined) await trial.examine(store);
    await store?.close();
    if (trial.disk.changes > 0) throw new Error('a store that is open read-only was written to');
  }

  report(): string {
    const { tried, refused, healed, takenBack, unnoticed, livedOn } = this;
    const how = `${refused} refused, ${healed} healed, ${takenBack} took the last batch back`;
    return `${tried} damages: ${how}, ${unnoticed} in bytes without meaning; ${livedOn} lived on`;
  }
}

/** The stretches of `file` that other bytes at `at` would change. */
export function changedBy(file: Uint8Array, bytes: Uint8Array, at: number): Range[] {
  const ranges: Range[] = [];
  for (let index = 0; index < bytes.length; index++) {
    if (bytes[index] === file[at + index]) continue;
    const from = at + index;
    while (index < bytes.length && bytes[index] !== file[at + index]) index++;
    ranges.push({ from, to: at + index });
  }
  return ranges;
}
